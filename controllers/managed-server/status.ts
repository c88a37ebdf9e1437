import type { Condition } from '../../src/api/meta.ts';
import type { ManagedServer, ManagedServerStatus } from '../../src/api/resources.ts';
import { isTrue, setCondition } from '../../src/runtime/conditions.ts';
import type { NewCondition } from '../../src/runtime/conditions.ts';
import { setReadiness } from '../../src/runtime/readiness.ts';
import type { Standing } from '../../src/runtime/readiness.ts';
import { timestamp } from '../../src/runtime/timestamp.ts';
import type { ProbeFailure, ProbeResult } from './probe.ts';

type ServerCondition = 'Reachable' | 'HostKeyVerified' | 'DockerReady';
const known: readonly ServerCondition[] = ['Reachable', 'HostKeyVerified', 'DockerReady'];

/** The status after a look at the server. */
export function statusAfter(
  server: Readonly<ManagedServer>,
  probe: ProbeResult,
  now: number,
  redact: (text: string) => string,
): ManagedServerStatus {
  const before = server.status ?? {};
  const generation = server.metadata.generation;
  let conditions: readonly Condition[] = before.conditions ?? [];
  const set = (type: ServerCondition, status: Condition['status'], reason: string, message: string): void => {
    const condition: NewCondition = { type, status, reason, message: redact(message), observedGeneration: generation };
    conditions = setCondition(conditions, condition, now);
  };
  const { failure } = probe;
  if (failure === undefined) {
    set('Reachable', 'True', 'LoggedIn', server.spec.local ? 'this machine' : `as ${server.spec.ssh?.user ?? ''}`);
    set(
      'HostKeyVerified',
      'True',
      server.spec.local ? 'Local' : 'Pinned',
      probe.hostKey?.fingerprint ?? 'this machine',
    );
    const docker = probe.facts?.docker;
    set('DockerReady', 'True', 'Answers', `Docker ${docker?.version ?? ''}, API ${docker?.apiVersion ?? ''}`);
  } else {
    const unknown = 'not looked at, because the server could not be reached this far';
    const text = `${failure.code}: ${failure.message}`;
    const reached = failure.at === 'Docker';
    if (reached) set('Reachable', 'True', 'LoggedIn', `as ${server.spec.ssh?.user ?? 'this machine'}`);
    else set('Reachable', failure.at === 'HostKey' ? 'Unknown' : 'False', failure.reason, text);
    if (failure.at === 'HostKey') set('HostKeyVerified', 'False', failure.reason, text);
    else if (reached) set('HostKeyVerified', 'True', 'Pinned', probe.hostKey?.fingerprint ?? 'this machine');
    else if (!isTrue(conditions, 'HostKeyVerified')) set('HostKeyVerified', 'Unknown', failure.reason, unknown);
    set('DockerReady', reached ? 'False' : 'Unknown', failure.reason, reached ? text : unknown);
  }
  for (const type of known) {
    if (!conditions.some((condition) => condition.type === type))
      set(type, 'Unknown', 'NotReached', 'not looked at yet');
  }
  const readiness = readinessAfter(failure);
  conditions = setReadiness(conditions, { ...readiness, message: redact(readiness.message) }, generation, now);
  const failures = failure === undefined ? 0 : (before.consecutiveFailures ?? 0) + 1;
  const status: ManagedServerStatus = {
    ...before,
    conditions: [...conditions],
    lastProbeTime: timestamp(now),
    consecutiveFailures: failures,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...(probe.facts === undefined ? {} : { facts: probe.facts }),
    ...(probe.services === undefined ? {} : { services: [...probe.services] }),
  };
  const pinned = pinnedKey(server, probe, now);
  if (pinned === undefined) delete status.hostKey;
  else status.hostKey = pinned;
  status.phase = derivePhase(status);
  return status;
}

/** Every failed probe is repeated; of some it is known that they go on failing until somebody changes something. */
function readinessAfter(failure: ProbeFailure | undefined): Standing {
  if (failure === undefined) return { state: 'Ready', reason: 'Online', message: 'the server can be used' };
  const message = `${failure.code}: ${failure.message}`;
  return { state: failure.terminal ? 'Stalled' : 'Reconciling', reason: failure.reason, message };
}

/** The phase, from the conditions: computed last, never read back. */
export function derivePhase(status: Readonly<ManagedServerStatus>): NonNullable<ManagedServerStatus['phase']> {
  const ready = status.conditions?.find((condition) => condition.type === 'Ready');
  if (ready === undefined || ready.status === 'Unknown') return 'Pending';
  return ready.status === 'True' ? 'Online' : 'Offline';
}

/** The key pinned on first use stays until the user changes the address or pins one in the spec. */
function pinnedKey(
  server: Readonly<ManagedServer>,
  probe: ProbeResult,
  now: number,
): ManagedServerStatus['hostKey'] | undefined {
  const before = server.status?.hostKey;
  if (server.spec.local) return undefined;
  const { hostKey } = probe;
  if (hostKey === undefined) return before;
  if (before?.publicKey === hostKey.publicKey) return before;
  return {
    algorithm: hostKey.algorithm,
    fingerprint: hostKey.fingerprint,
    publicKey: hostKey.publicKey,
    pinnedAt: timestamp(now),
  };
}

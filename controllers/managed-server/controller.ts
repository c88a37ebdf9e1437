import { keyString } from '../../src/api/meta.ts';
import type { KubeObject, ObjectKey } from '../../src/api/meta.ts';
import { Secrets } from '../../src/api/core.ts';
import { ManagedServers } from '../../src/api/resources.ts';
import type { ManagedServer } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { parseDuration } from '../../src/runtime/duration.ts';
import type { ControllerDefinition } from '../../src/runtime/reconciler.ts';
import { requeueAfter } from '../../src/runtime/result.ts';
import type { ControllerDependencies } from '../dependencies.ts';
import { createLeftoverSweep } from '../transfer/transport/leftovers.ts';
import { probeServer } from './probe.ts';
import { statusAfter } from './status.ts';
import { sweepLocks } from './sweep-locks.ts';

const FIRST_RETRY_MS = 1_000;

/** The ManagedServer controller: looks at each server now and then, and says whether it can be used. */
export function managedServerController(dependencies: ControllerDependencies): ControllerDefinition<ManagedServer> {
  const { servers, clock, random, redactor, watchSecrets } = dependencies;
  const uids = new Map<string, string>();
  const sweepOnce = createLeftoverSweep(dependencies);
  /** Servers that this process has cleaned of what an earlier one left. */
  const swept = new Set<string>();
  // By Secret, so that a corrected password is tried at once where Secrets may be watched, else at the next probe.
  const bySecret = new Map<string, Set<string>>();

  const serversOf = ({ metadata: { namespace = 'default', name } }: Readonly<KubeObject>): ObjectKey[] =>
    [...(bySecret.get(`${namespace}/${name}`) ?? [])].map((server) => ({ namespace, name: server }));

  return {
    reconciler: {
      name: 'managedserver',
      type: ManagedServers,
      async reconcile(server, context) {
        uids.set(keyString(context.key), server.metadata.uid ?? '');
        const secret = server.spec.ssh?.credentialsRef.name;
        if (secret !== undefined) {
          const key = `${context.key.namespace}/${secret}`;
          bySecret.set(key, (bySecret.get(key) ?? new Set()).add(context.key.name));
        }
        const probe = await probeServer(servers, server, context.signal);
        // Interrupted by a change of the object: what was found out belongs to the old one.
        context.signal.throwIfAborted();
        const status = statusAfter(server, probe, clock.now(), (text) => redactor.redact(text));
        context.setStatus(status);
        if (probe.failure === undefined) sweepOnce(server);
        announce(server, status, (type, reason, message) => context.event(type, reason, message));
        const uid = server.metadata.uid ?? '';
        if (status.phase === 'Online' && !swept.has(uid)) {
          swept.add(uid);
          await sweepLocks(dependencies, server, context.signal).catch((error: unknown) => {
            swept.delete(uid);
            context.log.warn({ err: error }, 'marks that were left could not be looked for; it is tried again');
          });
        }
        const interval = parseDuration(server.spec.probeInterval);
        const failures = status.consecutiveFailures ?? 0;
        const wait = failures === 0 ? interval : Math.min(interval, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 16));
        return requeueAfter(wait * (0.9 + 0.2 * random()), 'next probe');
      },
      forget(key) {
        const uid = uids.get(keyString(key));
        uids.delete(keyString(key));
        swept.delete(uid ?? '');
        if (uid !== undefined) void servers.forget(uid);
      },
    },
    watches: watchSecrets ? [{ type: Secrets, toKeys: serversOf }] : [],
    concurrency: 16,
    deadlineMs: 60_000,
  };
}

function announce(
  server: Readonly<ManagedServer>,
  status: NonNullable<ManagedServer['status']>,
  event: (type: 'Normal' | 'Warning', reason: string, message: string) => void,
): void {
  const before = findCondition(server.status?.conditions, 'Ready');
  const now = findCondition(status.conditions, 'Ready');
  if (now === undefined || (before?.status === now.status && before.reason === now.reason)) return;
  event(now.status === 'True' ? 'Normal' : 'Warning', now.reason, now.message);
  if (server.status?.hostKey === undefined && status.hostKey !== undefined) {
    event('Normal', 'HostKeyPinned', `${status.hostKey.algorithm} ${status.hostKey.fingerprint}`);
  }
}

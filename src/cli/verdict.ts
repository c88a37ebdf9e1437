import type { Condition, KubeObject } from '../api/meta.ts';
import type { ManagedServer, Transfer } from '../api/resources.ts';
import { findCondition } from '../runtime/conditions.ts';
import { formatSeconds } from './format.ts';

/** What has become of one object, as far as `run --once` is concerned. */
export type Verdict =
  | { readonly kind: 'good'; readonly message: string }
  /** It will not change by itself. */
  | { readonly kind: 'failed'; readonly message: string }
  /** It goes on as soon as something else changes: another object, or the user's mind. */
  | { readonly kind: 'waiting'; readonly message: string }
  | { readonly kind: 'working' };

/** How often a server may fail to answer before that is its answer. */
const PROBES = 3;

/** How often undoing a step may fail before that is the answer: a minute or two, by the pauses between the tries. */
const UNDO_TRIES = 10;

const working: Verdict = { kind: 'working' };

/** @param active whether its controller has something to do for it, now or soon */
export function judgeObject(object: Readonly<KubeObject>, active: boolean): Verdict {
  switch (object.kind) {
    case 'ManagedServer':
      return judgeServer(object as ManagedServer, active);
    case 'Transfer':
      return judgeTransfer(object as Transfer, active);
    default:
      return judgeOther(object);
  }
}

function judgeServer({ metadata, status = {} }: Readonly<ManagedServer>, active: boolean): Verdict {
  if (isStale(metadata, status.observedGeneration)) return working;
  const ready = findCondition(status.conditions, 'Ready');
  switch (status.phase) {
    case 'Offline': {
      if (active && (status.consecutiveFailures ?? 0) < PROBES) return working;
      return {
        kind: 'failed',
        message: `Offline (${ready?.reason ?? 'Unknown'}): ${ready?.message ?? 'no reason given'}`,
      };
    }
    case 'Online':
    case 'Draining':
    case 'Drained':
      return { kind: 'good', message: status.phase };
    default:
      return working;
  }
}

function judgeTransfer({ metadata, spec, status = {} }: Readonly<Transfer>, active: boolean): Verdict {
  const stuck = stuckUndo(status);
  if (stuck !== undefined) return stuck;
  if (isStale(metadata, status.observedGeneration)) return working;
  const { phase, message = '', conditions } = status;
  switch (phase) {
    case 'Completed':
    case 'RolledBack': {
      const refused = refusedRollback(status);
      if (refused !== undefined) return refused;
      const downtime =
        status.downtimeSeconds === undefined ? '' : `, downtime ${formatSeconds(status.downtimeSeconds)}`;
      return { kind: 'good', message: `${phase}${downtime}${message === '' ? '' : `: ${message}`}` };
    }
    case 'Planned':
      return { kind: (status.plan?.blockers.length ?? 0) === 0 ? 'good' : 'failed', message: `Planned: ${message}` };
    case 'Cancelled':
      if (spec.cancel) return { kind: 'good', message: 'Cancelled, as spec.cancel asks' };
      return { kind: 'failed', message: `Cancelled: ${message}` };
    case 'Failed':
      return { kind: 'failed', message: `Failed: ${message}` };
    default: {
      const accepted = findCondition(conditions, 'Accepted');
      if (accepted?.status === 'False') return { kind: 'waiting', message: `not accepted: ${accepted.message}` };
      const lock = findCondition(conditions, 'LockAcquired');
      if (lock?.status === 'False') return { kind: 'waiting', message: lock.message };
      return active ? working : { kind: 'waiting', message: message === '' ? 'nothing happens to it' : message };
    }
  }
}

/** What is undone is tried until it works; who waits for an end is told that it does not. The next run goes on. */
function stuckUndo({ steps = [], conditions = [] }: NonNullable<Transfer['status']>): Verdict | undefined {
  const failed = conditions.find(({ reason }) => reason === 'UndoFailed');
  if (failed === undefined || !steps.some(({ state, attempts }) => state === 'Undoing' && attempts >= UNDO_TRIES)) {
    return undefined;
  }
  const message = `${failed.message} It was tried ${String(UNDO_TRIES)} times; put right what is in its way, and run again`;
  return { kind: 'failed', message };
}

/** A way back that was asked for and not gone. */
function refusedRollback({ conditions }: NonNullable<Transfer['status']>): Verdict | undefined {
  const wish = findCondition(conditions, 'RolledBack');
  if (wish?.status !== 'False') return undefined;
  return { kind: 'failed', message: `not rolled back (${wish.reason}): ${wish.message}` };
}

/** An object of a kind that only has conditions. */
function judgeOther({ metadata, status }: Readonly<KubeObject>): Verdict {
  const { conditions, observedGeneration } = (status ?? {}) as {
    conditions?: Condition[];
    observedGeneration?: number;
  };
  if (isStale(metadata, observedGeneration)) return working;
  const ready = findCondition(conditions, 'Ready');
  // No provider is a choice: what has to be changed by hand is said where it matters, in the transfers.
  if (ready?.status === 'False' && ready.reason !== 'NoProvider') {
    return { kind: 'failed', message: `not ready (${ready.reason}): ${ready.message}` };
  }
  return { kind: 'good', message: 'applied' };
}

/** Whether the controller has not yet looked at what the spec says now, or the object is on its way out. */
function isStale(metadata: KubeObject['metadata'], observed: number | undefined): boolean {
  return metadata.deletionTimestamp !== undefined || observed !== metadata.generation;
}

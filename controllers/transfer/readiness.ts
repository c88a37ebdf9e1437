import type { Transfer, TransferStatus } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import type { Standing } from '../../src/runtime/readiness.ts';
import { currentRollback, isUndoing, undoCondition } from './course.ts';
import { derivePhase } from './status.ts';

/** Why a transfer is not accepted and never will be as it stands: what it moves, and where to, cannot be changed. */
const NEVER_ACCEPTED: ReadonlySet<string> = new Set(['SameServer']);

/** Why a wish for a rollback is not granted now, but will be when that has passed. */
const PASSING: ReadonlySet<string> = new Set(['ServerNotOnline', 'TransferActive']);

/** Where a transfer stands, from what is recorded: computed after the phase, never read back. */
export function deriveReadiness(status: Readonly<TransferStatus>, spec: Pick<Transfer['spec'], 'suspend'>): Standing {
  const conditions = status.conditions ?? [];
  const message = status.message ?? '';
  const phase = derivePhase(status);
  // There is a plan, as was asked; what it says is told by Succeeded.
  if (phase === 'Planned') return { state: 'Ready', reason: phase, message };
  const wish = findCondition(conditions, 'RolledBack');
  if (phase === 'Completed') {
    if (wish?.status !== 'False') return { state: 'Ready', reason: phase, message };
    // It was asked to come back, and did not: what passes is waited for.
    return { state: PASSING.has(wish.reason) ? 'Reconciling' : 'Stalled', reason: wish.reason, message: wish.message };
  }
  // What the user asked for is as the spec says; what a failed soak led to is not.
  if (phase === 'RolledBack' && status.rollback?.cause === 'User') return { state: 'Ready', reason: phase, message };
  if (phase === 'Failed' || phase === 'Cancelled' || phase === 'RolledBack') {
    return { state: 'Stalled', reason: phase, message };
  }
  const succeeded = findCondition(conditions, 'Succeeded');
  if (isUndoing(status)) {
    const restored = findCondition(conditions, undoCondition(status));
    // An undo that failed is tried again; one that lacks what it needs waits for the user to bring it back.
    return restored?.status === 'False' && restored.reason !== 'UndoFailed'
      ? { state: 'Stalled', reason: restored.reason, message }
      : { state: 'Reconciling', reason: 'Undoing', message };
  }
  // The step that runs when it is suspended is finished first.
  if (spec.suspend && succeeded?.reason === 'Suspended') return { state: 'Suspended', reason: 'Suspended', message };
  const accepted = findCondition(conditions, 'Accepted');
  if (accepted?.status === 'False') {
    const { reason } = accepted;
    // One that was begun stands still in the middle until somebody brings back what it misses.
    const stalled = NEVER_ACCEPTED.has(reason) || status.startTime !== undefined;
    return { state: stalled ? 'Stalled' : 'Reconciling', reason, message: accepted.message };
  }
  const lock = findCondition(conditions, 'LockAcquired');
  if (lock?.status === 'False') return { state: 'Reconciling', reason: 'WaitingForLock', message: lock.message };
  const usual = currentRollback(status) === undefined ? 'Progressing' : 'RollingBack';
  return { state: 'Reconciling', reason: succeeded?.reason === 'Retrying' ? 'Retrying' : usual, message };
}

import type { Transfer, TransferStatus } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import type { Standing } from '../../src/runtime/readiness.ts';
import { derivePhase } from './status.ts';

/** Why a transfer is not accepted and never will be as it stands: what it moves, and where to, cannot be changed. */
const NEVER_ACCEPTED: ReadonlySet<string> = new Set(['SameServer']);

/** Where a transfer stands, from what is recorded: computed after the phase, never read back. */
export function deriveReadiness(status: Readonly<TransferStatus>, spec: Pick<Transfer['spec'], 'suspend'>): Standing {
  const conditions = status.conditions ?? [];
  const message = status.message ?? '';
  const phase = derivePhase(status);
  if (phase === 'Completed') return { state: 'Ready', reason: phase, message };
  if (phase === 'Failed' || phase === 'Cancelled' || phase === 'RolledBack') {
    return { state: 'Stalled', reason: phase, message };
  }
  const succeeded = findCondition(conditions, 'Succeeded');
  if (status.outcome !== undefined) {
    const restored = findCondition(conditions, 'SourceRestored');
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
    return { state: NEVER_ACCEPTED.has(reason) ? 'Stalled' : 'Reconciling', reason, message: accepted.message };
  }
  const lock = findCondition(conditions, 'LockAcquired');
  if (lock?.status === 'False') return { state: 'Reconciling', reason: 'WaitingForLock', message: lock.message };
  return { state: 'Reconciling', reason: succeeded?.reason === 'Retrying' ? 'Retrying' : 'Progressing', message };
}

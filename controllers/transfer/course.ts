import type { TransferStatus } from '../../src/api/resources.ts';
import { isTrue } from '../../src/runtime/conditions.ts';
import type { Step } from './step.ts';
import type { StepFailure } from './work.ts';

/**
 * Where a transfer is heading, read from what is recorded:
 *
 * - `Move`: from the source to the target. `UndoMove`: that is being taken back.
 * - `Return`: it was moved, and is brought back by `spec.rollback`. `UndoReturn`: bringing it back is being taken back.
 */
export type Course = 'Move' | 'UndoMove' | 'Return' | 'UndoReturn';

export type Rollback = NonNullable<TransferStatus['rollback']>;

/** The rollback under way, if there is one. */
export function currentRollback({ rollback }: Readonly<TransferStatus>): Rollback | undefined {
  return rollback?.outcome === undefined ? rollback : undefined;
}

export function courseOf(status: Readonly<TransferStatus>): Course {
  const rollback = currentRollback(status);
  if (rollback === undefined) return status.outcome === undefined ? 'Move' : 'UndoMove';
  return rollback.failure !== undefined && rollback.committedAt === undefined ? 'UndoReturn' : 'Return';
}

/** Whether everything that was begun is being taken back. */
export function isUndoing(status: Readonly<TransferStatus>): boolean {
  const course = courseOf(status);
  return course === 'UndoMove' || course === 'UndoReturn';
}

/** Whether the present course is past the point from which it is only finished. */
export function isCommitted(status: Readonly<TransferStatus>): boolean {
  return (currentRollback(status) ?? status).committedAt !== undefined;
}

/** Records that the commit point of the present course is passed. */
export function commit(status: TransferStatus, now: string): void {
  (currentRollback(status) ?? status).committedAt = now;
}

/** What went wrong on the present course; of several failures the first is told: the likeliest cause of the others. */
export function noteFailure(status: TransferStatus, failure: StepFailure): void {
  (currentRollback(status) ?? status).failure ??= failure;
}

/** Whether a step belongs to the way back. */
export function isReturn({ name }: { readonly name: string }): boolean {
  return name.startsWith('return-');
}

/** The part of the plan that is followed on the present course. */
export function followed(plan: readonly Step[], status: Readonly<TransferStatus>): readonly Step[] {
  const returning = currentRollback(status) !== undefined;
  return plan.filter((step) => isReturn(step) === returning);
}

/** The rollback was not begun on the servers yet: it still waits for them, or for its locks. */
export function awaitsReturn(status: Readonly<TransferStatus>): boolean {
  return currentRollback(status) !== undefined && !isTrue(status.conditions, 'LockAcquired');
}

/** For `status.message`: users who watch the usual phases go by see that it is the way back. */
export function saying(status: Readonly<TransferStatus>, text: string): string {
  return currentRollback(status) === undefined ? text : `rolling back: ${text}`;
}

/** The condition that tells how the undoing is doing. */
export function undoCondition(status: Readonly<TransferStatus>): 'SourceRestored' | 'RolledBack' {
  return currentRollback(status) === undefined ? 'SourceRestored' : 'RolledBack';
}

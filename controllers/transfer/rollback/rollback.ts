import type { TransferStatus } from '../../../src/api/resources.ts';
import { findCondition } from '../../../src/runtime/conditions.ts';
import { courseOf, isReturn } from '../course.ts';
import type { Rollback } from '../course.ts';
import type { Outlook } from './rollback-outlook.ts';
import type { Work } from '../work.ts';

/** What becomes of the user's wish for a way back: `spec.rollback`, as far as no rollback is under way. */

/** Begins a rollback: from the next visit on, the steps of the way back are taken. */
export function beginRollback(
  { transfer, visit, context }: Work,
  data: Rollback['data'],
  cause: Rollback['cause'],
): void {
  const { status } = visit;
  status.rollback = { data, cause, startTime: visit.now() };
  // Those of a rollback that failed say nothing about this one.
  status.steps = (status.steps ?? []).filter((record) => !isReturn(record));
  if (cause === 'User') {
    status.retryToken = transfer.spec.retryToken ?? '';
    // They were given back when the move was over.
    visit.condition('LockAcquired', 'Unknown', 'Waiting', 'the rollback has not asked for its locks yet');
  }
  delete status.completionTime;
  status.canRollback = false;
  status.message = `rolling back to server ${status.sourceServer ?? ''} (data: ${data})`;
  visit.condition('Succeeded', 'Unknown', 'RollingBack', status.message);
  visit.condition('RolledBack', 'Unknown', 'InProgress', status.message);
  visit.condition('CanRollback', 'False', 'InProgress', 'it is being rolled back');
  visit.log(status.message);
  context.event(cause === 'User' ? 'Normal' : 'Warning', 'RollingBack', status.message);
}

/** Looks at the wish of a transfer that is over. Answers whether a rollback was begun. */
export function judgeWish(work: Work, outlook: Outlook): boolean {
  const { transfer, visit } = work;
  const { status } = visit;
  const wish = transfer.spec.rollback;
  if (wish === undefined) {
    forgetWish(work);
    return false;
  }
  if (isAnswered(work, wish.data)) return false;
  if (wasTooEarly(work)) return false;
  if (!outlook.possible) {
    refuse(work, outlook.reason, outlook.message);
    return false;
  }
  if (transfer.spec.cancel) {
    refuse(work, 'Cancelled', 'spec.cancel is set: set it to false to roll back');
    return false;
  }
  if (wish.data === 'Discard' && status.restore?.overwrittenSince !== undefined) {
    refuse(
      work,
      'SourceOverwritten',
      `a rollback with data Sync began to overwrite the source's data at ${status.restore.overwrittenSince}: only Sync is possible`,
    );
    return false;
  }
  beginRollback(work, wish.data, 'User');
  return true;
}

/** A wish that comes before the transfer is over is refused, and stays so until it is made again. */
export function refuseEarlyWish(work: Work): void {
  if (work.transfer.spec.rollback === undefined) {
    forgetWish(work);
    return;
  }
  const message = 'only a transfer that is over can be rolled back: remove spec.rollback, and set it again then';
  refuse(work, 'NotCompleted', message);
}

/** A rollback that was taken back is not begun again by itself; neither is one that is done. */
function isAnswered({ transfer, visit: { status } }: Work, data: Rollback['data']): boolean {
  const { rollback } = status;
  if (rollback?.outcome === undefined) return false;
  const sameToken = (transfer.spec.retryToken ?? '') === (status.retryToken ?? '');
  const same = rollback.cause === 'User' && rollback.data === data && sameToken;
  if (rollback.outcome === 'Failed') return same;
  const reason = findCondition(status.conditions, 'RolledBack')?.reason;
  // Nobody takes a wish back that was granted; made once more it is a new one.
  return reason === 'AlreadyRolledBack' || (same && reason !== 'WishRemoved');
}

function wasTooEarly({ transfer, visit: { status } }: Work): boolean {
  const early = findCondition(status.conditions, 'RolledBack')?.reason === 'NotCompleted';
  return early && (transfer.spec.retryToken ?? '') === (status.retryToken ?? '');
}

function refuse({ visit, context }: Work, reason: string, message: string): void {
  const before = findCondition(visit.status.conditions, 'RolledBack');
  const isBack = visit.status.rollback?.outcome === 'RolledBack';
  visit.condition('RolledBack', isBack ? 'True' : 'False', reason, message);
  if (before?.reason === reason) return;
  visit.log(`rollback refused (${reason}): ${message}`);
  context.event('Warning', 'RollbackRefused', `${reason}: ${message}`);
}

/** The wish was taken back: what was answered to it no longer stands, so that the same one may be made again. */
function forgetWish({ visit }: Work): void {
  const { status } = visit;
  const said = findCondition(status.conditions, 'RolledBack');
  if (said === undefined) return;
  const { rollback } = status;
  if (rollback?.outcome === 'RolledBack') {
    // What the user did not ask for can hardly be unasked.
    if (rollback.cause === 'User') visit.condition('RolledBack', 'True', 'WishRemoved', said.message);
    return;
  }
  if (rollback?.cause === 'SoakFailure') return;
  if (rollback?.outcome === 'Failed') dropRollback(status);
  visit.condition('RolledBack', 'Unknown', 'NotAskedFor', 'spec.rollback is not set');
}

function dropRollback(status: TransferStatus): void {
  delete status.rollback;
  status.steps = (status.steps ?? []).filter((record) => !isReturn(record));
}

/** Writes down how a rollback ended: the service is back, or runs on at the target as if nothing had been. */
export function endRollback({ transfer, visit, context }: Work): void {
  const { rollback } = visit.status;
  if (rollback === undefined) return;
  const undone = courseOf(visit.status) === 'UndoReturn';
  rollback.completionTime = visit.now();
  rollback.outcome = undone ? 'Failed' : 'RolledBack';
  if (!undone) {
    visit.condition('RolledBack', 'True', 'RolledBack', `data: ${rollback.data}`);
    return;
  }
  const target = transfer.spec.targetServerRef.name;
  const message = `the rollback was taken back, and the service runs on server ${target}: ${rollback.failure?.message ?? ''}`;
  const reason = rollback.failure?.code === 'GF_TRANSFER_CANCELLED' ? 'Cancelled' : 'Failed';
  visit.condition('RolledBack', 'False', reason, message);
  visit.log(message);
  context.event('Warning', 'RollbackFailed', message);
}

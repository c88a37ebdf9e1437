import type { TransferStatus } from '../../src/api/resources.ts';
import { GridferryError } from '../../src/errors.ts';
import { done, requeueAfter } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import { tellOutlook } from './aftercare.ts';
import { courseOf, isReturn } from './course.ts';
import { judgeCredentials } from './transport/credentials.ts';
import { isOver } from './itinerary.ts';
import { endRollback } from './rollback/rollback.ts';
import { isDeleting, uidOf } from './work.ts';
import type { Work } from './work.ts';

/** Everything that was to be done, forwards or backwards, is done. */
export async function finish(work: Work): Promise<Result> {
  const { visit } = work;
  const { status } = visit;
  const course = courseOf(status);
  if (course === 'Return' || course === 'UndoReturn') {
    endRollback(work);
    const goesOn = course === 'UndoReturn' && (status.steps ?? []).some((step) => !isReturn(step) && !isOver(step));
    // A soak that failed led to the rollback before the move was finished; now that the service stays, it is.
    if (goesOn) return requeueAfter(0, 'finish the move');
  }
  await letGo(work);
  if (course === 'Return') tellReturned(work);
  else if (course === 'UndoMove') tellUndone(work);
  else {
    tellMoved(work, course === 'UndoReturn');
    tellOutlook(work);
  }
  visit.log(status.message ?? '');
  if (isDeleting(work)) return requeueAfter(0, 'remove the finalizer');
  return status.canRollback === true ? requeueAfter(0, 'see to the stopped source') : done;
}

async function letGo({ transfer, visit, runs, locks, renewals }: Work): Promise<void> {
  const uid = uidOf({ transfer });
  await locks.release(transfer.metadata);
  renewals.drop(uid);
  await runs.drop(uid, new GridferryError('GF_TRANSFER_CANCELLED', 'the transfer is over'));
  visit.status.completionTime = visit.now();
  delete visit.status.queuePosition;
  visit.condition(...judgeCredentials(visit.status));
}

function tellMoved({ transfer, visit, context }: Work, rollbackFailed: boolean): void {
  const { status } = visit;
  const { failure } = status;
  const where = `the service runs on server ${transfer.spec.targetServerRef.name}`;
  const whyBack = rollbackFailed
    ? `the rollback was taken back: ${status.rollback?.failure?.message ?? ''}`
    : undefined;
  if (failure === undefined) {
    status.message = whyBack === undefined ? where : `${where}; ${whyBack}`;
    visit.condition('Succeeded', 'True', 'Completed', status.message);
    context.event('Normal', 'Completed', status.message);
    return;
  }
  const failed = sentence(failure.message);
  // What cannot run there again says so itself.
  const isGone = rollbackFailed && failure.step === 'return-quiesce';
  const what = isGone
    ? failed
    : `${where}, but step ${failure.step} failed: ${failed} Check it there; ${sourceNow(status)}.`;
  status.message = whyBack === undefined ? what : `${what} ${sentence(whyBack)}`;
  visit.condition('Succeeded', 'False', 'VerificationFailed', status.message);
  context.event('Warning', 'VerificationFailed', status.message);
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function sourceNow({ sourceServer = '', steps = [] }: Readonly<TransferStatus>): string {
  const runsOn = steps.some(({ name, state }) => name === 'stop-source' && state === 'Failed');
  return runsOn
    ? `it may still run on server ${sourceServer}, too: stop it there by hand (docker stop)`
    : 'the stopped source is kept';
}

function tellUndone({ visit, context }: Work): void {
  const { status } = visit;
  const why = status.failure?.message ?? 'cancelled by the user';
  const outcome = status.outcome ?? 'Failed';
  visit.condition('SourceRestored', 'True', 'AsBefore', 'the source is as it was before the transfer');
  visit.condition('Succeeded', 'False', outcome, why);
  status.message = `${sentence(why)} The source is as it was.`;
  context.event(outcome === 'Failed' ? 'Warning' : 'Normal', outcome, status.message);
}

function tellReturned({ transfer, visit, context }: Work): void {
  const { status } = visit;
  const { data, cause, failure } = status.rollback ?? {};
  const target = transfer.spec.targetServerRef.name;
  const kept =
    data === 'Discard'
      ? ` What was written since the move is kept, stopped, on server ${target}: remove its containers and volumes there when it is no longer needed.`
      : '';
  const problem = failure === undefined ? '' : ` Step ${failure.step} failed: ${failure.message}`;
  const asked = cause === 'SoakFailure' ? ` It failed after the cutover: ${status.failure?.message ?? ''}` : '';
  status.message = `the service runs on server ${status.sourceServer ?? ''} again.${asked}${kept}${problem}`;
  status.canRollback = false;
  visit.condition('Succeeded', 'False', 'RolledBack', status.message);
  visit.condition('CanRollback', 'False', 'AlreadyRolledBack', 'it was brought back');
  context.event(cause === 'User' && failure === undefined ? 'Normal' : 'Warning', 'RolledBack', status.message);
}

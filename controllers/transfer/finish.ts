import { GridferryError } from '../../src/errors.ts';
import { done, requeueAfter } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import { locksOf, releaseLocks } from './locks.ts';
import type { References } from './references.ts';
import { isDeleting, uidOf } from './work.ts';
import type { Work } from './work.ts';

/** Everything that was to be done, forwards or backwards, is done. */
export async function finish(work: Work, references: References | undefined): Promise<Result> {
  const { transfer, visit, context, runs } = work;
  const { status } = visit;
  if (references !== undefined) {
    await releaseLocks(context.client, transfer, locksOf(transfer, references.source, references.target));
  }
  await runs.drop(uidOf(work), new GridferryError('GF_TRANSFER_CANCELLED', 'the transfer is over'));
  status.completionTime = visit.now();
  delete status.queuePosition;
  visit.condition('CredentialsScrubbed', 'True', 'NoneMade', 'this transfer made no credentials of its own');
  if (status.outcome === undefined && status.failure === undefined) {
    visit.condition(
      'Succeeded',
      'True',
      'Completed',
      `the service runs on server ${transfer.spec.targetServerRef.name}`,
    );
    status.message = `the service runs on server ${transfer.spec.targetServerRef.name}`;
    context.event('Normal', 'Completed', status.message);
  } else if (status.outcome === undefined) {
    status.message =
      `the service runs on server ${transfer.spec.targetServerRef.name}, but step ${status.failure?.step ?? ''} ` +
      `failed: ${status.failure?.message ?? ''} Check it there; the stopped source is kept.`;
    visit.condition('Succeeded', 'False', 'VerificationFailed', status.message);
    context.event('Warning', 'VerificationFailed', status.message);
  } else {
    const why = status.failure?.message ?? 'cancelled by the user';
    visit.condition('SourceRestored', 'True', 'AsBefore', 'the source is as it was before the transfer');
    visit.condition('Succeeded', 'False', status.outcome, why);
    status.message = `${why}${/[.!?]$/.test(why) ? '' : '.'} The source is as it was.`;
    context.event(status.outcome === 'Failed' ? 'Warning' : 'Normal', status.outcome, status.message);
  }
  visit.log(status.message);
  return isDeleting(work) ? requeueAfter(0, 'remove the finalizer') : done;
}

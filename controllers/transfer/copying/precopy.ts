import { GridferryError } from '../../../src/errors.ts';
import { formatBytes } from '../../format-bytes.ts';
import type { TransferContext } from '../context.ts';
import { copyFirst } from './first-copy.ts';
import type { PlacedItem } from './hash-alongside.ts';
import { openRounds } from './rounds.ts';
import type { Rounds } from './rounds.ts';
import type { StatusChange, StepResult } from '../step.ts';
import { prepareTargetPaths } from './target-paths.ts';

/**
 * Copies all data while the service runs: once, and then in rounds what changed, until the predicted downtime fits
 * `spec.maxDowntime` or rounds no longer get shorter. Repeated, also by another process, it goes on where it was.
 *
 * @param report where to show progress, for a step that does something else at the same time
 * @throws GridferryError `GF_TRANSFER_NOT_CONVERGING` when it cannot fit and `spec.onNoConvergence` is `Fail`
 */
export async function precopy(
  given: TransferContext,
  report: (change: StatusChange) => void = (change) => given.report(change),
): Promise<StepResult> {
  const context = { ...given, report };
  const items: readonly PlacedItem[] = [...(await context.session.data(context)).entries()];
  if (items.length === 0) return { message: 'no data to copy' };
  await prepareTargetPaths(context);
  const rounds = openRounds(context, items);
  await copyFirst(context, items, rounds);
  const fits = await untilItFits(context, rounds);
  if (!fits && context.transfer.spec.onNoConvergence === 'Fail') throw notConverging(rounds);
  const { progress } = rounds;
  const made = rounds.model.rounds;
  return {
    record: progress.change,
    message: `${formatBytes(progress.sent())} sent in ${String(made)} round${made === 1 ? '' : 's'} while the service ran`,
  };
}

/** Makes rounds as long as they help. Answers whether the prediction fits now. */
export async function untilItFits(context: TransferContext, rounds: Rounds): Promise<boolean> {
  for (;;) {
    context.signal.throwIfAborted();
    const { kind } = rounds.verdict();
    if (kind !== 'AnotherRound') return kind === 'Ready';
    await rounds.another();
  }
}

/** What `onNoConvergence: Fail` ends with. */
export function notConverging(rounds: Rounds): GridferryError {
  return new GridferryError(
    'GF_TRANSFER_NOT_CONVERGING',
    `${rounds.explanation()}. The service was not stopped. Raise maxDowntime, let it write less, or set onNoConvergence to Proceed; then change retryToken.`,
  );
}

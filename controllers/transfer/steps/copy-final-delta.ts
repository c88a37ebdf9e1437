import { copyTree } from '../../../src/volumes/copy.ts';
import { verifyTrees } from '../../../src/volumes/verify.ts';
import type { TransferContext } from '../context.ts';
import { copyEnds, reversed } from '../copy-ends.ts';
import { manifestName } from '../data-set.ts';
import { formatBytes } from '../../format-bytes.ts';
import type { TransferStatus } from '../../../src/api/resources.ts';
import { GridferryError } from '../../../src/errors.ts';
import { wasReached } from '../itinerary.ts';
import { dataProgress } from '../progress.ts';
import { assertSourceStopped, assertTargetStopped } from '../source-containers.ts';
import type { Step } from '../step.ts';

/** Copies what changed since the copy that was made while the service ran. Nothing writes any more. */
export const copyFinalDelta: Step = {
  name: 'copy-final-delta',
  phase: 'Restoring',
  async apply(context) {
    await assertSourceStopped(context);
    const progress = dataProgress(context);
    await Promise.all(
      (await context.session.data(context)).map(async (item) => {
        const pass = await copyTree({ ...(await copyEnds(context, item)), running: false });
        progress.add(item.name, 'Final', pass);
      }),
    );
    return { record: progress.change, message: `${formatBytes(progress.sent())} sent while stopped` };
  },
  /**
   * Once the public name may have pointed to the target, clients may have written there: that goes back before the source
   * starts. Before, nothing at the target is worth keeping.
   */
  async undo(context) {
    if (mayHaveServed(context.status)) await returnData(context);
    return undefined;
  },
  undoFirst: true,
};

/** DNS may have been changed by a process that died before it could say so: then only the step's begin is recorded. */
function mayHaveServed(status: Readonly<TransferStatus>): boolean {
  if (status.committedAt !== undefined) return true;
  return status.restore?.dns !== undefined && wasReached(status.steps, 'cut-over-dns');
}

async function returnData(context: TransferContext): Promise<void> {
  await assertTargetStopped(context);
  await assertSourceStopped(context);
  for (const [index, item] of (await context.session.data(context)).entries()) {
    const ends = reversed(await copyEnds(context, item));
    await copyTree({ ...ends, running: false });
    const { result } = await verifyTrees({ ...ends, mode: 'Full', name: manifestName(index) });
    if (result.equal) continue;
    throw new GridferryError(
      'GF_TRANSFER_RETURN_DIFFERS',
      `${item.name} could not be brought back unchanged: ${result.differences.map(({ path }) => path).join(', ')} differ; both copies are kept`,
      { class: 'retryable' },
    );
  }
}

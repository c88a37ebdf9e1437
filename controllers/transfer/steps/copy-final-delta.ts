import type { TransferContext } from '../context.ts';
import { copyEnds } from '../copying/copy-ends.ts';
import type { DataItem } from '../copying/data-set.ts';
import { formatBytes } from '../../format-bytes.ts';
import type { TransferStatus } from '../../../src/api/resources.ts';
import type { CopyPass } from '../../../src/volumes/copy.ts';
import { goOr } from '../../../src/volumes/standby.ts';
import { wasReached } from '../itinerary.ts';
import { dataProgress } from '../copying/progress.ts';
import { carryBack } from '../copying/return-data.ts';
import { measure } from '../source/downtime.ts';
import { sideBySide } from '../copying/side-by-side.ts';
import { assertSourceQuiet, assertSourceStopped, assertTargetStopped } from '../source/source-containers.ts';
import { begun, take } from '../source/stopped-phase.ts';
import type { Step } from '../step.ts';
import { beginReadingLayers } from '../copying/written-layers.ts';

/** Copies what changed since the copy that was made while the service ran. Nothing writes any more. */
export const copyFinalDelta: Step = {
  name: 'copy-final-delta',
  phase: 'Restoring',
  async apply(context) {
    await assertSourceQuiet(context);
    const measured = measure(context, 'deltaMs');
    const { stopped } = context.session;
    // Reading the source, which nobody changes any more, need not wait for the copy.
    beginReadingLayers(context);
    for (const [name, { source, target }] of stopped.manifests) {
      if (source !== undefined) stopped.manifests.set(name, { source: begun(source.go()), ...(target && { target }) });
    }
    const progress = dataProgress(context);
    const items = await context.session.data(context);
    const copy = async (item: DataItem): Promise<void> => {
      const ends = await copyEnds(context, item);
      const ordinary = (): Promise<CopyPass> => context.dataPlane.copyTree({ ...ends, running: false });
      progress.add(item.name, 'Final', await goOr(take(stopped.copies, item.name), ordinary, context.signal));
    };
    await sideBySide(context, items, copy, items.length);
    const deltaMs = measured();
    return {
      record(status, condition) {
        progress.change(status, condition);
        deltaMs(status, condition);
      },
      message: `${formatBytes(progress.sent())} sent while stopped`,
    };
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

/** Whether clients may have written at the target: DNS may have been changed by a process that died before it said so. */
export function mayHaveServed(status: Readonly<TransferStatus>): boolean {
  if (status.committedAt !== undefined) return true;
  return status.restore?.dns !== undefined && wasReached(status.steps, 'cut-over-dns');
}

async function returnData(context: TransferContext): Promise<void> {
  await assertTargetStopped(context);
  await assertSourceStopped(context);
  await carryBack(context);
}

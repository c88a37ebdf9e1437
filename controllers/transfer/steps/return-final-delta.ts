import { formatBytes } from '../../format-bytes.ts';
import type { TransferContext } from '../context.ts';
import { wasReached } from '../itinerary.ts';
import { dataProgress } from '../copying/progress.ts';
import { carryForward, copyBack } from '../copying/return-data.ts';
import { assertSourceStopped, assertTargetStopped, targetContainers } from '../source/source-containers.ts';
import type { Step } from '../step.ts';
import { carryLayersToSource, carryLayersToTarget, describeLayers } from '../copying/writable-layers.ts';

/** Copies back what changed since the last round, and what was written outside volumes. Nothing writes any more. */
export const returnFinalDelta: Step = {
  name: 'return-final-delta',
  phase: 'Restoring',
  async apply(context) {
    if (context.status.rollback?.data === 'Discard') return { skipped: true, message: 'spec.rollback.data is Discard' };
    await assertTargetStopped(context);
    await assertSourceStopped(context);
    const progress = dataProgress(context);
    const items = await context.session.data(context);
    await Promise.all(
      items.map(async (item) => progress.add(item.name, 'Return', await copyBack(context, item, { running: false }))),
    );
    const layers = bringsLayers(context) ? `; ${describeLayers(await carryLayersToSource(context))}` : '';
    return { record: progress.change, message: `${formatBytes(progress.sent())} sent back while stopped${layers}` };
  },
  /**
   * Once the source ran again, clients may have written there, those that still use its address without any change of
   * DNS: that goes to the target before it starts. With Discard the target keeps what it has: it alone has what was written since the move.
   */
  async undo(context) {
    if (context.status.rollback?.data === 'Discard' || !mayHaveServed(context)) return undefined;
    await assertTargetStopped(context);
    await assertSourceStopped(context);
    await carryForward(context);
    if (!bringsLayers(context)) return undefined;
    const present = new Set((await targetContainers(context)).map(({ name }) => name));
    await carryLayersToTarget(context, present);
    return undefined;
  },
  undoFirst: true,
};

function bringsLayers({ transfer }: TransferContext): boolean {
  return transfer.spec.writableLayer !== 'Discard';
}

function mayHaveServed({ status }: TransferContext): boolean {
  return wasReached(status.steps, 'return-start');
}

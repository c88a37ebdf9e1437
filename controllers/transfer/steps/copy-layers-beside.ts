import type { Step } from '../step.ts';
import { carryLayersToTarget, describeLayers } from '../copying/writable-layers.ts';

/** Brings along what the containers wrote outside their volumes so far, while they run: with StartFirst there is no later. */
export const copyLayersBeside: Step = {
  name: 'copy-layers-beside',
  phase: 'Restoring',
  async apply(context) {
    if (context.transfer.spec.writableLayer === 'Discard') {
      return { skipped: true, message: 'spec.writableLayer is Discard' };
    }
    const carried = await carryLayersToTarget(context);
    if (carried.paths === 0 && carried.lost.length === 0) {
      return { skipped: true, message: 'nothing was written outside volumes' };
    }
    return { message: describeLayers(carried) };
  },
};

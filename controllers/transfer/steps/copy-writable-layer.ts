import { measure } from '../source/downtime.ts';
import { assertSourceQuiet, assertSourceStopped, assertTargetStopped } from '../source/source-containers.ts';
import type { Step } from '../step.ts';
import { carryLayersToSource, carryLayersToTarget, describeLayers } from '../copying/writable-layers.ts';
import { mayHaveServed } from './copy-final-delta.ts';

/** Brings along what the containers wrote outside their volumes: it would be lost with the old container. */
export const copyWritableLayers: Step = {
  name: 'copy-writable-layer',
  phase: 'Restoring',
  async apply(context) {
    if (context.transfer.spec.writableLayer === 'Discard') {
      return { skipped: true, message: 'spec.writableLayer is Discard' };
    }
    await assertSourceQuiet(context);
    const measured = measure(context, 'deltaMs');
    const carried = await carryLayersToTarget(context);
    const record = measured();
    if (carried.paths === 0 && carried.lost.length === 0) {
      return { skipped: true, message: 'nothing was written outside volumes', record };
    }
    return { message: describeLayers(carried), record };
  },
  /** Once clients may have written at the target, what came into its containers' own file systems goes back as well. */
  async undo(context) {
    const { transfer, status } = context;
    // With StartFirst the source runs by then, and there was nothing to keep in step.
    if (transfer.spec.writableLayer === 'Discard' || status.strategy === 'StartFirst') return undefined;
    if (!mayHaveServed(status)) return undefined;
    await assertTargetStopped(context);
    await assertSourceStopped(context);
    await carryLayersToSource(context);
    return undefined;
  },
  undoFirst: true,
};

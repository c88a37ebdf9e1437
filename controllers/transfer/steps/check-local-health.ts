import { timestamp } from '../../timestamps.ts';
import { endDowntime, measure } from '../source/downtime.ts';
import { finishFlush } from '../copying/final-pass.ts';
import { waitForLocalHealth } from '../cutover/health.ts';
import type { Step } from '../step.ts';

/** Waits until the service works at the target, as seen from the target itself. */
export const checkLocalHealth: Step = {
  name: 'check-local-health',
  phase: 'Restoring',
  async apply(context) {
    const measured = measure(context, 'healthyMs');
    const message = await waitForLocalHealth(context);
    const healthyMs = measured();
    const downtimeEnd = timestamp(context.clock);
    // The next step may be the commit point: what was proved equal has to survive a power cut from then on.
    await finishFlush(context);
    return {
      record(status, condition) {
        if (status.downtimeStart === undefined) return;
        healthyMs(status, condition);
        endDowntime(status, downtimeEnd);
      },
      message,
    };
  },
};

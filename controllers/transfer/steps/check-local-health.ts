import { timestamp } from '../../timestamps.ts';
import { waitForLocalHealth } from '../health.ts';
import type { Step } from '../step.ts';

/** Waits until the service works at the target, as seen from the target itself. */
export const checkLocalHealth: Step = {
  name: 'check-local-health',
  phase: 'Restoring',
  async apply(context) {
    const message = await waitForLocalHealth(context);
    const downtimeEnd = timestamp(context.clock);
    return {
      record(status) {
        if (status.downtimeStart === undefined) return;
        status.downtimeEnd = downtimeEnd;
        status.downtimeSeconds = Math.round(Date.parse(downtimeEnd) - Date.parse(status.downtimeStart)) / 1000;
      },
      message,
    };
  },
};

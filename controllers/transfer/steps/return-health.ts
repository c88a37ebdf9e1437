import { timestamp } from '../../timestamps.ts';
import { waitForLocalHealth } from '../cutover/health.ts';
import { atSource } from '../source/place.ts';
import type { Step } from '../step.ts';

/** Waits until the service works at the source, as seen from the source itself. */
export const returnHealth: Step = {
  name: 'return-health',
  phase: 'Restoring',
  async apply(context) {
    const message = await waitForLocalHealth(context, atSource(context));
    const downtimeEnd = timestamp(context.clock);
    return {
      record({ rollback }) {
        if (rollback?.downtimeStart === undefined) return;
        rollback.downtimeSeconds = (Date.parse(downtimeEnd) - Date.parse(rollback.downtimeStart)) / 1000;
      },
      message,
    };
  },
};

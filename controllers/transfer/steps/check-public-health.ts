import { waitForPublicHealth } from '../cutover/health.ts';
import type { Step } from '../step.ts';

/** Asks the service at its new address from outside, by the name clients use. */
export const checkPublicHealth: Step = {
  name: 'check-public-health',
  phase: 'Verifying',
  async apply(context) {
    const message = await waitForPublicHealth(context);
    return message === undefined
      ? { skipped: true, message: 'no port is published, or the target has no public address' }
      : { message };
  },
};

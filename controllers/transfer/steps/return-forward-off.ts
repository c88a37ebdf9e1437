import { removeForward } from '../cutover/forwarding.ts';
import type { Step } from '../step.ts';
import { forwardOldAddress } from './forward-old-address.ts';

/** The source no longer passes on what arrives there: it is about to answer itself. That is not done in the downtime. */
export const returnForwardOff: Step = {
  name: 'return-forward-off',
  phase: 'Restoring',
  untilDone: 'connections to the source may still be passed on to the target',
  async apply(context) {
    const record = await removeForward(context);
    return record === undefined
      ? { skipped: true, message: 'nothing is passed on' }
      : { record, message: 'the source passes on nothing any more' };
  },
  async undo(context) {
    const { until } = context.status.forward ?? {};
    if (until === undefined || Date.parse(until) <= context.clock.now()) return undefined;
    return (await forwardOldAddress.apply(context)).record;
  },
};

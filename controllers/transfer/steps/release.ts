import { parseDuration } from '../../../src/runtime/duration.ts';
import { timestamp } from '../../timestamps.ts';
import { sweep } from '../benches.ts';
import type { Step } from '../step.ts';
import { unlock } from './lock-servers.ts';

/** Takes away what the transfer needed and the service does not; opens the time in which there is a way back. */
export const release: Step = {
  name: 'release',
  phase: 'Completed',
  async apply(context) {
    await sweep(context, 'source', 'target');
    await unlock(context);
    const rollbackDeadline = timestamp(context.clock, parseDuration(context.transfer.spec.rollbackWindow));
    return {
      record: (status) => void (status.rollbackDeadline = rollbackDeadline),
      message: `the stopped source stays until ${rollbackDeadline} at least`,
    };
  },
};

import { parseDuration } from '../../../src/runtime/duration.ts';
import { timestamp } from '../../timestamps.ts';
import { sweep } from '../copying/benches.ts';
import { noteStopped } from '../source/stopped-source.ts';
import { scrubCredentials } from '../transport/credentials.ts';
import type { Step } from '../step.ts';
import { unlock } from './lock-servers.ts';

/** Takes away what the transfer needed and the service does not; opens the time in which there is a way back. */
export const release: Step = {
  name: 'release',
  phase: 'Completed',
  releases: true,
  async apply(context) {
    const [stopped, scrubbed] = await Promise.all([noteStopped(context), scrubCredentials(context)]);
    await sweep(context, 'source', 'target');
    await unlock(context);
    const rollbackDeadline = timestamp(context.clock, parseDuration(context.transfer.spec.rollbackWindow));
    return {
      record(status, condition) {
        stopped(status, condition);
        scrubbed(status, condition);
        status.rollbackDeadline = rollbackDeadline;
      },
      message: `the stopped source stays until ${rollbackDeadline} at least`,
    };
  },
};

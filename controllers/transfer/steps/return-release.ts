import { sweep } from '../copying/benches.ts';
import { scrubCredentials } from '../transport/credentials.ts';
import { dropRetentionMark } from '../rollback/retention-mark.ts';
import type { Step } from '../step.ts';
import { unlock } from './lock-servers.ts';

/** Takes away what the rollback needed and the service does not. */
export const returnRelease: Step = {
  name: 'return-release',
  phase: 'Completed',
  releases: true,
  async apply(context) {
    const scrubbed = await scrubCredentials(context);
    await sweep(context, 'source', 'target');
    await dropRetentionMark(context);
    await unlock(context);
    return { record: scrubbed, message: 'both servers' };
  },
};

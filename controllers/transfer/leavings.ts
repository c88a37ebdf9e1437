import type { TransferStatus } from '../../src/api/resources.ts';
import { sweep } from './copying/benches.ts';
import { scrubCredentials } from './transport/credentials.ts';
import type { Step } from './step.ts';
import { unlock } from './steps/lock-servers.ts';
import { returnCleanTarget } from './steps/return-clean-target.ts';
import { HELPERS_LEFT } from './steps/return-preflight.ts';

/** The steps that take away what a transfer needed: a server that was away for long made them fail, and they were passed. */
const TIDYING: ReadonlySet<string> = new Set(['release', returnCleanTarget.name, 'return-release']);

/** Whether a transfer that is over has left something on a server. */
export function hasLeavings(status: Readonly<TransferStatus>): boolean {
  return status.credentials !== undefined || failedTidying(status).length > 0;
}

/** Takes away what was left, when the servers can be reached again. */
export const scrubLeavings: Step = {
  name: 'scrub-credentials',
  phase: 'Completed',
  async apply(context) {
    if (failedTidying(context.status).some(({ name }) => name === returnCleanTarget.name)) {
      await returnCleanTarget.apply(context);
    }
    const scrubbed = await scrubCredentials(context);
    await sweep(context, 'source', 'target');
    await unlock(context);
    return { record: scrubbed, message: 'what the transfer had left on the servers was taken away' };
  },
};

/** Writes down that nothing is left. */
export function settleLeavings(status: TransferStatus): void {
  for (const record of failedTidying(status)) {
    if (record.message === HELPERS_LEFT) delete record.message;
    else record.state = 'Done';
  }
}

function failedTidying({ steps = [] }: Readonly<TransferStatus>): NonNullable<TransferStatus['steps']> {
  return steps.filter(
    ({ name, state, message }) => (TIDYING.has(name) && state === 'Failed') || message === HELPERS_LEFT,
  );
}

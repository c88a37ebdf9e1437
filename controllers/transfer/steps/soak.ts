import { GridferryError } from '../../../src/errors.ts';
import { sleep } from '../../../src/runtime/clock.ts';
import { parseDuration } from '../../../src/runtime/duration.ts';
import { probeOnce } from '../health.ts';
import type { Step } from '../step.ts';

const INTERVAL_MS = 1000;
const FAILURES = 3;

/** Watches the service at its new place for a while. */
export const soak: Step = {
  name: 'soak',
  phase: 'Verifying',
  async apply(context) {
    const duration = parseDuration(context.transfer.spec.soak);
    const until = context.clock.monotonic() + duration;
    let failures = 0;
    for (let left = duration; left > 0; left = until - context.clock.monotonic()) {
      await sleep(context.clock, Math.min(left, INTERVAL_MS), context.signal);
      const problem = await probeOnce(context);
      failures = problem === undefined ? 0 : failures + 1;
      if (failures >= FAILURES) {
        throw new GridferryError(
          'GF_TRANSFER_SOAK_FAILED',
          `the service worked at first and then failed ${String(FAILURES)} times in a row: ${problem ?? ''}`,
        );
      }
    }
    return {
      message: `watched for ${context.transfer.spec.soak}`,
      record: (status, condition) => {
        if (status.failure === undefined)
          condition('Verified', 'True', 'Healthy', 'the service works at its new place');
      },
    };
  },
};

import type { TransferStatus } from '../../../src/api/resources.ts';
import { GridferryError } from '../../../src/errors.ts';
import { sleep } from '../../../src/runtime/clock.ts';
import { parseDuration } from '../../../src/runtime/duration.ts';
import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import { probeOnce } from '../cutover/health.ts';
import type { Step } from '../step.ts';

const INTERVAL_MS = 1000;

/** Watches the service at its new place for a while. A process that takes over goes on where the last one was. */
export const soak: Step = {
  name: 'soak',
  phase: 'Verifying',
  async apply(context) {
    const { failureThreshold } = context.transfer.spec.soak;
    const progress = structuredClone(context.status.soak) ?? {
      startTime: timestamp(context.clock),
      probes: 0,
      failures: 0,
    };
    const show = (): void => {
      const shown = { ...progress };
      context.report((status) => void (status.soak = { ...shown }));
    };
    show();
    const until = context.clock.monotonic() + timeLeft(context, progress.startTime);
    for (let left = timeLeft(context, progress.startTime); left > 0; left = until - context.clock.monotonic()) {
      await sleep(context.clock, Math.min(left, INTERVAL_MS), context.signal);
      const problem = await probeOnce(context);
      progress.probes++;
      progress.failures = problem === undefined ? 0 : progress.failures + 1;
      if (problem !== undefined) progress.message = context.dependencies.redactor.redact(problem);
      show();
      if (progress.failures < failureThreshold) continue;
      throw new GridferryError(
        'GF_TRANSFER_SOAK_FAILED',
        `the service worked at first and then failed ${String(progress.failures)} times in a row: ${problem ?? ''}`,
      );
    }
    return {
      message: `watched for ${context.transfer.spec.soak.duration}`,
      record: (status, condition) => {
        status.soak = { ...progress };
        if (status.failure === undefined)
          condition('Verified', 'True', 'Healthy', 'the service works at its new place');
      },
    };
  },
};

/** What remains of the time, in ms; a clock that was set back does not make it longer. */
function timeLeft(
  { transfer, clock }: TransferContext,
  startTime: NonNullable<TransferStatus['soak']>['startTime'],
): number {
  const duration = parseDuration(transfer.spec.soak.duration);
  return Math.min(duration, duration - (clock.now() - Date.parse(startTime)));
}

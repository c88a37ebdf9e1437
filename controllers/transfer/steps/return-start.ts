import { atSource } from '../source/place.ts';
import { startAsRecorded, stopForGood } from '../source/service-power.ts';
import { assertTargetStopped, recordedContainers } from '../source/source-containers.ts';
import type { Step } from '../step.ts';
import { noteStopped } from '../source/stopped-source.ts';

/** Starts the service at the source as it ran there before the move, after the target was seen stopped. */
export const returnStart: Step = {
  name: 'return-start',
  phase: 'Restoring',
  async apply(context) {
    await assertTargetStopped(context);
    const containers = recordedContainers(context);
    // What this process still knows of the source's stop is about to be no longer true.
    context.session.stopped.forget();
    await startAsRecorded(context, atSource(context), containers);
    return { message: `${String(containers.filter(({ running }) => running).length)} container(s) started` };
  },
  async undo(context) {
    await stopForGood(context, atSource(context), recordedContainers(context));
    // It was this transfer that started them: a later look must not take it for somebody else.
    return noteStopped(context);
  },
  undoFirst: true,
};

import { atSource } from '../source/place.ts';
import { startAsRecorded, stopForGood } from '../source/service-power.ts';
import { recordedContainers } from '../source/source-containers.ts';
import type { Step } from '../step.ts';

/** Stops the source once the target has taken over: the service was never away. */
export const stopSource: Step = {
  name: 'stop-source',
  phase: 'DNSCutover',
  patient: true,
  untilDone: 'the service may still run at the source as well',
  async apply(context) {
    // Read now: after the stop the source no longer shows how it was.
    await context.session.capture(context);
    const containers = recordedContainers(context);
    await stopForGood(context, atSource(context), containers);
    return {
      record: (status) => void (status.downtimeSeconds = 0),
      message: `${String(containers.length)} container(s) stopped, after the target had taken over`,
    };
  },
  async undo(context) {
    const containers = recordedContainers(context);
    // A stop that may have begun is carried through: a signal that was sent cannot be taken back.
    await stopForGood(context, atSource(context), containers);
    await startAsRecorded(context, atSource(context), containers);
    return undefined;
  },
};

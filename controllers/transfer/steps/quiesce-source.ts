import { inspectState, setRestartPolicy, startContainer, stopContainer } from '../../../src/docker/lifecycle.ts';
import type { RestartPolicyCapture } from '../../../src/docker/container-capture.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import { timestamp } from '../../timestamps.ts';
import { wasReached } from '../itinerary.ts';
import { assertTargetStopped, recordedContainers } from '../source-containers.ts';
import type { RecordedContainer } from '../source-containers.ts';
import type { Step } from '../step.ts';

/**
 * Stops the source. The restart policy goes first: else a reboot in the middle of the move would bring a second writer
 * to life.
 */
export const quiesceSource: Step = {
  name: 'quiesce-source',
  phase: 'Restoring',
  async apply(context) {
    const { engine } = await context.session.source(context);
    // Read now: after the stop the source no longer shows how it was.
    await context.session.capture(context);
    const containers = recordedContainers(context);
    for (const { id } of containers) await setRestartPolicy(engine, id, { name: 'no', maximumRetryCount: 0 });
    const downtimeStart = timestamp(context.clock);
    context.report((status) => void (status.downtimeStart ??= downtimeStart));
    for (const { id } of containers.toReversed()) await stopContainer(engine, id, { signal: context.signal });
    return {
      record: (status) => void (status.downtimeStart ??= downtimeStart),
      message: `${String(containers.length)} container(s) stopped`,
    };
  },
  async undo(context) {
    // Two writers must not be, whatever became of the steps after this one.
    if (wasReached(context.status.steps, 'start-target')) await assertTargetStopped(context);
    const { engine } = await context.session.source(context);
    const containers = recordedContainers(context);
    for (const container of containers.toReversed()) await finishStop(engine, container);
    for (const container of containers) {
      if (container.running) await startContainer(engine, container.id);
      await setRestartPolicy(engine, container.id, policyOf(container));
    }
    return (status) => {
      if (status.downtimeStart !== undefined) status.downtimeEnd = timestamp(context.clock);
    };
  },
};

/**
 * A stop signal that was sent cannot be taken back: the container would run on for a while, and then be gone. So a stop
 * that may have begun is carried through before the start. It began if the restart policy is no longer what it was.
 */
async function finishStop(engine: Engine, container: RecordedContainer): Promise<void> {
  const state = await inspectState(engine, container.id);
  if (!state.running || !container.running) return;
  if (container.restartPolicy !== 'no' && state.restartPolicy.name === container.restartPolicy) return;
  await stopContainer(engine, container.id);
}

function policyOf(container: RecordedContainer): RestartPolicyCapture {
  return { name: container.restartPolicy, maximumRetryCount: container.restartMaximumRetryCount ?? 0 };
}

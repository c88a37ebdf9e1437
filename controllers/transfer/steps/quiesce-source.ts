import { abortable } from '../../../src/runtime/abortable.ts';
import { inspectState, setRestartPolicy, startContainer } from '../../../src/docker/lifecycle.ts';
import type { RestartPolicyCapture } from '../../../src/docker/container-capture.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import { readyToStop, stopContainer } from '../../../src/docker/stop.ts';
import type { ReadyToStop } from '../../../src/docker/stop.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import { endDowntime, measure } from '../source/downtime.ts';
import { prepareFinalPass } from '../copying/final-pass.ts';
import { wasReached } from '../itinerary.ts';
import { assertTargetStopped, recordedContainers } from '../source/source-containers.ts';
import type { RecordedContainer } from '../source/source-containers.ts';
import type { Step } from '../step.ts';
import { wavesOf } from '../source/waves.ts';

/**
 * Stops the source. The restart policy goes first: else a reboot in the middle of the move would bring a second writer
 * to life. It is over when the last process is seen gone; Docker's own clean-up goes on beside the steps that follow.
 */
export const quiesceSource: Step = {
  name: 'quiesce-source',
  phase: 'Restoring',
  async apply(context) {
    const { engine } = await context.session.source(context);
    const containers = recordedContainers(context);
    // Read now: after the stop the source no longer shows how it was.
    const waves = await wavesOf(context);
    const alreadyDown = context.status.downtimeStart !== undefined;
    if (!alreadyDown) await prepareFinalPass(context);
    await Promise.all(containers.map(({ id }) => setRestartPolicy(engine, id, { name: 'no', maximumRetryCount: 0 })));
    const order = waves.toReversed().map((wave) => wave.map(({ id }) => id));
    const ready = await readyToStop(engine, order.flat(), { clock: context.clock });
    const downtimeStart = timestamp(context.clock);
    const measured = measure(context, 'stopMs');
    context.report((status) => void (status.downtimeStart ??= downtimeStart));
    try {
      for (const wave of order) await stopWave(context, ready, wave);
    } finally {
      ready.close();
    }
    const stopMs = measured();
    return {
      record(status, condition) {
        status.downtimeStart ??= downtimeStart;
        stopMs(status, condition);
      },
      message: `${String(containers.length)} container(s) stopped`,
    };
  },
  async undo(context) {
    // Two writers must not be, whatever became of the steps after this one.
    if (wasReached(context.status.steps, 'start-target')) await assertTargetStopped(context);
    const { engine } = await context.session.source(context);
    const containers = recordedContainers(context);
    for (const container of containers.toReversed()) await finishStop(engine, container, context.clock);
    for (const container of containers) {
      if (container.running) await startContainer(engine, container.id);
      await setRestartPolicy(engine, container.id, policyOf(container));
    }
    context.session.stopped.forget();
    const end = timestamp(context.clock);
    return (status) => endDowntime(status, end);
  },
};

/** Stops these at the same time, and remembers that they are gone. */
async function stopWave(
  { session, signal }: TransferContext,
  ready: ReadyToStop,
  wave: readonly string[],
): Promise<void> {
  signal.throwIfAborted();
  const stops = wave.map((id) => [id, ready.stop(id)] as const);
  await abortable(Promise.all(stops.map(([, { gone }]) => gone)), signal);
  for (const [id, stopping] of stops) session.stopped.stops.set(id, stopping);
}

/**
 * A stop signal that was sent cannot be taken back: the container would run on for a while, and then be gone. So a stop
 * that may have begun is carried through before the start. It began if the restart policy is no longer what it was.
 */
async function finishStop(engine: Engine, container: RecordedContainer, clock: Clock): Promise<void> {
  const state = await inspectState(engine, container.id);
  if (!state.running || !container.running) return;
  if (container.restartPolicy !== 'no' && state.restartPolicy.name === container.restartPolicy) return;
  await stopContainer(engine, container.id, { clock });
}

function policyOf(container: RecordedContainer): RestartPolicyCapture {
  return { name: container.restartPolicy, maximumRetryCount: container.restartMaximumRetryCount ?? 0 };
}

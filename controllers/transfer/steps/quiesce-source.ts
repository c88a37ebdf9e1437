import { inspectState, setRestartPolicy, startContainer, stopContainer } from '../../../src/docker/lifecycle.ts';
import { timestamp } from '../../timestamps.ts';
import { recordedContainers } from '../source-containers.ts';
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
    const { engine } = await context.session.source(context);
    for (const container of recordedContainers(context)) {
      const state = await inspectState(engine, container.id);
      if (container.running && !state.running) await startContainer(engine, container.id);
      await setRestartPolicy(engine, container.id, {
        name: container.restartPolicy,
        maximumRetryCount: container.restartMaximumRetryCount ?? 0,
      });
    }
    return (status) => {
      if (status.downtimeStart !== undefined) status.downtimeEnd = timestamp(context.clock);
    };
  },
};

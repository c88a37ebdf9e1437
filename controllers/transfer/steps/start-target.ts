import {
  inspectState,
  setRestartPolicy,
  startContainer,
  stopContainer,
  waitHealthy,
} from '../../../src/docker/lifecycle.ts';
import { assertSourceStopped, targetContainer, targetContainers } from '../source-containers.ts';
import { waitsForHealth } from '../start-conditions.ts';
import type { Step } from '../step.ts';

/** Starts the service at the target, after the source was seen stopped. */
export const startTarget: Step = {
  name: 'start-target',
  phase: 'Restoring',
  async apply(context) {
    await assertSourceStopped(context);
    const { engine } = await context.session.target(context);
    const { containers } = await context.session.capture(context);
    const toStart = containers.filter((container) => container.running);
    for (const container of toStart) {
      const { id } = await targetContainer(context, container.name);
      await startContainer(engine, id);
      if (waitsForHealth(container, toStart)) {
        await waitHealthy(engine, id, { timeoutMs: 120_000, signal: context.signal });
      }
    }
    return { message: `${String(toStart.length)} container(s) started` };
  },
  async undo(context) {
    const { engine } = await context.session.target(context);
    for (const { id } of (await targetContainers(context)).toReversed()) {
      // Else a restart of the engine there could bring it back to life beside the source.
      await setRestartPolicy(engine, id, { name: 'no', maximumRetryCount: 0 });
      const state = await inspectState(engine, id);
      if (state.running) await stopContainer(engine, id, {});
    }
    return undefined;
  },
  undoFirst: true,
};

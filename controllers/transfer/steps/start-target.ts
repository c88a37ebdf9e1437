import { inspectState, setRestartPolicy, startContainer, waitHealthy } from '../../../src/docker/lifecycle.ts';
import { stopContainer } from '../../../src/docker/stop.ts';
import type { TransferContext } from '../context.ts';
import { measure } from '../source/downtime.ts';
import { assertSourceStopped, targetContainer, targetContainers } from '../source/source-containers.ts';
import { waitsForHealth } from '../source/start-conditions.ts';
import type { Step, StepResult } from '../step.ts';
import { wavesOf } from '../source/waves.ts';

/** Starts the service at the target, after the source was seen stopped. */
export const startTarget: Step = {
  name: 'start-target',
  phase: 'Restoring',
  async apply(context) {
    const measured = measure(context, 'startMs');
    const [made] = await Promise.all([targetContainers(context), assertSourceStopped(context)]);
    const result = await startAtTarget(context, made);
    return { ...result, record: measured() };
  },
  undo: stopAtTarget,
  undoFirst: true,
};

/** Starts what ran at the source, in start order. Whether the source may still run is the caller's business. */
export async function startAtTarget(
  context: TransferContext,
  found?: Awaited<ReturnType<typeof targetContainers>>,
): Promise<StepResult> {
  const { engine } = await context.session.target(context);
  const waves = await wavesOf(context);
  const made = new Map((found ?? (await targetContainers(context))).map(({ id, name }) => [name, id]));
  const toStart = waves.flat().filter((container) => container.running);
  for (const wave of waves) {
    await Promise.all(
      wave.map(async (container) => {
        if (!container.running) return;
        const id = made.get(container.name) ?? (await targetContainer(context, container.name)).id;
        await startContainer(engine, id);
        if (waitsForHealth(container, toStart)) {
          await waitHealthy(engine, id, { timeoutMs: 120_000, signal: context.signal, clock: context.clock });
        }
      }),
    );
  }
  return { message: `${String(toStart.length)} container(s) started` };
}

/** Stops for good what this transfer started at the target. */
export async function stopAtTarget(context: TransferContext): Promise<undefined> {
  const { engine } = await context.session.target(context);
  for (const { id } of (await targetContainers(context)).toReversed()) {
    // Else a restart of the engine there could bring it back to life beside the source.
    await setRestartPolicy(engine, id, { name: 'no', maximumRetryCount: 0 });
    const state = await inspectState(engine, id);
    if (state.running) await stopContainer(engine, id, { clock: context.clock });
  }
  return undefined;
}

import { orUndefined } from '../../../src/docker/engine-error.ts';
import { inspectState, setRestartPolicy, startContainer, waitHealthy } from '../../../src/docker/lifecycle.ts';
import { stopContainer } from '../../../src/docker/stop.ts';
import type { TransferContext } from '../context.ts';
import type { Place } from './place.ts';
import type { RecordedContainer } from './source-containers.ts';
import { waitsForHealth } from './start-conditions.ts';

const HEALTH_TIMEOUT_MS = 120_000;

/**
 * Starts those containers that ran, in start order, and gives all of them back their restart policies: the policy last,
 * so that one which never came up is not revived behind our back.
 */
export async function startAsRecorded(
  context: TransferContext,
  place: Place,
  recorded: readonly RecordedContainer[],
): Promise<void> {
  const { engine } = await place.connect();
  const { containers } = await context.session.capture(context);
  const order = containers.flatMap((container) => recorded.filter(({ name }) => name === container.name));
  const toStart = containers.filter(({ name }) => recorded.some((one) => one.name === name && one.running));
  for (const { id, name, running } of order) {
    const container = containers.find((one) => one.name === name);
    if (!running || container === undefined) continue;
    await startContainer(engine, id);
    if (waitsForHealth(container, toStart)) {
      await waitHealthy(engine, id, { timeoutMs: HEALTH_TIMEOUT_MS, signal: context.signal, clock: context.clock });
    }
  }
  for (const { id, restartPolicy, restartMaximumRetryCount = 0 } of order) {
    await setRestartPolicy(engine, id, { name: restartPolicy, maximumRetryCount: restartMaximumRetryCount });
  }
}

/** Whether one that still runs may have been told to stop: before that its restart policy is taken away. */
export async function mayBeStopping(place: Place, recorded: readonly RecordedContainer[]): Promise<boolean> {
  const { engine } = await place.connect();
  for (const { id, restartPolicy, running } of recorded) {
    const state = await inspectState(engine, id);
    const untouched = restartPolicy !== 'no' && state.restartPolicy.name === restartPolicy;
    if (running && state.running && !untouched) return true;
  }
  return false;
}

/**
 * Stops containers for good, last started first: with their restart policies off, a reboot does not revive them. One that
 * somebody has removed is stopped.
 */
export async function stopForGood(
  context: TransferContext,
  place: Place,
  containers: readonly { readonly id: string }[],
): Promise<void> {
  const { engine } = await place.connect();
  const off = { name: 'no', maximumRetryCount: 0 } as const;
  await Promise.all(containers.map(({ id }) => orUndefined(setRestartPolicy(engine, id, off))));
  for (const { id } of containers.toReversed()) {
    const state = await orUndefined(inspectState(engine, id));
    if (state?.running === true || state?.paused === true) await stopContainer(engine, id, { clock: context.clock });
  }
}

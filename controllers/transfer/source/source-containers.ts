import { dockerCall, filters } from '../../../src/docker/api.ts';
import { inspectState } from '../../../src/docker/lifecycle.ts';
import type { ContainerState } from '../../../src/docker/lifecycle.ts';
import { isDockerStatus } from '../../../src/docker/engine-error.ts';
import type { TransferStatus } from '../../../src/api/resources.ts';
import { GridferryError } from '../../../src/errors.ts';
import { sleep } from '../../../src/runtime/clock.ts';
import { marksOf } from '../context.ts';
import type { TransferContext } from '../context.ts';

/** The two sides of "never two writers". */

export type RecordedContainer = NonNullable<TransferStatus['restore']>['containers'][number];

/** The source's containers as they were, in start order. Empty when nothing was captured yet. */
export function recordedContainers({ status }: TransferContext): readonly RecordedContainer[] {
  return status.restore?.containers ?? [];
}

/**
 * Throws unless nobody writes at the source any more: its processes were seen gone by this process, or Docker says that
 * they are. Enough for reading there; before anything is started at the target, `assertSourceStopped` is asked.
 *
 * @throws GridferryError `GF_TRANSFER_SOURCE_RUNNING`
 */
export async function assertSourceQuiet(context: TransferContext): Promise<void> {
  const { stops } = context.session.stopped;
  if (!recordedContainers(context).every(({ id }) => stops.has(id))) await assertSourceStopped(context);
}

/** How long Docker may take to clean up after a container's last process, in ms. */
const CLEAN_UP_MS = 10_000;
const LOOK_AGAIN_MS = 100;

/**
 * Throws unless Docker says that every container of the source is stopped. Its clean-up after the stop is waited for.
 *
 * @throws GridferryError `GF_TRANSFER_SOURCE_RUNNING`
 */
export async function assertSourceStopped(context: TransferContext): Promise<void> {
  const { clock, session, signal } = context;
  const { engine } = await session.source(context);
  const containers = recordedContainers(context);
  const deadline = clock.monotonic() + CLEAN_UP_MS;
  // Whatever became of the calls that stopped them, the look below decides.
  const settled = Promise.allSettled(containers.flatMap(({ id }) => session.stopped.stops.get(id)?.settled ?? []));
  const enough = new AbortController();
  const limit = sleep(clock, CLEAN_UP_MS, AbortSignal.any([signal, enough.signal])).catch(() => undefined);
  await Promise.race([settled, limit]);
  enough.abort();
  for (;;) {
    signal.throwIfAborted();
    const states = await Promise.all(containers.map(({ id }) => inspectState(engine, id, signal)));
    const again = states.filter(({ id, startedAt }) => {
      const stopped = session.stopped.stops.get(id);
      return stopped !== undefined && stopped.startedAt !== startedAt;
    });
    const running = states.filter((state) => state.running || state.paused);
    if (again.length === 0 && running.length === 0) return;
    if (again.length > 0 || clock.monotonic() >= deadline)
      throw sourceRuns(context, again.length > 0 ? again : running);
    await sleep(clock, LOOK_AGAIN_MS, signal);
  }
}

function sourceRuns({ sourceServer }: TransferContext, states: readonly ContainerState[]): GridferryError {
  const names = states.map(({ name }) => name).join(', ');
  return new GridferryError(
    'GF_TRANSFER_SOURCE_RUNNING',
    `${names} runs again on server ${sourceServer.metadata.name}, or ran since it was stopped: somebody started it during the transfer. It is left as it is, and the target is not started.`,
  );
}

/** What this transfer made at the target, in no order. */
export async function targetContainers(
  context: TransferContext,
): Promise<readonly { readonly id: string; readonly name: string }[]> {
  const { engine } = await context.session.target(context);
  const label = Object.entries(marksOf(context.transfer)).map(([name, value]) => `${name}=${value}`);
  const list = await dockerCall<readonly { Id: string; Names: readonly string[]; Labels: Record<string, string> }[]>(
    engine,
    {
      method: 'GET',
      path: ['containers', 'json'],
      query: { all: true, filters: filters({ label }) },
      doing: 'list the containers of the transfer',
      signal: context.signal,
    },
  );
  return list
    .filter((one) => one.Labels['gridferry.io/workbench'] === undefined)
    .map((one) => ({ id: one.Id, name: (one.Names[0] ?? '').replace(/^\//, '') }));
}

/** The container of this name that this transfer made at the target. */
export async function targetContainer(context: TransferContext, name: string): Promise<{ readonly id: string }> {
  const found = (await targetContainers(context)).find((container) => container.name === name);
  if (found !== undefined) return found;
  throw new GridferryError(
    'GF_TRANSFER_TARGET_GONE',
    `container ${name}, which this transfer made on server ${context.targetServer.metadata.name}, is gone: somebody removed it`,
  );
}

/** Throws unless nothing that this transfer made at the target runs. */
export async function assertTargetStopped(context: TransferContext): Promise<void> {
  const { engine } = await context.session.target(context);
  for (const { id, name } of await targetContainers(context)) {
    const running = await inspectState(engine, id).then(
      (state) => state.running,
      (error: unknown) => {
        if (isDockerStatus(error, 404)) return false;
        throw error;
      },
    );
    if (!running) continue;
    throw new GridferryError('GF_TRANSFER_TARGET_RUNNING', `container ${name} still runs at the target`, {
      class: 'retryable',
    });
  }
}

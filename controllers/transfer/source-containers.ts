import { dockerCall, filters } from '../../src/docker/api.ts';
import { inspectState } from '../../src/docker/lifecycle.ts';
import { isDockerStatus } from '../../src/docker/engine-error.ts';
import type { TransferStatus } from '../../src/api/resources.ts';
import { GridferryError } from '../../src/errors.ts';
import { marksOf } from './context.ts';
import type { TransferContext } from './context.ts';

/** The two sides of "never two writers". */

export type RecordedContainer = NonNullable<TransferStatus['restore']>['containers'][number];

/** The source's containers as they were, in start order. Empty when nothing was captured yet. */
export function recordedContainers({ status }: TransferContext): readonly RecordedContainer[] {
  return status.restore?.containers ?? [];
}

/**
 * Throws unless every container of the source is seen stopped.
 *
 * @throws GridferryError `GF_TRANSFER_SOURCE_RUNNING`
 */
export async function assertSourceStopped(context: TransferContext): Promise<void> {
  const { engine } = await context.session.source(context);
  const states = await Promise.all(recordedContainers(context).map(({ id }) => inspectState(engine, id)));
  const running = states.filter((state) => state.running || state.paused);
  if (running.length === 0) return;
  throw new GridferryError(
    'GF_TRANSFER_SOURCE_RUNNING',
    `${running.map((state) => state.name).join(', ')} runs again on server ${context.sourceServer.metadata.name}: somebody started it during the transfer. It is left running, and the target is not started.`,
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

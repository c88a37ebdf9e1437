import { dockerCall } from '../../../src/docker/api.ts';
import { findCondition } from '../../../src/runtime/conditions.ts';
import { isDockerStatus, orUndefined } from '../../../src/docker/engine-error.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import { inspectState } from '../../../src/docker/lifecycle.ts';
import { inspectNetwork } from '../../../src/docker/network-capture.ts';
import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import { dropRetentionMark, makeRetentionMark, readRetentionMark } from './retention-mark.ts';
import type { RetentionMark } from './retention-mark.ts';
import { recordedContainers } from '../source/source-containers.ts';
import type { Step } from '../step.ts';
import { lookForObstacles, sourceObstacles } from '../source/stopped-source.ts';

/**
 * What is done for a transfer that is over, while its window lasts and when it ends. They are steps that are in no plan:
 * each looks first, and may run any number of times.
 */

/** Looks whether the service could still be brought back. */
export const lookAtSource: Step = {
  name: 'look-at-source',
  phase: 'Completed',
  async apply(context) {
    try {
      const [first] = await lookForObstacles(context);
      return {
        record(_status, condition) {
          if (first === undefined)
            condition('CanRollback', 'True', 'WithinWindow', 'the stopped source is as it was left');
          else condition('CanRollback', 'False', first.reason, first.message);
        },
      };
    } finally {
      await context.session.close();
    }
  },
};

/** Marks on the source what may be deleted at the end of the window. */
export const markSource: Step = {
  name: 'mark-source',
  phase: 'Completed',
  async apply(context) {
    const [changed] = await sourceObstacles(context);
    if (changed !== undefined) {
      return {
        record: (_status, condition) => condition('SourceRetained', 'True', 'Changed', `kept: ${changed.message}`),
      };
    }
    await makeRetentionMark(context);
    const message = `what the service left on server ${context.sourceServer.metadata.name} is deleted after ${context.status.rollbackDeadline ?? ''}`;
    return { record: (_status, condition) => condition('SourceRetained', 'True', 'UntilWindowOver', message) };
  },
};

/** Takes the mark away, when the source is to be kept after all. */
export const unmarkSource: Step = {
  name: 'unmark-source',
  phase: 'Completed',
  async apply(context) {
    await dropRetentionMark(context);
    const message = 'the stopped source is kept: spec.retention.source is Keep';
    return { record: (_status, condition) => condition('SourceRetained', 'True', 'Kept', message) };
  },
};

/** Deletes the stopped source: only what is marked, and only when nobody has touched it since. */
export const deleteSource: Step = {
  name: 'delete-source',
  phase: 'Completed',
  async apply(context) {
    const { engine } = await context.session.source(context);
    const where = `server ${context.sourceServer.metadata.name}`;
    const begun = findCondition(context.status.conditions, 'SourceRetained')?.reason === 'Deleting';
    const mark = await readRetentionMark(context, engine);
    const left = await containersLeft(context, engine);
    if (mark === undefined && (left.length > 0 || !begun)) {
      return kept('MarkGone', `kept: the mark that this transfer made on ${where} is gone`);
    }
    // What is missing once this was begun, an earlier run has deleted; before, somebody else has.
    const changed = (await sourceObstacles(context)).find(({ reason }) => !begun || reason !== 'SourceGone');
    const unknown = left.find(({ id }) => mark?.containers.includes(id) !== true);
    if (changed !== undefined || unknown !== undefined) {
      await dropRetentionMark(context);
      return kept(
        'Changed',
        `kept: ${changed?.message ?? `container ${unknown?.name ?? ''} is not marked on ${where}`}`,
      );
    }
    if (!begun) {
      return { record: (_status, condition) => condition('SourceRetained', 'Unknown', 'Deleting', `from ${where}`) };
    }
    for (const { id, name } of left) await remove(engine, ['containers', id], `remove container ${name}`, context);
    const spared = mark === undefined ? [] : await deleteBelongings(context, engine, mark);
    await dropRetentionMark(context);
    const now = timestamp(context.clock);
    const message = `the stopped source on ${where} was deleted${spared.length === 0 ? '' : `; in use by others and kept: ${spared.join(', ')}`}`;
    return {
      record(status, condition) {
        status.sourceDeletedAt ??= now;
        condition('SourceRetained', 'False', 'Deleted', message);
      },
      message,
    };
  },
};

function kept(reason: string, message: string): Awaited<ReturnType<Step['apply']>> {
  return { record: (_status, condition) => condition('SourceRetained', 'True', reason, message), message };
}

async function containersLeft(
  context: TransferContext,
  engine: Engine,
): Promise<readonly { readonly id: string; readonly name: string }[]> {
  const left = [];
  for (const { id, name } of recordedContainers(context)) {
    if ((await orUndefined(inspectState(engine, id, context.signal))) !== undefined) left.push({ id, name });
  }
  return left;
}

/** Volumes and networks that nothing uses any more. Answers those that something does. */
async function deleteBelongings(context: TransferContext, engine: Engine, mark: RetentionMark): Promise<string[]> {
  const users = await usersOf(context, engine);
  const spared: string[] = [];
  for (const name of mark.volumes) {
    if (users.volumes.has(name) || !(await remove(engine, ['volumes', name], `remove volume ${name}`, context))) {
      spared.push(`volume ${name}`);
    }
  }
  for (const { id, name } of mark.networks) {
    if ((await orUndefined(inspectNetwork(engine, id, context.signal)))?.Id !== id) continue;
    if (users.networks.has(name) || !(await remove(engine, ['networks', id], `remove network ${name}`, context))) {
      spared.push(`network ${name}`);
    }
  }
  return spared;
}

/** What any container refers to, one that does not run included. */
async function usersOf(
  context: TransferContext,
  engine: Engine,
): Promise<{ readonly volumes: ReadonlySet<string>; readonly networks: ReadonlySet<string> }> {
  const list = await dockerCall<
    readonly {
      readonly Mounts?: readonly { readonly Name?: string }[] | null;
      readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, unknown>> | null } | null;
    }[]
  >(engine, {
    method: 'GET',
    path: ['containers', 'json'],
    query: { all: true },
    doing: 'list its containers',
    signal: context.signal,
  });
  return {
    volumes: new Set(list.flatMap(({ Mounts }) => (Mounts ?? []).flatMap(({ Name }) => Name ?? []))),
    networks: new Set(list.flatMap(({ NetworkSettings }) => Object.keys(NetworkSettings?.Networks ?? {}))),
  };
}

/** Never by force. Answers `false` when somebody uses it; what is gone already counts as removed. */
async function remove(
  engine: Engine,
  path: readonly string[],
  doing: string,
  { signal }: TransferContext,
): Promise<boolean> {
  try {
    await dockerCall(engine, { method: 'DELETE', path, doing, signal });
    return true;
  } catch (error) {
    if (isDockerStatus(error, 404)) return true;
    if (isDockerStatus(error, 409) || isDockerStatus(error, 403)) return false;
    throw error;
  }
}

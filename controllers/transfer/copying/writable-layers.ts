import { GridferryError } from '../../../src/errors.ts';
import type { WritableChanges } from '../../../src/docker/writable-layer.ts';
import type { TransferContext } from '../context.ts';
import { atSource, atTarget } from '../source/place.ts';
import type { Place } from '../source/place.ts';
import { writtenBy } from './written-layers.ts';

export interface CarriedLayers {
  readonly paths: number;
  /** What is there still, although it was deleted on the other side: an archive has no way to say "gone". */
  readonly lost: readonly string[];
}

/**
 * What the containers wrote outside their volumes, to the target. Both sides are stopped. Idempotent.
 *
 * @param present the containers that are there; default: all
 */
export function carryLayersToTarget(context: TransferContext, present?: ReadonlySet<string>): Promise<CarriedLayers> {
  // The containers there were made by this transfer and have not run: they have nothing of their own.
  return carry(context, atSource(context), atTarget(context), async (name) => {
    if (present?.has(name) === false) return { changes: nothing, lost: [] };
    const changes = await writtenBy(context, await atSource(context).containerId(name));
    return { changes, lost: changes.deleted };
  });
}

/** The same on the way back: what was written at the target comes over what the stopped source has. */
export function carryLayersToSource(context: TransferContext): Promise<CarriedLayers> {
  const [from, to] = [atTarget(context), atSource(context)];
  return carry(context, from, to, async (name) => {
    const [changes, there] = await Promise.all([changesAt(context, from, name), changesAt(context, to, name)]).catch(
      forgiveGone,
    );
    const carried = new Set([...changes.added, ...changes.changed]);
    const gone = new Set(changes.deleted);
    for (const path of there.added) if (!carried.has(path)) gone.add(path);
    for (const path of there.deleted) gone.delete(path);
    return { changes, lost: [...gone] };
  });
}

/** What a container wrote outside its volumes went with it when somebody removed it; the volumes are still worth their way. */
function forgiveGone(error: unknown): [WritableChanges, WritableChanges] {
  if (!(error instanceof GridferryError) || error.code !== 'GF_TRANSFER_TARGET_GONE') throw error;
  return [nothing, nothing];
}

const nothing: WritableChanges = { added: [], changed: [], deleted: [], excluded: [] };

interface Written {
  readonly changes: WritableChanges;
  readonly lost: readonly string[];
}

async function carry(
  context: TransferContext,
  from: Place,
  to: Place,
  written: (name: string) => Promise<Written>,
): Promise<CarriedLayers> {
  const [{ containers }, source, target] = await Promise.all([
    context.session.capture(context),
    from.connect(),
    to.connect(),
  ]);
  const carried = await Promise.all(
    containers.map(async ({ name }): Promise<CarriedLayers> => {
      const { changes, lost } = await written(name);
      const paths = changes.added.length + changes.changed.length;
      if (paths > 0) {
        const [fromId, toId] = await Promise.all([from.containerId(name), to.containerId(name)]);
        await context.dataPlane.copyWritableLayer(source.engine, fromId, target.engine, toId, changes, {
          signal: context.signal,
        });
      }
      return { paths, lost: lost.map((path) => `${name}:${path}`) };
    }),
  );
  return {
    paths: carried.reduce((sum, { paths }) => sum + paths, 0),
    lost: carried.flatMap(({ lost }) => lost),
  };
}

async function changesAt({ dataPlane }: TransferContext, place: Place, name: string): Promise<WritableChanges> {
  const [{ engine }, id] = await Promise.all([place.connect(), place.containerId(name)]);
  return dataPlane.readWritableChanges(engine, id);
}

/** For a step's message. */
export function describeLayers({ paths, lost }: CarriedLayers): string {
  const gone =
    lost.length === 0 ? '' : `; deleted in the old container, and there again: ${lost.slice(0, 10).join(', ')}`;
  return `${String(paths)} path(s) written outside volumes${gone}`;
}

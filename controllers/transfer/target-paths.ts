import type { TransferContext } from './context.ts';
import { pathOn } from './data-set.ts';
import type { DataItem } from './data-set.ts';

/** Paths of bind mounts and single files at the target: Docker keeps no record of who made them, so the status does. */

/** The items that are paths rather than volumes. */
export function pathItems(items: readonly DataItem[]): readonly DataItem[] {
  return items.filter((item) => item.location.kind === 'bind');
}

/** Makes the folders that the copies need. */
export async function prepareTargetPaths(context: TransferContext): Promise<void> {
  const items = pathItems(await context.session.data(context));
  if (items.length === 0) return;
  const bench = await context.session.targetBench(context);
  const folders = [...new Set(items.map((item) => bench.pathOf(item.location)))];
  await bench.exec(['mkdir', '-p', '--', ...folders], { signal: context.signal });
}

/**
 * Empties what the transfer filled. Only paths that preflight found absent or empty are named in the status, so nothing
 * that was there before is touched.
 */
export async function emptyCreatedPaths(context: TransferContext): Promise<void> {
  const created = new Set(context.status.createdPaths);
  const items = pathItems(await context.session.data(context)).filter((item) => created.has(item.name));
  if (items.length === 0) return;
  const bench = await context.session.targetBench(context);
  for (const item of items) {
    const path = pathOn(bench, item);
    const argv =
      item.file === undefined
        ? ['find', path, '-xdev', '-mindepth', '1', '-delete']
        : ['rm', '-f', '--', path];
    await bench.exec(['sh', '-c', '[ -e "$0" ] || exit 0; exec "$@"', path, ...argv], { signal: context.signal });
  }
}

import { posix } from 'node:path';
import { benchName } from './benches.ts';
import type { TransferContext } from '../context.ts';
import { marksOf } from '../context.ts';
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
  if (items.length === 0) return undefined;
  const bench = await context.session.targetBench(context);
  const folders = [...new Set(items.map((item) => bench.pathOf(item.location)))];
  await bench.exec(['mkdir', '-p', '--', ...folders], { signal: context.signal });
}

/**
 * For `status.createdPaths`: what the transfer may empty when it is undone, and, with a slash at the end, the folders
 * that it makes and removes again.
 */
export function createdPathsOf(
  paths: readonly { readonly name: string; readonly missingFolders: readonly string[] }[],
): string[] {
  return [...new Set(paths.flatMap(({ name, missingFolders }) => [name, ...missingFolders.map((path) => `${path}/`)]))];
}

/**
 * Empties what the transfer filled, and removes the folders it made. Only paths that preflight found absent or empty are
 * named in the status, so nothing that was there before is touched; a folder in which somebody put something meanwhile
 * stays.
 */
export async function emptyCreatedPaths(context: TransferContext): Promise<undefined> {
  const created = new Set(context.status.createdPaths);
  if (created.size === 0) return;
  const items = pathItems(await context.session.data(context)).filter((item) => created.has(item.name));
  const { host, engine } = await context.session.target(context);
  const present: DataItem[] = [];
  for (const item of items) {
    if (item.location.kind !== 'bind') continue;
    const { exitCode } = await host.exec(['test', '-d', item.location.path], { allowFailure: true, root: host.isRoot });
    if (exitCode === 0) present.push(item);
  }
  if (present.length > 0) {
    // A bench of its own: the other one needs the volumes, and they may never have been made.
    const bench = await context.dataPlane.openWorkbench({
      host,
      docker: engine.docker,
      locations: [...new Map(present.map(({ location }) => [JSON.stringify(location), location])).values()],
      name: benchName(context, 'undo-'),
      labels: marksOf(context.transfer),
      signal: context.signal,
    });
    try {
      for (const item of present) {
        const path = pathOn(bench, item);
        const argv =
          item.file === undefined ? ['find', path, '-xdev', '-mindepth', '1', '-delete'] : ['rm', '-f', '--', path];
        await bench.exec(['sh', '-c', '[ -e "$0" ] || [ -L "$0" ] || exit 0; exec "$@"', path, ...argv], {
          signal: context.signal,
        });
      }
    } finally {
      await bench.close();
    }
  }
  const folders = [...created].filter((path) => path.endsWith('/')).sort((a, b) => b.length - a.length);
  if (folders.length === 0) return;
  if (host.isRoot) await host.exec(removeEmpty(folders), { root: true, signal: context.signal });
  else await removeThroughBench(context, folders);
}

function removeEmpty(folders: readonly string[]): string[] {
  return ['sh', '-c', 'for path; do [ ! -d "$path" ] || rmdir -- "$path" || :; done', 'sh', ...folders];
}

/** What Docker made belongs to root: who is not root removes it through a helper that sees the folder around it. */
async function removeThroughBench(context: TransferContext, folders: readonly string[]): Promise<void> {
  const { host, engine } = await context.session.target(context);
  const tops = folders.filter((path) => !folders.some((other) => other !== path && path.startsWith(other)));
  // A folder made in the root itself stays, empty: the root is given to no helper.
  const around = [...new Set(tops.map((path) => posix.dirname(path)))].filter((path) => path !== '/');
  if (around.length === 0) return;
  const locations = around.map((path) => ({ kind: 'bind', path }) as const);
  const bench = await context.dataPlane.openWorkbench({
    host,
    docker: engine.docker,
    locations,
    name: benchName(context, 'undo-'),
    labels: marksOf(context.transfer),
    signal: context.signal,
  });
  try {
    for (const location of locations) {
      const below = folders.filter((path) => path.startsWith(`${location.path}/`));
      const inside = below.map((path) => posix.join(bench.pathOf(location), posix.relative(location.path, path)));
      await bench.exec(removeEmpty(inside), { signal: context.signal });
    }
  } finally {
    await bench.close();
  }
}

import { posix } from 'node:path';
import { readFilesystem } from '../../../src/ssh/filesystem.ts';
import type { Filesystem } from '../../../src/ssh/filesystem.ts';
import type { Host } from '../../../src/ssh/host.ts';
import type { TransferContext } from '../context.ts';
import type { DataItem } from '../copying/data-set.ts';
import { pathItems } from '../copying/target-paths.ts';

export interface OccupiedPath {
  readonly name: string;
  readonly state: 'Absent' | 'Empty' | 'Occupied' | 'Unreadable';
  /** The folders that do not exist there and that the copy will make: undo takes them away again. */
  readonly missingFolders: readonly string[];
}

/** For each path one line; a path that cannot be seen is neither absent nor empty. "Absent 2": its parent is, too. */
const PATH_SCRIPT = `for path; do
  if [ -L "$path" ] || [ -f "$path" ]; then echo Occupied
  elif [ -d "$path" ]; then
    if [ ! -r "$path" ]; then echo Unreadable
    elif [ -z "$(ls -A -- "$path")" ]; then echo Empty
    else echo Occupied; fi
  elif [ -e "$path" ]; then echo Occupied
  else
    parent=$path levels=1
    while parent=$(dirname -- "$parent"); [ ! -d "$parent" ]; do levels=$((levels + 1)); done
    if [ -x "$parent" ]; then echo "Absent $levels"; else echo Unreadable; fi
  fi
done`;

/** What is at the target where the paths of the service will be. */
export async function checkPaths(
  context: TransferContext,
  host: Host,
  data: readonly DataItem[],
): Promise<OccupiedPath[]> {
  const items = pathItems(data);
  if (items.length === 0) return [];
  const created = new Set(context.status.createdPaths);
  const { stdout } = await host.exec(['sh', '-c', PATH_SCRIPT, 'sh', ...items.map((item) => item.name)], {
    root: host.isRoot,
    signal: context.signal,
  });
  const lines = stdout.split('\n');
  return items.map((item, index) => {
    const [state = 'Unreadable', levels = '0'] = (lines[index] ?? '').split(' ') as [OccupiedPath['state']?, string?];
    return {
      name: item.name,
      // What an earlier run of this transfer filled is its own.
      state: created.has(item.name) ? 'Empty' : state,
      missingFolders: missingFolders(item, Number(levels)),
    };
  });
}

function missingFolders(item: DataItem, levels: number): string[] {
  const folders: string[] = [];
  for (let path = item.name, level = 0; level < levels; path = posix.dirname(path), level++) {
    if (level > 0 || item.file === undefined) folders.push(path);
  }
  return folders;
}

/** What the paths of the service will lie on. */
export async function readPathDisks(
  host: Host,
  data: readonly DataItem[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Filesystem>> {
  const items = pathItems(data);
  const disks = await Promise.all(items.map(({ name }) => readFilesystem(host, name, { signal, root: host.isRoot })));
  return new Map(items.map(({ name }, index) => [name, disks[index]!]));
}

import { buildManifest } from './manifest.ts';
import { slotOf } from './remote-list.ts';
import type { Workbench } from './workbench.ts';

export interface TreeSize {
  /** Sum of the files' sizes, hard links once, holes included. */
  readonly bytes: number;
  /** What the tree takes on its disk. */
  readonly allocatedBytes: number;
  readonly files: number;
  readonly inodes: number;
}

/** How much there is below a path, without leaving its file system. Rejects as `buildManifest`. */
export async function measureTree(bench: Workbench, path: string, signal?: AbortSignal): Promise<TreeSize> {
  const found = await buildManifest(bench, path, {
    mode: 'metadata',
    name: `measure-${slotOf(path)}`,
    ...(signal ? { signal } : {}),
  });
  return { bytes: found.bytes, allocatedBytes: found.allocatedBytes, files: found.files, inodes: found.inodes };
}

/** Whether there is nothing below a path, or no such path. The `lost+found` of a fresh file system is nothing. */
export async function isEmptyTree(
  bench: Pick<Workbench, 'exec'>,
  path: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const script =
    '[ -e "$0" ] || [ -L "$0" ] || exit 0; [ -d "$0" ] || { echo file; exit 0; }; ls -A -- "$0" | grep -vx "lost+found" | head -n 1';
  const { stdout } = await bench.exec(['sh', '-c', script, path], signal ? { signal } : {});
  return stdout === '';
}

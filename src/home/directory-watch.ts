import { basename } from 'node:path';
import { watch } from 'chokidar';
import { isIgnoredName, isManifestName } from './manifest-walk.ts';

export interface DirectoryHints {
  /** A manifest at this absolute path may be new, different or gone. */
  onFile(path: string): void;
  /** Something else happened: look at everything. */
  onTree(): void;
  onError(error: unknown): void;
}

/**
 * Hints that something changed below `root`. They may be late, doubled or missing: whoever gets one reads the files.
 * Resolves to a function that ends the watch.
 */
export function watchDirectory(root: string, hints: DirectoryHints): () => Promise<void> {
  const watcher = watch(root, {
    ignoreInitial: true,
    followSymlinks: false,
    // Its grouping of "unlink, add" would delay every save by 100 ms.
    atomic: false,
    ignorePermissionErrors: true,
    ignored: (path, stats) =>
      path !== root && (isIgnoredName(basename(path)) || (stats?.isFile() === true && !isManifestName(basename(path)))),
  });
  watcher.on('all', (event, path) => {
    if ((event === 'add' || event === 'change' || event === 'unlink') && isManifestName(basename(path)))
      hints.onFile(path);
    else hints.onTree();
  });
  // Kubernetes swaps a whole volume by renaming a hidden link, `..data`, which never shows up as an event of a file.
  watcher.on('raw', (_event, path) => {
    if (path !== null && basename(path).startsWith('..')) hints.onTree();
  });
  watcher.on('ready', () => hints.onTree());
  watcher.on('error', (error) => hints.onError(error));
  return () => watcher.close();
}

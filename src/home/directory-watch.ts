import { basename, join } from 'node:path';
import { watch } from 'chokidar';
import { isIgnoredName, isManifestName } from './manifest-walk.ts';

export interface DirectoryHints {
  /** A manifest at this absolute path may be new, different or gone. */
  onFile(path: string): void;
  /** Something else happened: look at everything. */
  onTree(): void;
  onError(error: unknown): void;
}

/** Watches the directory that has a name at the moment, one at a time. */
export class DirectoryWatch {
  readonly #hints: DirectoryHints;
  #identity = '';
  #end: (() => Promise<void>) | undefined;
  #closed = false;

  constructor(hints: DirectoryHints) {
    this.#hints = hints;
  }

  /** Another directory under the same name is watched anew: the old watch looks at what was moved away. */
  async follow(root: string, identity: string): Promise<void> {
    if (this.#identity === identity || this.#closed) return;
    await this.#end?.();
    this.#identity = identity;
    this.#end = watchDirectory(root, this.#hints);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#end?.();
  }
}

/**
 * Hints that something changed below `root`. They may be late, doubled or missing: whoever gets one reads the files.
 * Returns a function that ends the watch.
 */
function watchDirectory(root: string, hints: DirectoryHints): () => Promise<void> {
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
  watcher.on('raw', (event, path, details) => {
    if (path === null) return;
    const name = basename(path);
    // Kubernetes swaps a whole volume by renaming a hidden link, `..data`, which never shows up as an event of a file.
    if (name.startsWith('..')) hints.onTree();
    // An event of its own follows, once the file has been looked at, which takes its time on a busy machine.
    else if (event === 'change' && isManifestName(name)) hints.onFile(pathOf(path, details as RawDetails));
  });
  watcher.on('ready', () => hints.onTree());
  watcher.on('error', (error) => hints.onError(error));
  return () => watcher.close();
}

interface RawDetails {
  readonly watchedPath: string;
}

/** A file is watched by itself, or by way of the directory that it is in. */
function pathOf(path: string, { watchedPath }: RawDetails): string {
  return basename(watchedPath) === path ? watchedPath : join(watchedPath, path);
}

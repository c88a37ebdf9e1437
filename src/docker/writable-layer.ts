import { posix } from 'node:path';
import { finished } from 'node:stream/promises';
import { GridferryError } from '../errors.ts';
import { dockerCall, dockerStream } from './api.ts';
import { inspectContainer } from './container-capture.ts';
import { captureMounts, cleanPath } from './mounts.ts';
import type { Engine } from './engine.ts';
import { upload } from './load-archive.ts';
import { filterTar } from './tar-filter.ts';
import type { TarEntry } from './tar-filter.ts';

/** What a container changed in its own file system, outside its mounts. Paths are absolute. */
export interface WritableChanges {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  /** Cannot be carried: an archive has no way to say "gone". */
  readonly deleted: readonly string[];
  /** Mount points and trees that are not of the container's own file system. */
  readonly excluded: readonly string[];
}

/** Made anew by Docker or by the kernel in every container, or gone at every restart. */
export const VOLATILE: readonly string[] = [
  '/run',
  '/var/run',
  '/tmp',
  '/dev',
  '/proc',
  '/sys',
  '/etc/hosts',
  '/etc/hostname',
  '/etc/resolv.conf',
  '/etc/mtab',
  '/.dockerenv',
];

interface RawChange {
  readonly Path: string;
  /** 0 modified, 1 added, 2 deleted. */
  readonly Kind: number;
}

/** Reads what a container wrote outside its mounts. */
export async function readWritableChanges(
  engine: Engine,
  idOrName: string,
  signal?: AbortSignal,
): Promise<WritableChanges> {
  const raw = await inspectContainer(engine, idOrName, signal);
  const changes = await dockerCall<readonly RawChange[] | null>(engine, {
    method: 'GET',
    path: ['containers', raw.Id, 'changes'],
    doing: `list what container ${idOrName} changed`,
    ...(signal === undefined ? {} : { signal }),
  });
  return toWritableChanges(
    changes ?? [],
    captureMounts(raw).map(({ destination }) => destination),
  );
}

/** The pure half: a directory that is listed only because something in it changed is left out. */
export function toWritableChanges(changes: readonly RawChange[], mounts: readonly string[]): WritableChanges {
  const excluded = [...VOLATILE, ...mounts];
  const own = changes
    .map(({ Path, Kind }) => ({ path: cleanPath(Path), kind: Kind }))
    .filter(({ path }) => path !== '/' && !excluded.some((root) => isWithin(path, root)));
  const parents = new Set(changes.flatMap(({ Path }) => ancestors(cleanPath(Path))));
  const pick = (kind: number): string[] =>
    own
      .filter((change) => change.kind === kind)
      .map(({ path }) => path)
      .sort();
  return {
    added: pick(1).filter((path) => !isOnlyMountParent(path, changes, mounts)),
    changed: pick(0).filter((path) => !parents.has(path)),
    deleted: pick(2),
    excluded,
  };
}

/** A directory that Docker made only to mount something in it. */
function isOnlyMountParent(path: string, changes: readonly RawChange[], mounts: readonly string[]): boolean {
  if (!mounts.some((mount) => mount !== path && isWithin(mount, path))) return false;
  return changes.every(({ Path }) => {
    const other = cleanPath(Path);
    return (
      other === path ||
      !isWithin(other, path) ||
      mounts.some((mount) => isWithin(mount, other) || isWithin(other, mount))
    );
  });
}

/**
 * What to fetch: the top of each added tree, and each changed file. A tree with a mount in it is not fetched as a whole,
 * since the archive of a container holds the content of its volumes too: of such a directory only the entry itself.
 */
export function copyRoots(changes: WritableChanges): { readonly path: string; readonly shallow: boolean }[] {
  const holdsMount = (path: string): boolean => changes.excluded.some((root) => root !== path && isWithin(root, path));
  const deep = new Set(changes.added.filter((path) => !holdsMount(path)));
  const roots: { path: string; shallow: boolean }[] = [];
  for (const path of [...changes.added, ...changes.changed].sort()) {
    if (ancestors(path).some((parent) => deep.has(parent))) continue;
    // A changed directory stands for itself: what changed below it is listed on its own.
    roots.push({ path, shallow: !deep.has(path) });
  }
  return roots;
}

export interface CopyResult {
  readonly paths: number;
  readonly bytes: number;
  /** Deleted at the source, still there at the target. */
  readonly deleted: readonly string[];
  /** Devices and sockets: not carried. */
  readonly skipped: readonly string[];
}

/**
 * Carries what a container wrote outside its volumes into another one that is not running, owners, modes and extended
 * attributes included. Doing it twice gives the same result.
 *
 * Throws `GF_ARCHIVE_HOSTILE` for a name that leads out of its tree.
 */
export async function copyWritableLayer(
  source: Engine,
  sourceId: string,
  target: Engine,
  targetId: string,
  changes: WritableChanges,
  options: { readonly signal?: AbortSignal; readonly onBytes?: (bytes: number) => void } = {},
): Promise<CopyResult> {
  const skipped: string[] = [];
  let bytes = 0;
  let paths = 0;
  const onBytes = (count: number): void => {
    bytes += count;
    options.onBytes?.(count);
  };
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  for (const root of copyRoots(changes)) {
    const archive = await dockerStream(source, {
      method: 'GET',
      path: ['containers', sourceId, 'archive'],
      query: { path: root.path },
      doing: `read ${root.path} from the container`,
      ...signal,
    });
    try {
      const parent = posix.dirname(root.path);
      const filter = layerFilter(root.path, root.shallow, changes.excluded, skipped);
      await upload(
        target,
        {
          method: 'PUT',
          path: ['containers', targetId, 'archive'],
          // Never copyUIDGID: with it the engine gives everything to the user the container runs as (moby,
          // daemon/archive_tarcopyoptions_unix.go), and fails on a user given by numbers; without it the archive's owners count.
          query: { path: parent, noOverwriteDirNonDir: true },
          doing: `write ${root.path} into the container`,
        },
        filterTar(archive as AsyncIterable<Buffer>, filter),
        // It is empty, and read to its end all the same, so that the connection can be used again.
        (answer) => finished(answer.resume()),
        { ...signal, onBytes },
      );
      paths += 1;
    } finally {
      archive.destroy();
    }
  }
  return { paths, bytes, deleted: changes.deleted, skipped };
}

/** Checks every name, and leaves out what is mounted, what is no file, and (shallow) what lies below the first entry. */
export function layerFilter(
  root: string,
  shallow: boolean,
  excluded: readonly string[],
  skipped: string[],
): { decide(entry: TarEntry): 'keep' | 'drop' } {
  const base = posix.basename(root);
  const parent = posix.dirname(root);
  /** Symbolic links that the archive itself makes: nothing may be put at their place, or through them. */
  const links = new Set<string>();
  const place = (name: string): string => {
    const clean = cleanPath(name.replace(/^\.\//, ''));
    const escapes = name.startsWith('/') || name.includes('\0') || name.split('/').includes('..');
    const isInside = clean === base || clean.startsWith(`${base}/`);
    const path = posix.join(parent, clean);
    if (escapes || !isInside || [path, ...ancestors(path)].some((each) => links.has(each))) {
      throw new GridferryError(
        'GF_ARCHIVE_HOSTILE',
        `The archive of ${root} holds a name that leads out of it; the container's file system cannot be trusted, move it without its writable layer.`,
      );
    }
    return path;
  };
  return {
    decide(entry) {
      const path = place(entry.name);
      if (entry.type === 'hardlink') place(entry.linkName);
      if (excluded.some((other) => isWithin(path, other))) return 'drop';
      if (shallow && path !== root) return 'drop';
      if (entry.type === 'character' || entry.type === 'block' || entry.type === 'other') {
        skipped.push(path);
        return 'drop';
      }
      if (entry.type === 'symlink') links.add(path);
      return 'keep';
    },
  };
}

function isWithin(path: string, root: string): boolean {
  return path === root || root === '/' || path.startsWith(`${root}/`);
}

function ancestors(path: string): string[] {
  const result: string[] = [];
  for (let at = posix.dirname(path); at !== '/' && at !== '.'; at = posix.dirname(at)) result.push(at);
  return result;
}

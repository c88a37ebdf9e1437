import type { Stats } from 'node:fs';
import { lstat, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { ObjectKey } from '../api/meta.ts';
import { GridferryError, messageOf } from '../errors.ts';

/** As large as a Kubernetes Secret may be. */
const MAX_VALUE_BYTES = 1024 * 1024;

/** Secrets as files: `<directory>/<namespace>/<name>/<key>`. */
export interface SecretsDirectory {
  readonly directory: string;
  /** The values of one secret as they are now, or `undefined` when there is no such directory. */
  read(key: ObjectKey): Promise<ReadonlyMap<string, Buffer> | undefined>;
}

/**
 * Reads on demand and keeps nothing, so that rotating a file is enough. Links are followed, as Kubernetes mounts secrets
 * through them, but only inside `directory`; what they lead to has to be private.
 *
 * `read` throws GridferryError `GF_SECRETS_DIR_PERMISSIONS` when a file or directory is open to others, and
 * `GF_SECRETS_DIR_UNREADABLE` when it cannot be read.
 */
export function readSecretsDirectory(directory: string): SecretsDirectory {
  return {
    directory,
    async read({ namespace, name }) {
      if (!isPlainName(namespace) || !isPlainName(name)) return undefined;
      try {
        const root = await realpathIfThere(directory);
        if (root === undefined) return undefined;
        const visible = join(root, namespace, name);
        const real = await realpathIfThere(visible);
        if (real === undefined) return undefined;
        if (!(await stat(real)).isDirectory()) return undefined;
        const names = (await readdir(real)).sort();
        // kubelet makes its mount points open to all and guards the files alone (`defaultMode`).
        const checksParents = !names.includes('..data');
        await checkPath(root, real, visible, checksParents);
        return await readKeys(root, real, names, checksParents);
      } catch (error) {
        if (error instanceof GridferryError) throw error;
        throw unreadable(join(directory, namespace, name), messageOf(error), error);
      }
    },
  };
}

async function readKeys(
  root: string,
  directory: string,
  names: readonly string[],
  checksParents: boolean,
): Promise<Map<string, Buffer>> {
  const values = new Map<string, Buffer>();
  for (const key of names) {
    // Kubernetes' own `..data`, and editors' leftovers: no key of a Secret that is mounted begins with a dot.
    if (key.startsWith('.') || key.endsWith('~')) continue;
    const visible = join(directory, key);
    const real = await realpathIfThere(visible);
    if (real === undefined) continue;
    const facts = await checkPath(root, real, visible, checksParents);
    if (!facts.isFile()) continue;
    if (facts.size > MAX_VALUE_BYTES) {
      throw unreadable(visible, `it has ${String(facts.size)} bytes, at most ${String(MAX_VALUE_BYTES)} are read`);
    }
    values.set(key, await readFile(real));
  }
  return values;
}

/** `path` is real. Every directory from the root down to it counts: who may list one finds what is below. */
async function checkPath(root: string, path: string, visible: string, checksParents: boolean): Promise<Stats> {
  if (path !== root && !path.startsWith(root + sep)) {
    throw unreadable(visible, 'it is a link that leads out of the secrets directory');
  }
  const facts = await lstat(path);
  if (checksParents) {
    const between = path.slice(root.length).split(sep).slice(0, -1);
    for (let depth = 1; depth <= between.length; depth++) {
      const parent = join(root, ...between.slice(0, depth));
      checkMode(parent, await lstat(parent));
    }
  }
  if (checksParents || facts.isFile()) checkMode(path, facts);
  return facts;
}

function checkMode(path: string, facts: Stats): void {
  if ((facts.mode & 0o077) === 0) return;
  const mode = (facts.mode & 0o777).toString(8).padStart(4, '0');
  throw new GridferryError(
    'GF_SECRETS_DIR_PERMISSIONS',
    `${path} is open to other users (mode ${mode}); run: chmod ${facts.isDirectory() ? '700' : '600'} '${path.replaceAll("'", `'\\''`)}'`,
    { details: { path, mode } },
  );
}

async function realpathIfThere(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw error;
  }
}

/** Names come from resources: none may climb out of its directory. */
function isPlainName(name: string): boolean {
  return name !== '' && !name.startsWith('.') && !/[/\\\0]/.test(name);
}

function unreadable(path: string, why: string, cause?: unknown): GridferryError {
  return new GridferryError('GF_SECRETS_DIR_UNREADABLE', `The secret at ${path} cannot be read: ${why}.`, {
    class: 'retryable',
    ...(cause === undefined ? {} : { cause }),
  });
}

import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { messageOf } from '../errors.ts';
import { FILE_START, problem } from './manifest-problem.ts';
import type { ManifestProblem } from './manifest-problem.ts';

export interface ManifestFile {
  /** The visible path, relative to the directory, with `/`. */
  readonly path: string;
  /** Where its bytes are. */
  readonly real: string;
}

export interface ManifestListing {
  readonly files: readonly ManifestFile[];
  /** Directories (relative) that could not be listed, and files that are there but could not be resolved. */
  readonly unreadable: readonly string[];
  readonly problems: readonly ManifestProblem[];
}

/** Editors' backups, swap files and probes, and everything hidden (which covers `.git` and Kubernetes' `..data`). */
export function isIgnoredName(name: string): boolean {
  return (
    name.startsWith('.') ||
    name.endsWith('~') ||
    (name.startsWith('#') && name.endsWith('#')) ||
    name === '4913' ||
    /\.(swp|swx|tmp|bak|orig)$/i.test(name)
  );
}

export function isManifestName(name: string): boolean {
  return !isIgnoredName(name) && /\.(ya?ml|json)$/i.test(name);
}

/**
 * The manifests below a directory. Each file is seen once: by its own path, or, when only links lead to it (as in a
 * Kubernetes volume), by the first visible link. Links that lead out of the directory are refused: whoever can write
 * to it, a Git repository say, must not make Gridferry read other files of this machine.
 *
 * @throws when the directory itself cannot be listed.
 */
export async function listManifests(directory: string): Promise<ManifestListing> {
  const root = await realpath(directory);
  const files = new Map<string, string>();
  const problems: ManifestProblem[] = [];
  const unreadable: string[] = [];
  const seenDirectories = new Set<string>();
  const links: { visible: string; at: string }[] = [];

  const visit = async (visible: string, real: string): Promise<void> => {
    if (seenDirectories.has(real)) return;
    seenDirectories.add(real);
    let entries: Dirent[];
    try {
      entries = await readdir(real, { withFileTypes: true });
    } catch (error) {
      if (visible === '') throw error;
      // Gone since its parent was listed: that is a deletion like any other.
      if (isMissing(error)) return;
      unreadable.push(visible);
      problems.push(unreadableProblem(visible, error));
      return;
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (isIgnoredName(entry.name)) continue;
      const path = visible === '' ? entry.name : `${visible}/${entry.name}`;
      const at = join(real, entry.name);
      if (entry.isDirectory()) await visit(path, at);
      else if (entry.isSymbolicLink()) links.push({ visible: path, at });
      else if (entry.isFile() && isManifestName(entry.name)) files.set(at, path);
    }
  };

  await visit('', root);
  // After all real paths, so that a file that has one is known by it. A linked directory may add more links.
  for (let link = links.shift(); link !== undefined; link = links.shift()) {
    const named = isManifestName(link.visible.slice(link.visible.lastIndexOf('/') + 1));
    try {
      const target = await realpath(link.at);
      const facts = await stat(target);
      if (!facts.isDirectory() && !(facts.isFile() && named)) continue;
      if (target !== root && !target.startsWith(root + sep)) {
        problems.push(outsideProblem(link.visible, facts.isDirectory()));
        if (facts.isFile()) unreadable.push(link.visible);
      } else if (facts.isDirectory()) await visit(link.visible, target);
      else if (!files.has(target)) files.set(target, link.visible);
    } catch (error) {
      // A dangling link, or a loop of links.
      if (!named) continue;
      unreadable.push(link.visible);
      problems.push(unreadableProblem(link.visible, error));
    }
  }
  const listed = [...files].map(([real, path]) => ({ path, real }));
  listed.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files: listed, unreadable, problems };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

export function unreadableProblem(path: string, error: unknown): ManifestProblem {
  const hint = 'what came from it stays as it is until it can be read';
  return problem('GF_MANIFEST_UNREADABLE', path, FILE_START, `it cannot be read: ${messageOf(error)}`, hint);
}

export function outsideProblem(path: string, isDirectory: boolean): ManifestProblem {
  const message = 'the link leads out of the directory, and is not followed';
  const hint = 'put the file itself into the directory';
  return problem('GF_MANIFEST_SYMLINK_OUTSIDE', path, FILE_START, message, hint, {
    severity: isDirectory ? 'warning' : 'error',
  });
}

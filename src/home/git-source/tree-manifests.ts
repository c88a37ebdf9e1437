import { posix } from 'node:path';
import type { TreeEntry } from '../../git/tree.ts';
import type { ManifestProblem } from '../manifest-problem.ts';
import { isIgnoredName, isManifestName, outsideProblem, unreadableProblem } from '../manifest-walk.ts';

export interface TreeManifest {
  /** The visible path. */
  readonly path: string;
  readonly id: string;
  readonly size: number;
}

/** As many as Linux follows. */
const MAX_LINKS = 40;

/**
 * The manifests among the entries of a tree, as `listManifests` finds them in a directory: each once, by its own path if
 * that is visible, else by the first link that leads to it. A link that leads out of the tree is never followed.
 *
 * @param targets where each link leads, by its path.
 */
export function selectManifests(
  entries: readonly TreeEntry[],
  targets: ReadonlyMap<string, string>,
): { readonly manifests: TreeManifest[]; readonly problems: ManifestProblem[] } {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const manifests = new Map<string, TreeManifest>();
  const problems: ManifestProblem[] = [];
  const links: { readonly visible: string; readonly at: string }[] = [];

  const take = (entry: TreeEntry, visible: string): void => {
    if (entry.kind === 'link') links.push({ visible, at: entry.path });
    else if (entry.kind === 'file' && isManifestName(posix.basename(visible)) && !manifests.has(entry.path)) {
      manifests.set(entry.path, { path: visible, id: entry.id, size: entry.size });
    }
  };
  for (const entry of entries) if (isVisible(entry.path)) take(entry, entry.path);
  const followed = new Set<string>();
  for (let link = links.shift(); link !== undefined; link = links.shift()) {
    const named = isManifestName(posix.basename(link.visible));
    const target = resolveLink(link.at, targets);
    if (target === 'outside') {
      problems.push(outsideProblem(link.visible, !named));
      continue;
    }
    const file = target === 'loop' ? undefined : byPath.get(target);
    if (file?.kind === 'file') {
      if (named) take(file, link.visible);
      continue;
    }
    const below = target === 'loop' ? [] : entries.filter(({ path }) => target === '' || path.startsWith(`${target}/`));
    if (below.length === 0) {
      if (named) problems.push(unreadableProblem(link.visible, new Error('the link leads nowhere')));
      continue;
    }
    if (followed.has(target)) continue;
    followed.add(target);
    for (const entry of below) {
      const rest = target === '' ? entry.path : entry.path.slice(target.length + 1);
      if (isVisible(rest)) take(entry, `${link.visible}/${rest}`);
    }
  }
  const sorted = [...manifests.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { manifests: sorted, problems };
}

function isVisible(path: string): boolean {
  return !path.split('/').some(isIgnoredName);
}

/** Walks the path of a link as the kernel does, within the tree: `..` and other links on the way included. */
function resolveLink(path: string, targets: ReadonlyMap<string, string>): string {
  const rest = path.split('/');
  const walked: string[] = [];
  let links = 0;
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (walked.pop() === undefined) return 'outside';
      continue;
    }
    const target = targets.get([...walked, part].join('/'));
    if (target === undefined) {
      walked.push(part);
      continue;
    }
    if (target.startsWith('/')) return 'outside';
    if (++links > MAX_LINKS) return 'loop';
    rest.unshift(...target.split('/'));
  }
  return walked.join('/');
}

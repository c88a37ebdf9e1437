import { linkLeader, isKind, mergeRecords, unescapePath, type ManifestRecord } from './manifest-record.ts';
import type { ManifestHandle } from './manifest.ts';
import { inTree, openList } from './remote-list.ts';
import { streamRecords } from './verify.ts';

export interface TarChanges {
  /** On the source: NUL-separated paths for tar. */
  readonly listFile: string;
  /** On the target: see `target-changes.ts`. */
  readonly changesFile: string;
  readonly listed: number;
  readonly files: number;
  readonly changes: number;
}

/**
 * Compares two manifests and writes what tar has to send to a file on the source, and what else is to be done to a file
 * on the target. Both are streamed; only the hard-link groups that changed are held in memory.
 */
export async function writeTarChanges(
  source: ManifestHandle,
  target: ManifestHandle,
  slot: string,
  signal: AbortSignal | undefined,
): Promise<TarChanges> {
  const list = await openList(source.bench, `tar-list-${slot}`, signal);
  const changes = await openList(target.bench, `tar-changes-${slot}`, signal);
  const groups = new Set<string>();
  /** The folders that lead to the current entry, as the source has them. */
  const ancestors: string[] = [];
  let lastParent: string | undefined;
  let listed = 0;
  let files = 0;
  let changed = 0;

  const send = async (path: string): Promise<void> => {
    listed++;
    await list.write([inTree(unescapePath(path))]);
  };
  // Whatever happens in a folder moves its time on the target: the folder itself is sent to set it right.
  const sendParent = async (path: string): Promise<void> => {
    const parent = parentOf(path);
    if (parent === undefined || parent === lastParent || !ancestors.includes(parent)) return;
    lastParent = parent;
    await send(parent);
  };
  const change = async (...words: (string | Buffer)[]): Promise<void> => {
    changed++;
    await changes.write(words.map((word) => (typeof word === 'string' ? Buffer.from(word) : word)));
  };

  for await (const { left, right } of mergeRecords(streamRecords(source, signal), streamRecords(target, signal))) {
    const path = (left ?? right)?.path ?? '';
    while (ancestors.length > 0 && !isBelow(path, ancestors.at(-1) ?? '')) ancestors.pop();
    if (left && isKind(left, 'd')) ancestors.push(path);
    if (left && right && left.shared === right.shared && !lostHoles(left, right)) continue;
    const replaced = left && right && left.fields[1] !== right.fields[1];
    if (right && (!left || replaced)) await change('R', unescapePath(path));
    if (left) {
      const differsInAttributes =
        right && (left.fields[10] !== right.fields[10] || left.fields[11] !== right.fields[11]);
      if (isKind(left, 'd') && differsInAttributes && !replaced)
        await change('X', path === '.' ? '.' : unescapePath(path));
      if (isKind(left, 's')) {
        await change('S', ...socketWords(left), unescapePath(path));
      } else if (left.links > 1 && !isKind(left, 'd')) {
        groups.add(linkLeader(left) ?? path);
      } else {
        if (isKind(left, 'f')) files++;
        await send(path);
      }
    }
    // A link that the source no longer has: its target inode is replaced with the entry itself, which is in the list.
    await sendParent(path);
  }
  if (groups.size > 0) {
    for await (const record of streamRecords(source, signal)) {
      if (isKind(record, 'd') || !groups.has(linkLeader(record) ?? record.path)) continue;
      if (isKind(record, 'f')) files++;
      await send(record.path);
      // Sent once more where it was already: harmless, and an ancestor of it is certainly a folder of the source.
      const parent = parentOf(record.path);
      if (parent !== undefined && parent !== lastParent) {
        lastParent = parent;
        await send(parent);
      }
    }
  }
  await list.close();
  await changes.close();
  return { listFile: list.path, changesFile: changes.path, listed, files, changes: changed };
}

function lostHoles(left: ManifestRecord, right: ManifestRecord): boolean {
  return left.holes > right.holes;
}

function parentOf(path: string): string | undefined {
  if (path === '.') return undefined;
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '.' : path.slice(0, slash);
}

function isBelow(path: string, folder: string): boolean {
  return folder === '.' || path.startsWith(`${folder}/`);
}

function socketWords({ fields }: ManifestRecord): string[] {
  const [seconds = '0', nanoseconds = '0'] = (fields[6] ?? '').split('.');
  return [fields[2] ?? '600', fields[3] ?? '0', fields[4] ?? '0', seconds, String(Number(nanoseconds))];
}

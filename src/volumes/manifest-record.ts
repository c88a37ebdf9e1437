import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/*
 * A manifest is a text file on the server, one line per entry in the order of a walk (a folder, then what is in it, names
 * sorted). Three parts are separated by tabs:
 *
 *   path type mode uid gid size mtime device target link acl xattrs content \t holes \t ctime inode links
 *
 * The first part must be equal on both sides and is what the digest covers. Holes may only grow. The last part means
 * something on its own server only: it tells which contents need not be read again. Paths, link targets and attribute
 * names are escaped (%xx for every byte outside 0x21–0x7e and for %), so a line is plain ASCII whatever the names are.
 */

/** Position of each field in the first part, named as a difference is reported. */
const sharedFields = [
  'path',
  'type',
  'mode',
  'uid',
  'gid',
  'size',
  'mtime',
  'device',
  'symlink target',
  'hard link',
  'ACL',
  'extended attributes',
  'content',
] as const;

export interface ManifestRecord {
  /** Escaped; `.` for the root. */
  readonly path: string;
  readonly shared: string;
  readonly fields: readonly string[];
  /** Bytes of the file that are holes. */
  readonly holes: number;
  /** How many names the inode has; 0 when the line came without its local part. */
  readonly links: number;
}

export function parseRecord(line: string): ManifestRecord {
  const [shared = '', holes = '0', local = ''] = line.split('\t');
  const fields = shared.split(' ');
  return { path: fields[0] ?? '', shared, fields, holes: Number(holes), links: Number(local.split(' ')[2] ?? 0) };
}

export const isKind = (record: ManifestRecord, kind: 'f' | 'd' | 's'): boolean => record.fields[1] === kind;
/** The first path of the record's hard-link group, when it is not the first itself. */
export const linkLeader = (record: ManifestRecord): string | undefined => {
  const leader = record.fields[9];
  return leader === undefined || leader === '-' ? undefined : leader;
};

/** Negative, zero or positive as `a` comes before, is, or comes after `b` in a walk. */
export function comparePaths(a: string, b: string): number {
  if (a === b) return 0;
  if (a === '.') return -1;
  if (b === '.') return 1;
  // No name contains a byte below 0x21: with the separator lowest, plain comparison is the order of the walk.
  const left = a.replaceAll('/', '\x01');
  const right = b.replaceAll('/', '\x01');
  return left < right ? -1 : 1;
}

export function unescapePath(escaped: string): Buffer {
  return Buffer.from(
    escaped.replace(/%([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  );
}

export async function* readRecords(stream: Readable): AsyncGenerator<ManifestRecord> {
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) yield parseRecord(line);
}

/** Walks two manifests side by side, entry by entry, with one record of each in memory. */
export async function* mergeRecords(
  left: AsyncIterable<ManifestRecord>,
  right: AsyncIterable<ManifestRecord>,
): AsyncGenerator<{ readonly left?: ManifestRecord; readonly right?: ManifestRecord }> {
  const leftItems = left[Symbol.asyncIterator]();
  const rightItems = right[Symbol.asyncIterator]();
  try {
    let a = await leftItems.next();
    let b = await rightItems.next();
    while (!a.done || !b.done) {
      const order = a.done ? 1 : b.done ? -1 : comparePaths(a.value.path, b.value.path);
      if (order < 0 && !a.done) {
        yield { left: a.value };
        a = await leftItems.next();
      } else if (order > 0 && !b.done) {
        yield { right: b.value };
        b = await rightItems.next();
      } else if (!a.done && !b.done) {
        yield { left: a.value, right: b.value };
        a = await leftItems.next();
        b = await rightItems.next();
      }
    }
  } finally {
    await leftItems.return?.();
    await rightItems.return?.();
  }
}

/**
 * What differs between an entry of the source and the same entry of the target; empty when nothing does.
 *
 * @param holes Whether a hole of the source that is filled with zeros at the target counts.
 */
export function differingFields(source: ManifestRecord, target: ManifestRecord, holes = true): string[] {
  const what: string[] = sharedFields.filter((_, index) => source.fields[index] !== target.fields[index]);
  if (source.fields[12] === '!' || target.fields[12] === '!') {
    if (!what.includes('content')) what.push('content');
  }
  if (holes && !what.includes('size') && lostHoles(source.holes, target.holes)) what.push('holes');
  return what;
}

/** Block sizes differ between file systems, so a hole may shrink a little at its edges; more than that was filled. */
export function lostHoles(source: number, target: number): boolean {
  return source - target > Math.max(65_536, source / 10) || (source > 0 && target === 0 && source >= 4096);
}

import { GridferryError } from '../errors.ts';
import type { ExecOptions, Host } from './host.ts';

/** The file system a path lies on. */
export interface Filesystem {
  readonly mountPoint: string;
  /** `ext4`, `xfs`, `btrfs`, `overlay`, … */
  readonly type: string;
  readonly totalBytes: number;
  /** What an ordinary user may still write: without the blocks reserved for root. */
  readonly freeBytes: number;
  /** 0: the file system has no fixed number (btrfs), and none runs out. */
  readonly totalInodes: number;
  readonly freeInodes: number;
}

/** The nearest directory that exists (and that the user may see) stands for a path that does not exist yet. */
const SCRIPT = `LC_ALL=C; export LC_ALL
path=$1
while [ ! -e "$path" ] && [ "$path" != / ]; do path=$(dirname "$path"); done
stat -f -c '%S %b %a %c %d %T' "$path" || exit 1
df -P "$path" | tail -n 1
cat /proc/mounts
`;

/**
 * Space and inodes where a path is, or will be.
 *
 * @param path absolute
 * @throws `GF_HOST_FILESYSTEM_UNREADABLE`, and what `Host` throws.
 */
export async function readFilesystem(
  host: Host,
  path: string,
  options: Pick<ExecOptions, 'signal' | 'root' | 'timeoutMs'> = {},
): Promise<Filesystem> {
  if (!path.startsWith('/')) {
    throw new GridferryError('GF_COMMAND_BAD_ARGUMENT', `'${path}' is not an absolute path: start it with a slash.`);
  }
  const { stdout } = await host.exec(['sh', '-c', SCRIPT, 'sh', path], options);
  const filesystem = parseFilesystem(stdout);
  if (filesystem !== undefined) return filesystem;
  throw new GridferryError(
    'GF_HOST_FILESYSTEM_UNREADABLE',
    `The free space at ${path} on ${host.name} cannot be read: check that "stat -f" and "df -P" work there.`,
    { class: 'retryable', details: { server: host.name, path } },
  );
}

/** Exported for tests: the output of the script. */
export function parseFilesystem(text: string): Filesystem | undefined {
  const [numbers = '', df = '', ...mounts] = text.split('\n');
  const match = /^(\d+) (\d+) (\d+) (\d+) (\d+) (.*)$/.exec(numbers);
  // The device may hold blanks, so the columns are counted from the percentage on.
  const mountPoint = /\s\d+\s+-?\d+\s+-?\d+\s+(?:\d+%|-)\s+(\/.*)$/.exec(df)?.[1];
  if (match === null || mountPoint === undefined) return undefined;
  const [, block, total, free, totalInodes, freeInodes, statType = ''] = match;
  const escaped = mountPoint.replace(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
  // The last mount at a place hides those before it.
  const mounted = mounts.map((line) => line.split(' ')).findLast((fields) => fields[1] === escaped);
  return {
    mountPoint,
    type: mounted?.[2] ?? statType,
    totalBytes: Number(block) * Number(total),
    freeBytes: Number(block) * Number(free),
    totalInodes: Number(totalInodes),
    freeInodes: Number(freeInodes),
  };
}

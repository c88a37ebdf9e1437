import { GridferryError } from '../errors.ts';
import { isAtLeast, type RsyncTool } from './bench-tools.ts';

/** What a pass may use: what both ends' builds can do. */
export interface RsyncAbilities {
  readonly acls: boolean;
  readonly xattrs: boolean;
  /** Times are compared to the nanosecond (`--modify-window=-1`, since 3.1.3). */
  readonly exactTimes: boolean;
  /** Holes survive an update in place (since 3.1.3). */
  readonly sparseInPlace: boolean;
  /** In the order they are to be preferred in (`--compress-choice`, since 3.2.0). */
  readonly compressions: readonly Compression[];
  /** The source's access times are left alone (`--open-noatime`, since 3.2.3). Only the sender needs it. */
  readonly leavesAccessTimes: boolean;
}

/** zstd shrinks more; lz4 costs next to nothing. */
export const compressions = ['zstd', 'lz4'] as const;
export type Compression = (typeof compressions)[number];

export function commonAbilities(source: RsyncTool, target: RsyncTool): RsyncAbilities {
  const both = (version: string): boolean => isAtLeast(source.version, version) && isAtLeast(target.version, version);
  return {
    acls: source.acls && target.acls,
    xattrs: source.xattrs && target.xattrs,
    exactTimes: both('3.1.3'),
    sparseInPlace: both('3.1.3'),
    compressions: compressions.filter((name) =>
      [source, target].every((tool) => tool.compressions?.includes(name) === true),
    ),
    leavesAccessTimes: isAtLeast(source.version, '3.2.3'),
  };
}

export interface RsyncOptions {
  readonly abilities: RsyncAbilities;
  /** Update files where they are; wrong when the target has hard links (see `rsync-pass.ts`). */
  readonly inPlace: boolean;
  /** Compare contents, not times. */
  readonly checksum: boolean;
  /** A file with NUL-separated paths: nothing else is looked at, and nothing is deleted. */
  readonly listFile?: string;
  /** In bytes; default: rsync's own, which grows with the root of a file's size. */
  readonly blockSize?: number;
  readonly compression?: Compression;
}

/** rsync's own blocks are no larger than this up to a file of 64 MiB. In bytes. */
const FINE_BLOCK = 8192;
/** Above this rsync takes no larger blocks (`MAX_BLOCK_SIZE` since protocol 30). In bytes. */
const LARGEST_BLOCK = 131_072;
/** Each costs the sender about 40 bytes of memory, and the wire some 6 to 8. */
const MOST_BLOCKS = 1 << 21;

/** Files from this size on are worth blocks of another size, in bytes. */
export const LARGE_FILE = 64 << 20;

/**
 * The block size for a tree whose largest file has this size. rsync compares and sends whole blocks: with its own size,
 * 32 KiB for a file of 1 GiB, each rewritten page of a database costs four to eight times what it is. `undefined`: its own.
 */
export function blockSizeFor(largestFile: number): number | undefined {
  if (largestFile <= LARGE_FILE) return undefined;
  let size = FINE_BLOCK;
  while (size < LARGEST_BLOCK && largestFile / size > MOST_BLOCKS) size *= 2;
  return size;
}

/** The arguments of the sending rsync, before source and target. */
export function clientArguments(options: RsyncOptions): string[] {
  const { abilities, inPlace, checksum, listFile, blockSize, compression } = options;
  return [
    '-aHS',
    ...(abilities.acls ? ['-A'] : []),
    // The target's own policy labels its files.
    ...(abilities.xattrs ? ['-X', '--filter=-x security.selinux', '--filter=-x security.evm'] : []),
    '--numeric-ids',
    '--one-file-system',
    ...(listFile === undefined ? ['--delete'] : [`--files-from=${listFile}`, '--from0', '--no-implied-dirs']),
    ...(abilities.exactTimes ? ['--modify-window=-1'] : []),
    ...(abilities.leavesAccessTimes ? ['--open-noatime'] : []),
    ...(checksum ? ['--checksum', '--ignore-times'].slice(0, listFile === undefined ? 1 : 2) : []),
    // What already crossed, in an earlier pass or a broken one, does not cross again.
    '--no-whole-file',
    ...(blockSize === undefined ? [] : [`--block-size=${String(blockSize)}`]),
    ...(compression === undefined
      ? []
      : [`--compress-choice=${compression}`, `--compress-level=${levelOf(compression)}`]),
    ...(inPlace ? ['--inplace'] : ['--partial']),
    '--no-protect-args',
    '--stats',
    '--info=progress2',
    '--no-human-readable',
  ];
}

/** The fastest level that still shrinks: what is compressed is sent at the pace of one core. */
function levelOf(compression: Compression): string {
  return compression === 'zstd' ? '1' : '0';
}

/** What stands for the target in the client's arguments; the bridge hands it to us and we put the real path there. */
export const placeholderHost = 'gridferry-target';
export const placeholderPath = '/gridferry-path';

/** Long options that a sending client may ask its server for, given `clientArguments`. */
const allowedServerOptions: readonly RegExp[] = [
  /^--delete(-during|-before)?$/,
  /^--numeric-ids$/,
  /^--one-file-system$/,
  /^--modify-window=-1$/,
  /^--(no-)?whole-file$/,
  /^--no-W$/,
  /^--inplace$/,
  /^--partial$/,
  /^--checksum$/,
  /^--ignore-times$/,
  /^--from0$/,
  /^--no-implied-dirs$/,
  /^--open-noatime$/,
  /^--atimes$/,
  /^--no-r$/,
  /^--force$/,
  /^--stats$/,
  /^-B\d{1,7}$/,
  /^--block-size=\d{1,7}$/,
  /^--compress-choice=(zstd|lz4)$/,
  /^--compress-level=\d{1,2}$/,
  /^--bwlimit=\d{1,12}$/,
  /^--log-format=[a-zA-Z0-9%]*$/,
  /^--info=[A-Z0-9,]*$/i,
];

/**
 * The server arguments that rsync on the source asked its remote shell to run, checked against the one shape that a
 * plain push has, with the target path put in by us. A hostile source could otherwise have any program run on the
 * target, or any of its files read (`--sender`), written (`--log-file`) or replaced (another path).
 *
 * Rejects with `GF_VOLUME_PEER_REFUSED`.
 */
export function serverCommand(requested: readonly string[], targetPath: string): string[] {
  const [host, program, server, ...rest] = requested;
  const path = rest.pop();
  const dot = rest.pop();
  const options = rest;
  const isPlain =
    host === placeholderHost &&
    program === 'rsync' &&
    server === '--server' &&
    dot === '.' &&
    path === placeholderPath &&
    options.length > 0 &&
    options.every(isAllowedOption);
  if (!isPlain) {
    throw new GridferryError(
      'GF_VOLUME_PEER_REFUSED',
      `rsync on the source asked for '${requested.join(' ').slice(0, 300)}', which is no plain push: nothing was run on the target. Check that rsync on the source is the distribution's own.`,
    );
  }
  return ['rsync', '--server', ...options, '.', targetPath];
}

function isAllowedOption(option: string): boolean {
  if (option === '-@-1') return true; // --modify-window=-1
  if (/^--|^-B/.test(option)) return allowedServerOptions.some((allowed) => allowed.test(option));
  // One bundle of short options, then `e` with the client's capabilities: -logDtpAXHSxe.iLsfxCIvu (rsync's options.c,
  // server_options). `s` before the `e` would announce further, unseen arguments on the stream; `M` does not bundle.
  return /^-[acglopqrtuvxADHIRSXW]*(e\d*\.[A-Za-z]*)?$/.test(option) && option.length > 1;
}

/**
 * Run on the source in place of a remote shell. The sending rsync's pipe is its stdin and stdout; 3 and 4 are the
 * original stdin and stdout of the process that we started, at whose other end the relay connects the receiving rsync.
 * First it says, on 4, what it was asked to run: the number of words, then each with a NUL behind it.
 *
 * It ends when the receiver's stream does, as a remote shell would; and it must hold neither pipe open meanwhile, or
 * neither side would ever see the other's end.
 */
export const bridgeScript = `exec 5<&0
printf 'GFRSYNC %s\\n' "$#" >&4
printf '%s\\0' "$@" >&4
cat <&5 >&4 3<&- 4>&- 5<&- &
exec cat <&3 3<&- 4>&- 5<&-
`;

/** The same, where it is known already what will be asked for: nothing but rsync's own words pass. */
export const silentBridgeScript = bridgeScript.replaceAll(/^printf .*\n/gm, '');

/**
 * Puts the bridge ($1) into a file ($2), whole or not at all, since other passes may run from it; then starts the sending
 * rsync with its own output on 2 and the original stdin and stdout saved for the bridge.
 */
export const senderScript =
  'umask 077; printf %s "$1" >"$2.$$" && mv -f "$2.$$" "$2" || exit 11; shift 2; exec 3<&0 4>&1 </dev/null >&2; exec "$@"';

export interface RsyncStats {
  readonly files?: number;
  readonly filesTransferred?: number;
  readonly deleted?: number;
  readonly totalBytes?: number;
  /** Contents that the receiver did not have. */
  readonly literalBytes?: number;
}

/** Reads `--stats` as printed with `LC_ALL=C --no-human-readable`. */
export function parseStats(output: string): RsyncStats {
  const number = (pattern: RegExp): number | undefined => {
    const digits = pattern.exec(output)?.[1];
    return digits === undefined ? undefined : Number(digits.replaceAll(',', ''));
  };
  const entries = {
    files: number(/^Number of files: ([\d,]+)/m),
    filesTransferred: number(/^Number of (?:regular )?files transferred: ([\d,]+)/m),
    deleted: number(/^Number of deleted files: ([\d,]+)/m),
    totalBytes: number(/^Total file size: ([\d,]+)/m),
    literalBytes: number(/^Literal data: ([\d,]+)/m),
  };
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));
}

/** Bytes done, from the last `--info=progress2` line in a piece of output. */
export function parseProgress(text: string): number | undefined {
  const lines = [...text.matchAll(/[\r\n] *([\d,]+) +\d+% /g)];
  const digits = lines.at(-1)?.[1];
  return digits === undefined ? undefined : Number(digits.replaceAll(',', ''));
}

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
  /** The source's access times are left alone (`--open-noatime`, since 3.2.3). Only the sender needs it. */
  readonly leavesAccessTimes: boolean;
}

export function commonAbilities(source: RsyncTool, target: RsyncTool): RsyncAbilities {
  const both = (version: string): boolean => isAtLeast(source.version, version) && isAtLeast(target.version, version);
  return {
    acls: source.acls && target.acls,
    xattrs: source.xattrs && target.xattrs,
    exactTimes: both('3.1.3'),
    sparseInPlace: both('3.1.3'),
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
}

/** The arguments of the sending rsync, before source and target. */
export function clientArguments({ abilities, inPlace, checksum, listFile }: RsyncOptions): string[] {
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
    ...(inPlace ? ['--inplace'] : ['--partial']),
    '--no-protect-args',
    '--stats',
    '--info=progress2',
    '--no-human-readable',
  ];
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
  if (option.startsWith('--')) return allowedServerOptions.some((allowed) => allowed.test(option));
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
  };
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));
}

/** Bytes done, from the last `--info=progress2` line in a piece of output. */
export function parseProgress(text: string): number | undefined {
  const lines = [...text.matchAll(/[\r\n] *([\d,]+) +\d+% /g)];
  const digits = lines.at(-1)?.[1];
  return digits === undefined ? undefined : Number(digits.replaceAll(',', ''));
}

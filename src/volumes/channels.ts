import { text } from 'node:stream/consumers';
import { plainEnvironment } from './bench-tools.ts';
import { copyError } from './copy-errors.ts';
import type { CopyOptions } from './copy.ts';
import { isEmptyTree } from './measure.ts';
import { relay } from './relay.ts';
import { inTree, openList, slotOf } from './remote-list.ts';
import { tarListed } from './tar-pass.ts';

/**
 * Several streams side by side, for links with a long round trip: one SSH channel never has more than 2 MiB on the way
 * (its window, in OpenSSH and in ssh2 alike), whatever the link could carry.
 */

/** Round trips up to this long are no reason for it, in ms: a channel carries 400 MB/s then. */
const SHORT_ROUND_TRIP_MS = 5;
/** One more channel for each of these, in ms. */
const ROUND_TRIP_PER_CHANNEL_MS = 10;
/** sshd runs ten sessions on a connection unless configured; others are at work beside the copy. */
const MOST_CHANNELS = 6;

/** How many streams make good use of a link. */
export function channelsFor(roundTripMs: number | undefined): number {
  if (roundTripMs === undefined || roundTripMs <= SHORT_ROUND_TRIP_MS) return 1;
  return Math.min(MOST_CHANNELS, Math.max(2, Math.ceil(roundTripMs / ROUND_TRIP_PER_CHANNEL_MS)));
}

export interface ListedFile {
  /** Below the root, as raw bytes. */
  readonly path: Buffer;
  readonly bytes: number;
}

/** A file larger than this is sent in ranges, in bytes: else all others would be waited for, or wait for it. */
const SPLIT_BYTES = 64 << 20;
/** Less than this is not worth several streams, in bytes. */
const WORTH_BYTES = 16 << 20;
/** Files listed at the most; the largest ones, which are nearly all of the bytes where there are more. */
const MOST_FILES = 20_000;

/** Shares files out so that each part has about the same number of bytes: the largest first, always to the smallest part. */
export function partition(files: readonly ListedFile[], parts: number): ListedFile[][] {
  const lanes = Array.from({ length: parts }, () => ({ bytes: 0, files: [] as ListedFile[] }));
  for (const file of files.toSorted((a, b) => b.bytes - a.bytes)) {
    const smallest = lanes.reduce((least, lane) => (lane.bytes < least.bytes ? lane : least));
    smallest.files.push(file);
    // An empty file costs a little, too.
    smallest.bytes += file.bytes + 1;
  }
  return lanes.map((lane) => lane.files).filter((lane) => lane.length > 0);
}

/** Cuts a file into about equal ranges on whole MiB. */
export function rangesOf(bytes: number, parts: number): { readonly skipMiB: number; readonly countMiB: number }[] {
  const all = Math.ceil(bytes / MIB);
  const each = Math.max(1, Math.ceil(all / parts));
  const ranges = [];
  for (let skipMiB = 0; skipMiB < all; skipMiB += each) {
    ranges.push({ skipMiB, countMiB: Math.min(each, all - skipMiB) });
  }
  return ranges;
}

const MIB = 1 << 20;

/**
 * Sends the files of a tree over several channels, into an empty target. All else, and what changes meanwhile, is for a
 * pass over the whole tree, which must follow.
 *
 * The source is in motion, and somebody there may want to be followed out of the tree: a folder may become a symbolic
 * link at any time. So only regular files are sent, into a tree that is empty at first; no folder is, since a link in its
 * place would lead what another channel writes elsewhere.
 */
export async function copyInChannels(options: CopyOptions, meterBytes: (bytes: number) => void): Promise<void> {
  const { channels = 1, bandwidthLimit, source, target, signal } = options;
  if (!source.tools.gnuTar || !target.tools.gnuTar || !source.tools.gnuFind) return;
  if (!(await isEmptyTree(target, options.targetPath, signal))) return;
  const files = withoutNested(await filesOf(options));
  if (files.reduce((sum, file) => sum + file.bytes, 0) < WORTH_BYTES) return;
  const limited = bandwidthLimit === undefined ? {} : { bandwidthLimit: Math.ceil(bandwidthLimit / channels) };
  const split = files.filter((file) => file.bytes >= SPLIT_BYTES);
  for (const file of split) await sendSplit({ ...options, ...limited }, file, channels, meterBytes);
  if (options.isFile === true) return;
  const lanes = partition(
    files.filter((file) => file.bytes < SPLIT_BYTES),
    channels,
  );
  await allOf(signal, [...lanes.entries()], async ([lane, part], stop) => {
    const list = await openList(source, `lane-${slotOf(options.sourcePath)}-${String(lane)}`, stop);
    await list.write(part.map(({ path }) => inTree(path)));
    await list.close();
    await tarListed({ ...options, ...limited, running: true, signal: stop }, list.path, meterBytes);
  });
}

/** A name that was a file when it was listed, and a folder an instant later, is left to the pass over everything. */
function withoutNested(files: readonly ListedFile[]): ListedFile[] {
  const names = new Set(files.map(({ path }) => path.toString('latin1')));
  return files.filter(({ path }) => {
    const parts = path.toString('latin1').split('/');
    return !parts.some((_, depth) => depth > 0 && names.has(parts.slice(0, depth).join('/')));
  });
}

/** The first failure ends the others, and all have ended when it is told. */
async function allOf<T>(
  outer: AbortSignal | undefined,
  things: readonly T[],
  work: (thing: T, signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const failed = new AbortController();
  const signal = outer === undefined ? failed.signal : AbortSignal.any([outer, failed.signal]);
  const results = await Promise.allSettled(
    things.map(async (thing) => {
      try {
        await work(thing, signal);
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    }),
  );
  outer?.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason as Error;
  for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
}

/** Hard links stay together in the pass over everything; so do files that are mostly holes. */
const listScript = `find "$0" -xdev -type f -links 1 -size +0 -printf '%s %b %P\\0' | sort -rnz | head -zn ${String(MOST_FILES)} | base64 -w 0`;

async function filesOf({ source, sourcePath, isFile, signal }: CopyOptions): Promise<ListedFile[]> {
  const process = await source.spawn(['sh', '-c', listScript, `${sourcePath}${isFile ? '' : '/'}`], {
    env: plainEnvironment,
    ...(signal ? { signal } : {}),
  });
  process.stdin.on('error', () => undefined).end();
  process.stderr.resume();
  const [listed] = await Promise.all([text(process.stdout), process.exit]);
  signal?.throwIfAborted();
  return parseListed(Buffer.from(listed, 'base64'));
}

/** Reads `size blocks path` records, each with a NUL behind it. */
export function parseListed(listed: Buffer): ListedFile[] {
  const files: ListedFile[] = [];
  let start = 0;
  for (let end = listed.indexOf(0); end >= 0; end = listed.indexOf(0, start)) {
    const record = listed.subarray(start, end);
    start = end + 1;
    const first = record.indexOf(0x20);
    const second = record.indexOf(0x20, first + 1);
    const bytes = Number(record.toString('latin1', 0, first));
    const allocated = Number(record.toString('latin1', first + 1, second)) * 512;
    if (allocated >= bytes * 0.9) files.push({ path: record.subarray(second + 1), bytes });
  }
  return files;
}

/** A path may be any bytes, and arguments are text: it travels as base64. */
const placeScript = `place="$0"; [ -z "$1" ] || place="$0/$(printf %s "$1" | base64 -d; printf x)"; [ -z "$1" ] || place="\${place%x}";`;

/**
 * Sends one file in ranges. When it was left alone meanwhile it gets its time, so that the pass over everything need not
 * read it on both ends to find that out.
 */
async function sendSplit(
  options: CopyOptions,
  file: ListedFile,
  parts: number,
  meterBytes: (bytes: number) => void,
): Promise<void> {
  const { source, sourcePath, target, targetPath, signal } = options;
  const encoded = file.path.toString('base64');
  const run = { env: plainEnvironment, allowFailure: true, ...(signal ? { signal } : {}) };
  const times = async (): Promise<string> =>
    (await source.exec(['sh', '-c', `${placeScript} stat -c '%s|%z|%y' -- "$place"`, sourcePath, encoded], run)).stdout;
  const before = await times();
  // Its owner and mode come with the pass over everything: until then nobody else may read it.
  const make = `umask 077; ${placeScript} mkdir -p -- "\${place%/*}" && truncate -s "$2" -- "$place"`;
  await target.exec(['sh', '-c', make, targetPath, encoded, String(file.bytes)], { ...run, allowFailure: false });
  await allOf(signal, rangesOf(file.bytes, parts), (range, stop) =>
    sendRange({ ...options, signal: stop }, file, range, meterBytes),
  );
  if (before === '' || (await times()) !== before) return;
  const modified = before.trim().split('|')[2] ?? '';
  await target.exec(['sh', '-c', `${placeScript} touch -c -m -d "$2" -- "$place"`, targetPath, encoded, modified], run);
}

async function sendRange(
  options: CopyOptions,
  file: ListedFile,
  { skipMiB, countMiB }: { readonly skipMiB: number; readonly countMiB: number },
  meterBytes: (bytes: number) => void,
): Promise<void> {
  const { source, sourcePath, target, targetPath, signal } = options;
  const path = file.path.toString('base64');
  const spawnOptions = { env: plainEnvironment, ...(signal ? { signal } : {}) };
  const read = `${placeScript} exec dd if="$place" bs=${String(MIB)} skip="$2" count="$3" iflag=fullblock status=none`;
  const write = `${placeScript} exec dd of="$place" bs=${String(MIB)} seek="$2" iflag=fullblock conv=notrunc,sparse status=none`;
  const reader = await source.spawn(
    ['sh', '-c', read, sourcePath, path, String(skipMiB), String(countMiB)],
    spawnOptions,
  );
  let writer;
  try {
    writer = await target.spawn(['sh', '-c', write, targetPath, path, String(skipMiB)], spawnOptions);
  } catch (error) {
    reader.kill();
    throw error;
  }
  const { from, to } = await relay(reader, writer, false, {
    onBytes: meterBytes,
    bandwidthLimit: options.bandwidthLimit,
    ...(options.clock ? { clock: options.clock } : {}),
  });
  signal?.throwIfAborted();
  // A source file that vanished or shrank meanwhile is the following pass's business.
  if (to.code === 0 && from.code !== null) return;
  throw copyError({
    tool: 'dd',
    source: source.name,
    target: target.name,
    sourceCode: from.code,
    targetCode: to.code,
    stderr: `${from.stderr}\n${to.stderr}`,
  });
}

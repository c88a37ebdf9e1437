import type { HostProcess } from '../ssh/host.ts';
import { GridferryError } from '../errors.ts';
import { plainEnvironment, type RsyncTool } from './bench-tools.ts';
import { copyError, vanishedError } from './copy-errors.ts';
import type { CopyOptions, CopyPass } from './copy.ts';
import { relay } from './relay.ts';
import { slotOf, writePaths } from './remote-list.ts';
import { openDirectly } from './rsync-direct.ts';
import {
  blockSizeFor,
  bridgeScript,
  clientArguments,
  commonAbilities,
  LARGE_FILE,
  parseProgress,
  parseStats,
  placeholderHost,
  placeholderPath,
  senderScript,
  serverCommand,
  silentBridgeScript,
  type RsyncAbilities,
} from './rsync-command.ts';
import { readRequest } from './rsync-request.ts';
import type { Workbench } from './workbench.ts';

export type RsyncResult = Omit<CopyPass, 'startedAt' | 'durationMs' | 'bytesOnWire'>;

/** rsync started on both ends, before either has looked at its tree: it waits for the other's first word. */
export interface OpenRsync {
  run(meterBytes: (bytes: number) => void): Promise<RsyncResult>;
  kill(): void;
}

/** One pass with rsync on both ends; `CopyOptions` say the rest. */
export async function rsyncPass(options: CopyOptions, meterBytes: (bytes: number) => void): Promise<RsyncResult> {
  return (await openRsync(options)).run(meterBytes);
}

/**
 * Starts rsync on both ends and does not connect them yet. Each first reads the other's protocol version (rsync's
 * compat.c, setup_protocol), and only then its arguments and files: what `run` copies is the tree as it is at that time.
 */
export async function openRsync(options: CopyOptions): Promise<OpenRsync> {
  const { source, target, running, signal } = options;
  const abilities = commonAbilities(source.tools.rsync as RsyncTool, target.tools.rsync as RsyncTool);
  const { hardLinks, largestFile } = await peculiaritiesOf(options);
  const inPlace = options.isFile === true || (abilities.sparseInPlace && !hardLinks);
  const blockSize = blockSizeFor(largestFile);
  const compression = abilities.compressions.find((name) => name === options.compression);
  const bridge = `${source.workFolder}/bridge`;
  const listFile =
    options.only === undefined
      ? undefined
      : await writePaths(
          source,
          `only-${slotOf(`${options.sourcePath}\0${options.only[0]?.toString('latin1') ?? ''}`)}`,
          options.only,
          signal,
        );

  const folder = (path: string): string => (options.isFile ? path : `${path.replace(/\/+$/, '')}/`);
  const isDirect = options.route?.mode === 'Direct';
  const rsync = [
    'rsync',
    ...clientArguments({
      abilities,
      inPlace,
      checksum: options.compare === 'content' || (!running && !abilities.exactTimes),
      ...(listFile === undefined ? {} : { listFile }),
      ...(blockSize === undefined ? {} : { blockSize }),
      ...(compression === undefined ? {} : { compression }),
    }),
    // What goes through this process is held back here.
    ...(isDirect && options.bandwidthLimit !== undefined ? [`--bwlimit=${kibibytes(options.bandwidthLimit)}`] : []),
  ];
  const through = (script: string, path: string): string[] => [
    ...['sh', '-c', senderScript, 'gridferry-rsync', script, path],
    ...rsync,
    ...['-e', `sh ${path}`, '--', folder(options.sourcePath), `${placeholderHost}:${placeholderPath}`],
  ];
  const asking = through(bridgeScript, bridge);
  const spawnOptions = { env: plainEnvironment, ...(signal ? { signal } : {}) };
  const judge = (ends: RsyncEnds): RsyncResult => resultOf(options, abilities, ends);
  if (options.route?.mode === 'Direct') {
    const silent = through(silentBridgeScript, `${bridge}-silent`);
    return openDirectly({
      options,
      route: options.route,
      asking,
      silent,
      targetPath: folder(options.targetPath),
      judge,
    });
  }
  const sender = await source.spawn(asking, spawnOptions);
  let output = '';
  let vanished = 0;
  const onStderr = (side: 'from' | 'to', text: string): void => {
    if (side !== 'from') return;
    output = (output + text).slice(-65_536);
    vanished += text.split(' has vanished: ').length - 1;
    const done = parseProgress(text);
    if (done !== undefined) options.onProgress?.(0, done);
  };
  // Listening starts before the first await: an rsync that fails at once says why on stderr only.
  const requested = await readRequest(sender, onStderr).catch(async (error: unknown) => {
    sender.kill();
    signal?.throwIfAborted();
    throw error instanceof GridferryError ? error : await startError(options, sender, output);
  });
  let receiver: HostProcess;
  try {
    receiver = await target.spawn(serverCommand(requested, folder(options.targetPath)), spawnOptions);
  } catch (error) {
    sender.kill();
    throw error;
  }
  return {
    async run(meterBytes) {
      const { from, to } = await relay(sender, receiver, true, {
        onBytes: meterBytes,
        onStderr,
        bandwidthLimit: options.bandwidthLimit,
        ...(options.clock ? { clock: options.clock } : {}),
      });
      signal?.throwIfAborted();
      return judge({ sender: from.code, receiver: to.code, said: output, alsoSaid: to.stderr, vanished });
    },
    kill() {
      sender.kill();
      receiver.kill();
    },
  };
}

/** rsync's unit, and its 0 means no limit. */
function kibibytes(bytes: number): string {
  return String(Math.max(1, Math.floor(bytes / 1024)));
}

/** How the two ended. */
export interface RsyncEnds {
  readonly sender: number | null;
  readonly receiver: number | null;
  /** What the sender said, its statistics at the end. */
  readonly said: string;
  readonly alsoSaid: string;
  /** Files that the sender found vanished. */
  readonly vanished: number;
}

function resultOf(options: CopyOptions, abilities: RsyncAbilities, ends: RsyncEnds): RsyncResult {
  const { source, running } = options;
  const { sender, receiver, said, vanished } = ends;
  const stderr = `${said}\n${ends.alsoSaid}`;
  // The receiver's own code counts too: through a bridge, the sender does not learn of it.
  const failed = [sender, receiver].some((code) => code !== 0 && code !== 24);
  if (failed) throw failure(options, sender, receiver, stderr);
  if (sender === 24 && !running) throw vanishedError(source.name, Math.max(vanished, 1), stderr);
  if (running && options.only === undefined) rememberPeculiarities(options);
  const stats = parseStats(said);
  return {
    tool: 'rsync',
    filesTransferred: stats.filesTransferred ?? 0,
    ...(stats.files === undefined ? {} : { totalFiles: stats.files }),
    ...(stats.totalBytes === undefined ? {} : { totalBytes: stats.totalBytes }),
    ...(stats.literalBytes === undefined ? {} : { changedBytes: stats.literalBytes }),
    vanished,
    limitations: [
      ...(abilities.acls ? [] : ['ACLs were not copied: rsync lacks them on one side']),
      ...(abilities.xattrs ? [] : ['extended attributes were not copied: rsync lacks them on one side']),
      ...(abilities.exactTimes ? [] : ['rsync before 3.1.3 compares times to the second while the service runs']),
    ],
  };
}

/** What of the target's files decides how they are updated. */
interface Peculiarities {
  readonly hardLinks: boolean;
  /** In bytes; 0 when none is large. */
  readonly largestFile: number;
}

/**
 * What the target is like after a pass that ended well, so that the next one need not look: only passes write there. It is
 * looked for beside whatever follows the pass, and only by the end of a look can the next pass go on.
 */
const known = new WeakMap<Workbench, Map<string, Promise<Peculiarities | undefined>>>();

async function peculiaritiesOf({ target, targetPath, running, signal }: CopyOptions): Promise<Peculiarities> {
  const ofTarget = known.get(target);
  const found = await ofTarget?.get(targetPath);
  // What this pass does to it, and how it ends, nobody knows yet.
  if (running) ofTarget?.delete(targetPath);
  return found ?? findPeculiarities(target, targetPath, signal);
}

function rememberPeculiarities({ target, targetPath, signal }: CopyOptions): void {
  const ofTarget = known.get(target) ?? new Map<string, Promise<Peculiarities | undefined>>();
  ofTarget.set(
    targetPath,
    // Who needs it looks again.
    findPeculiarities(target, targetPath, signal).catch(() => undefined),
  );
  known.set(target, ofTarget);
}

/** The sizes of large files, and a 0 where one has several links; of these lines the first and the last suffice. What cannot be looked at may have links. */
const findScript = `{ find "$0" -xdev -type f \\( -size +${String(LARGE_FILE / 1024)}k -printf '%s\\n' \\) , \\( -type f -links +1 -printf '0\\n' \\) 2>/dev/null || echo 0; } | sort -rnu | sed -n '1p;$p'`;

/**
 * Updating in place writes through every hard link of a file: with a link on the target that the source no longer has,
 * two files would overwrite each other's content, pass after pass (rsync(1), `--inplace`). So it is only used on a tree
 * without any; the scan costs what a `find` costs.
 */
async function findPeculiarities(
  bench: Workbench,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Peculiarities> {
  if (!bench.tools.gnuFind) return { hardLinks: true, largestFile: 0 };
  const { stdout } = await bench.exec(['sh', '-c', findScript, path], {
    timeoutMs: 3_600_000,
    ...(signal ? { signal } : {}),
  });
  const sizes = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
  return { hardLinks: sizes.includes(0), largestFile: Math.max(0, ...sizes) };
}

async function startError(options: CopyOptions, sender: HostProcess, output: string): Promise<GridferryError> {
  const { code } = await sender.exit;
  return failure(options, code, null, output);
}

function failure(
  options: CopyOptions,
  sourceCode: number | null,
  targetCode: number | null,
  stderr: string,
): GridferryError {
  return copyError({
    tool: 'rsync',
    source: options.source.name,
    target: options.target.name,
    sourceCode,
    targetCode,
    stderr,
  });
}

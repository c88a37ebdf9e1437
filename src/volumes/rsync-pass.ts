import type { Readable } from 'node:stream';
import type { HostProcess } from '../ssh/host.ts';
import { GridferryError } from '../errors.ts';
import { plainEnvironment, type RsyncTool } from './bench-tools.ts';
import { copyError, vanishedError } from './copy-errors.ts';
import type { CopyOptions, CopyPass } from './copy.ts';
import { relay } from './relay.ts';
import { slotOf, writePaths } from './remote-list.ts';
import {
  bridgeScript,
  clientArguments,
  commonAbilities,
  parseProgress,
  parseStats,
  placeholderHost,
  placeholderPath,
  senderScript,
  serverCommand,
} from './rsync-command.ts';
import type { Workbench } from './workbench.ts';

/** One pass with rsync on both ends; `CopyOptions` say the rest. */
export async function rsyncPass(
  options: CopyOptions,
  meterBytes: (bytes: number) => void,
): Promise<Omit<CopyPass, 'startedAt' | 'durationMs' | 'bytesOnWire'>> {
  const { source, target, running, signal } = options;
  const abilities = commonAbilities(source.tools.rsync as RsyncTool, target.tools.rsync as RsyncTool);
  const inPlace = options.isFile === true || (abilities.sparseInPlace && !(await mayHaveHardLinks(options)));
  const bridge = `${source.workFolder}/bridge`;
  const listFile =
    options.only === undefined
      ? undefined
      : await writePaths(source, `only-${slotOf(options.sourcePath)}`, options.only, signal);

  const folder = (path: string): string => (options.isFile ? path : `${path.replace(/\/+$/, '')}/`);
  const sender = await source.spawn(
    [
      'sh',
      '-c',
      senderScript,
      'gridferry-rsync',
      bridgeScript,
      bridge,
      'rsync',
      ...clientArguments({
        abilities,
        inPlace,
        checksum: options.compare === 'content' || (!running && !abilities.exactTimes),
        ...(listFile === undefined ? {} : { listFile }),
      }),
      '-e',
      `sh ${bridge}`,
      '--',
      folder(options.sourcePath),
      `${placeholderHost}:${placeholderPath}`,
    ],
    { env: plainEnvironment, ...(signal ? { signal } : {}) },
  );
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
    receiver = await target.spawn(serverCommand(requested, folder(options.targetPath)), {
      env: plainEnvironment,
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    sender.kill();
    throw error;
  }
  const { from, to } = await relay(sender, receiver, true, {
    onBytes: meterBytes,
    onStderr,
    bandwidthLimit: options.bandwidthLimit,
    ...(options.clock ? { clock: options.clock } : {}),
  });
  signal?.throwIfAborted();

  const stderr = `${output}\n${to.stderr}`;
  // The receiver's own code counts too: through a bridge, the sender does not learn of it.
  const failed = [from.code, to.code].some((code) => code !== 0 && code !== 24);
  if (failed) throw failure(options, from.code, to.code, stderr);
  if (from.code === 24 && !running) throw vanishedError(source.name, Math.max(vanished, 1), stderr);
  if (running && !options.isFile) await rememberHardLinks(options);
  const stats = parseStats(output);
  return {
    tool: 'rsync',
    filesTransferred: stats.filesTransferred ?? 0,
    ...(stats.files === undefined ? {} : { totalFiles: stats.files }),
    ...(stats.totalBytes === undefined ? {} : { totalBytes: stats.totalBytes }),
    vanished,
    limitations: [
      ...(abilities.acls ? [] : ['ACLs were not copied: rsync lacks them on one side']),
      ...(abilities.xattrs ? [] : ['extended attributes were not copied: rsync lacks them on one side']),
      ...(abilities.exactTimes ? [] : ['rsync before 3.1.3 compares times to the second while the service runs']),
    ],
  };
}

/** What a pass that ran before the stop found, so that the final one need not look again. */
const knownHardLinks = new WeakMap<Workbench, Map<string, boolean>>();

async function mayHaveHardLinks({ target, targetPath, running, signal }: CopyOptions): Promise<boolean> {
  const known = running ? undefined : knownHardLinks.get(target)?.get(targetPath);
  return known ?? hasHardLinks(target, targetPath, signal);
}

async function rememberHardLinks({ target, targetPath, signal }: CopyOptions): Promise<void> {
  const known = knownHardLinks.get(target) ?? new Map<string, boolean>();
  known.set(targetPath, await hasHardLinks(target, targetPath, signal));
  knownHardLinks.set(target, known);
}

/**
 * Updating in place writes through every hard link of a file: with a link on the target that the source no longer has,
 * two files would overwrite each other's content, pass after pass (rsync(1), `--inplace`). So it is only used on a tree
 * without any; the scan costs what a `find` costs.
 */
async function hasHardLinks(bench: Workbench, path: string, signal: AbortSignal | undefined): Promise<boolean> {
  if (!bench.tools.gnuFind) return true;
  const { stdout } = await bench.exec(['find', path, '-xdev', '-type', 'f', '-links', '+1', '-print', '-quit'], {
    timeoutMs: 3_600_000,
    ...(signal ? { signal } : {}),
  });
  return stdout !== '';
}

const longestRequest = 16_384;

/** Reads what the bridge says first; the stream is left exactly behind it. */
async function readRequest(sender: HostProcess, onStderr: (side: 'from', text: string) => void): Promise<string[]> {
  const listener = (chunk: Buffer): void => onStderr('from', chunk.toString('latin1'));
  sender.stderr.on('data', listener);
  sender.stdin.on('error', () => undefined); // `relay` reports by exit codes
  try {
    let head = Buffer.alloc(0);
    for await (const chunk of piecesOf(sender.stdout)) {
      head = Buffer.concat([head, chunk]);
      const parsed = parseRequest(head);
      if (parsed) {
        if (parsed.length < head.length) sender.stdout.unshift(head.subarray(parsed.length));
        return parsed.words;
      }
      if (head.length > longestRequest) break;
    }
    throw new Error('no request from the bridge');
  } finally {
    sender.stderr.off('data', listener);
    sender.stderr.pause();
  }
}

/** Chunks by hand: `for await` over the stream itself would destroy it when left. */
async function* piecesOf(stream: Readable): AsyncGenerator<Buffer> {
  for (;;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk) yield chunk;
    else if (stream.readableEnded || stream.destroyed) return;
    else {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          for (const name of ['readable', 'end', 'close', 'error']) stream.off(name, done);
          resolve();
        };
        for (const name of ['readable', 'end', 'close', 'error']) stream.on(name, done);
      });
    }
  }
}

/** The words of a complete request and where it ends; undefined while more has to come. */
export function parseRequest(head: Buffer): { words: string[]; length: number } | undefined {
  const lineEnd = head.indexOf(0x0a);
  if (lineEnd < 0) return undefined;
  const count = Number(/^GFRSYNC (\d{1,3})$/.exec(head.toString('latin1', 0, lineEnd))?.[1] ?? NaN);
  if (Number.isNaN(count)) {
    throw new GridferryError(
      'GF_VOLUME_PEER_REFUSED',
      'The source did not speak rsync; check the login shell’s start files there.',
    );
  }
  const words: string[] = [];
  let start = lineEnd + 1;
  while (words.length < count) {
    const end = head.indexOf(0, start);
    if (end < 0) return undefined;
    words.push(head.toString('utf8', start, end));
    start = end + 1;
  }
  return { words, length: start };
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

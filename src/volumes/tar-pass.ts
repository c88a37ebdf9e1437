import { posix } from 'node:path';
import { plainEnvironment } from './bench-tools.ts';
import { copyError, vanishedError } from './copy-errors.ts';
import type { CopyOptions, CopyPass } from './copy.ts';
import { buildManifest } from './manifest.ts';
import { isEmptyTree, measureTree } from './measure.ts';
import { relay } from './relay.ts';
import { applyChanges } from './target-changes.ts';
import { slotOf, writePaths } from './remote-list.ts';
import { writeTarChanges } from './tar-changes.ts';

type PassResult = Omit<CopyPass, 'startedAt' | 'durationMs' | 'bytesOnWire'>;

/**
 * One pass with tar. An empty target gets everything; later passes send what two manifests say has changed. tar has no
 * sockets and removes nothing, so what it leaves undone is done beside it.
 */
export async function tarPass(options: CopyOptions, meterBytes: (bytes: number) => void): Promise<PassResult> {
  if (options.isFile) return copyFile(options, meterBytes);
  if (options.only) return copyListed(options, options.only, meterBytes);
  const { source, target, running, signal } = options;
  const cancellable = signal ? { signal } : {};
  if (await isEmptyTree(target, options.targetPath, signal)) {
    const size = await measureTree(source, options.sourcePath, signal);
    const vanished = await stream(options, ['--', '.'], options.sourcePath, options.targetPath, meterBytes);
    const whole = {
      tool: 'tar',
      filesTransferred: size.files,
      totalFiles: size.inodes,
      totalBytes: size.bytes,
      vanished,
    } as const;
    if (running) return { ...whole, limitations: [] };
    // Sockets are still missing, and nobody comes after this pass.
    return {
      ...whole,
      vanished: vanished + (await copyChanged(options, meterBytes, cancellable)).vanished,
      limitations: [],
    };
  }
  return copyChanged(options, meterBytes, cancellable);
}

async function copyChanged(
  options: CopyOptions,
  meterBytes: (bytes: number) => void,
  cancellable: { signal?: AbortSignal },
): Promise<PassResult> {
  const mode = options.compare === 'content' ? 'full' : 'metadata';
  const slot = slotOf(options.targetPath);
  const [sourceManifest, targetManifest] = await Promise.all([
    buildManifest(options.source, options.sourcePath, {
      mode,
      name: `tar-source-${slot}`,
      settle: false,
      ...cancellable,
    }),
    buildManifest(options.target, options.targetPath, {
      mode,
      name: `tar-target-${slot}`,
      settle: false,
      ...cancellable,
    }),
  ]);
  const found = await writeTarChanges(sourceManifest, targetManifest, slot, options.signal);
  let vanished = 0;
  if (found.changes > 0) await change(options, found.changesFile, 'before');
  if (found.listed > 0)
    vanished = await stream(options, listArguments(found.listFile), options.sourcePath, options.targetPath, meterBytes);
  if (found.changes > 0) await change(options, found.changesFile, 'after');
  return {
    tool: 'tar',
    filesTransferred: found.files,
    totalFiles: sourceManifest.entries,
    totalBytes: sourceManifest.bytes,
    vanished,
    limitations: [],
  };
}

async function copyListed(
  options: CopyOptions,
  paths: readonly Buffer[],
  meterBytes: (bytes: number) => void,
): Promise<PassResult> {
  const listFile = await writePaths(options.source, `tar-list-${slotOf(options.targetPath)}`, paths, options.signal);
  const vanished = await stream(options, listArguments(listFile), options.sourcePath, options.targetPath, meterBytes);
  return { tool: 'tar', filesTransferred: paths.length, vanished, limitations: [] };
}

/** Sends the files of a list that is on the source, a NUL behind each path, and nothing else. Answers how many vanished. */
export function tarListed(
  options: CopyOptions,
  listFile: string,
  meterBytes: (bytes: number) => void,
): Promise<number> {
  return stream(options, listArguments(listFile), options.sourcePath, options.targetPath, meterBytes);
}

/** A single file is unpacked beside its place and moved there: the two names may differ. */
async function copyFile(options: CopyOptions, meterBytes: (bytes: number) => void): Promise<PassResult> {
  const { sourcePath, target, targetPath } = options;
  const folder = posix.join(posix.dirname(targetPath), `.gridferry-${posix.basename(targetPath)}`);
  await target.exec(['mkdir', '-p', '-m', '700', '--', folder]);
  try {
    const vanished = await stream(
      options,
      ['--', `./${posix.basename(sourcePath)}`],
      posix.dirname(sourcePath),
      folder,
      meterBytes,
    );
    if (vanished === 0)
      await target.exec(['mv', '-f', '-T', '--', posix.join(folder, posix.basename(sourcePath)), targetPath]);
    return { tool: 'tar', filesTransferred: 1 - vanished, vanished, limitations: [] };
  } finally {
    await target.exec(['rm', '-rf', '--', folder]);
  }
}

function listArguments(listFile: string): string[] {
  return ['--no-recursion', '--null', '--verbatim-files-from', `--files-from=${listFile}`];
}

const attributes = ['--xattrs', '--xattrs-include=*', '--xattrs-exclude=security.selinux', '--acls'];

/** Runs tar on both ends; answers how many files vanished. */
async function stream(
  options: CopyOptions,
  what: readonly string[],
  from: string,
  to: string,
  meterBytes: (bytes: number) => void,
): Promise<number> {
  const { source, target, running, signal } = options;
  const spawnOptions = { env: plainEnvironment, ...(signal ? { signal } : {}) };
  const packer = await source.spawn(
    [
      'tar',
      `--directory=${from}`,
      ...attributes,
      '--sparse',
      '--numeric-owner',
      '--one-file-system',
      // Times to the nanosecond; access and change times are not the target's business.
      '--format=posix',
      '--pax-option=delete=atime,delete=ctime',
      '--atime-preserve=system',
      // Small writes become small packets, which cost more to encrypt than the data do.
      '--blocking-factor=128',
      '--create',
      '--file=-',
      ...what,
    ],
    spawnOptions,
  );
  let unpacker;
  try {
    unpacker = await target.spawn(
      [
        // Folders that the archive does not have are nobody else's business until a later pass brings their modes.
        ...['sh', '-c', 'umask 077; exec "$@"', 'gridferry-tar'],
        'tar',
        `--directory=${to}`,
        ...attributes,
        '--same-owner',
        '--numeric-owner',
        '--preserve-permissions',
        '--delay-directory-restore',
        '--warning=no-timestamp',
        '--extract',
        '--file=-',
      ],
      spawnOptions,
    );
  } catch (error) {
    packer.kill();
    throw error;
  }
  const ends = await relay(packer, unpacker, false, {
    onBytes: meterBytes,
    bandwidthLimit: options.bandwidthLimit,
    ...(options.clock ? { clock: options.clock } : {}),
  });
  signal?.throwIfAborted();
  const vanished = [...ends.from.stderr.matchAll(vanishedLine)].length;
  // 1: a file changed while it was read. 2: among others, a listed file was gone.
  const onlyChanged = ends.from.code === 1 || (ends.from.code === 2 && everyLineHarmless(ends.from.stderr));
  if (ends.to.code === 0 && onlyChanged) {
    if (running) return vanished;
    throw vanishedError(source.name, Math.max(vanished, 1), ends.from.stderr);
  }
  if (ends.from.code !== 0 || ends.to.code !== 0) {
    throw copyError({
      tool: 'tar',
      source: source.name,
      target: target.name,
      sourceCode: ends.from.code,
      targetCode: ends.to.code,
      stderr: `${ends.from.stderr}\n${ends.to.stderr}`,
    });
  }
  return vanished;
}

const vanishedLine = /File removed before we read it|Cannot (?:stat|open|savedir|readlink): No such file or directory/g;

function everyLineHarmless(stderr: string): boolean {
  const harmless =
    /File removed before we read it|: No such file or directory$|file changed as we read it|socket ignored|Exiting with failure status|File shrank by|Error exit delayed/;
  return stderr.split('\n').every((line) => line === '' || harmless.test(line));
}

async function change(options: CopyOptions, file: string, phase: 'before' | 'after'): Promise<void> {
  const { target, targetPath, signal } = options;
  const { exitCode, stderr } = await applyChanges(target, targetPath, file, phase, signal);
  if (exitCode !== 0) {
    throw copyError({
      tool: 'tar',
      source: options.source.name,
      target: target.name,
      sourceCode: 0,
      targetCode: exitCode,
      stderr,
    });
  }
}

import { GridferryError } from '../errors.ts';
import type { ExecResult } from '../ssh/host.ts';
import { plainEnvironment, toolMissing } from './bench-tools.ts';
import { perlManifest } from './manifest-perl.ts';
import { pythonManifest } from './manifest-python.ts';
import { standBy } from './standby.ts';
import type { Standby } from './standby.ts';
import type { Workbench } from './workbench.ts';

/** A manifest in a file on its server: what was found under one path, and a digest of it. */
export interface ManifestHandle {
  readonly bench: Workbench;
  readonly file: string;
  readonly mode: ManifestMode;
  /** Covers everything that must be equal on both sides. */
  readonly digest: string;
  readonly holesDigest: string;
  /** The bytes of each file with holes, by escaped path; undefined where there are more such files than are told. */
  readonly holes: Readonly<Record<string, number>> | undefined;
  readonly entries: number;
  readonly inodes: number;
  /** Regular files, hard links counted each. */
  readonly files: number;
  /** Sum of the files' sizes, hard links once. */
  readonly bytes: number;
  readonly allocatedBytes: number;
  /** Of `bytes`, how many were read now, and how many were known from the earlier manifest. */
  readonly hashedBytes: number;
  readonly reusedBytes: number;
  /** Folders on which something else is mounted: recorded themselves, not entered. */
  readonly skippedMounts: number;
  /** Files that changed while they were read, or could not be: never equal to anything. */
  readonly unreadable: number;
  /** What is there and was not compared, in words; empty as a rule. */
  readonly notVerified: readonly string[];
  readonly durationMs: number;
}

export type ManifestMode = 'full' | 'metadata';

export interface ManifestOptions {
  readonly mode: ManifestMode;
  /** Tells manifests of one bench apart (letters, digits, dashes). A manifest replaces the one with its name. */
  readonly name: string;
  /** An earlier manifest of the same tree: contents are only read where size, mtime, ctime or inode changed since. */
  readonly previous?: ManifestHandle;
  /**
   * Write back what programs have in mapped memory before the walk. A store into a mapped page does not move the file's
   * times again until the page was written back, so an earlier manifest made without it may miss the last of them.
   * Default: for a full manifest without an earlier one.
   */
  readonly settle?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a manifest of everything below a path, on the server.
 *
 * Rejects with `GF_VOLUME_TOOL_MISSING` and `GF_VOLUME_MANIFEST_FAILED`.
 */
export async function buildManifest(bench: Workbench, path: string, options: ManifestOptions): Promise<ManifestHandle> {
  const { mode, previous } = options;
  const settle = options.settle ?? (mode === 'full' && previous === undefined);
  const { argv, source } = programFor(bench, path, options);
  const command = settle ? ['sh', '-c', SETTLED, 'sh', path, ...argv] : [...argv, ''];
  return judge(bench, path, options, (limits) => bench.exec(command, { ...limits, input: source + GO }));
}

/**
 * The same with everything done but the look at the files: the program is there, and has read what it can of the earlier
 * manifest. It settles nothing. Rejects as `buildManifest`.
 */
export async function standbyManifest(
  bench: Workbench,
  path: string,
  options: Omit<ManifestOptions, 'settle'>,
): Promise<Standby<ManifestHandle>> {
  const { argv, source } = programFor(bench, path, options);
  const program = await standBy(bench, [...argv, ''], { input: source, env: run.env });
  return {
    go: (signal) => judge(bench, path, { ...options, signal }, (limits) => program.go({ ...limits, input: GO })),
    cancel: () => program.cancel(),
  };
}

const GO = 'go\n';
const run = { env: plainEnvironment, timeoutMs: 24 * 3_600_000, allowFailure: true };

/** Writes back, and then runs the program with the time at which that began; '' where `date` knows no nanoseconds. */
const SETTLED = `path=$1; shift
since=$(date +%s%N)
case $since in *[!0-9]*) since= ;; esac
[ \${#since} -eq 19 ] || since=
sync -f "$path" 2>/dev/null || sync
exec "$@" "$since"`;

async function judge(
  bench: Workbench,
  path: string,
  { mode, name, signal }: Pick<ManifestOptions, 'mode' | 'name' | 'signal'>,
  program: (limits: typeof run & { readonly signal?: AbortSignal }) => Promise<ExecResult>,
): Promise<ManifestHandle> {
  const begin = performance.now();
  const result = await program({ ...run, ...(signal ? { signal } : {}) });
  if (result.exitCode !== 0) {
    throw new GridferryError(
      'GF_VOLUME_MANIFEST_FAILED',
      `The files under ${path} on server ${bench.name} could not be listed: ${result.stderr.trim().split('\n').at(-1) ?? ''}. Check the disk there, then retry.`,
      { class: 'retryable' },
    );
  }
  return handleOf(bench, fileOf(bench, name), mode, result.stdout, performance.now() - begin);
}

/** A manifest that an earlier process left on the bench; undefined when there is none, or only a part of one. */
export async function findManifest(
  bench: Workbench,
  name: string,
  mode: ManifestMode,
): Promise<ManifestHandle | undefined> {
  const file = fileOf(bench, name);
  // The summary is written last and removed first: where it is, the manifest is whole.
  const { stdout, exitCode } = await bench.exec(['cat', `${file}.json`], { allowFailure: true });
  return exitCode === 0 ? handleOf(bench, file, mode, stdout, 0) : undefined;
}

function handleOf(
  bench: Workbench,
  file: string,
  mode: ManifestMode,
  json: string,
  durationMs: number,
): ManifestHandle {
  const summary = JSON.parse(json) as Omit<ManifestHandle, 'bench' | 'file' | 'mode' | 'notVerified' | 'durationMs'>;
  return {
    bench,
    file,
    mode,
    digest: summary.digest,
    holesDigest: summary.holesDigest,
    holes: summary.holes,
    entries: summary.entries,
    inodes: summary.inodes,
    files: summary.files,
    bytes: summary.bytes,
    allocatedBytes: summary.allocatedBytes,
    hashedBytes: summary.hashedBytes,
    reusedBytes: summary.reusedBytes,
    skippedMounts: summary.skippedMounts,
    unreadable: summary.unreadable,
    notVerified: summary.skippedMounts === 0 ? [] : [`what is mounted on ${summary.skippedMounts} folder(s) inside`],
    durationMs: Math.round(durationMs),
  };
}

/**
 * The command of the program that writes the manifest, but for its last argument, the time since which changes may be in
 * it; and the program's text, which it reads from its input first.
 */
function programFor(
  bench: Workbench,
  path: string,
  { mode, name, previous }: ManifestOptions,
): { readonly argv: readonly string[]; readonly source: string } {
  if (!/^[a-z0-9-]{1,60}$/i.test(name)) throw new Error(`'${name}' cannot name a manifest`);
  const { interpreter, source } = chooseProgram(bench);
  // The root itself may be a link (a symbolic link to a folder): what it leads to is meant, as for rsync.
  const root = path.replace(/\/+$/, '');
  const workers = String(Math.min(bench.tools.cpus, 4));
  const length = String(Buffer.byteLength(source));
  const file = fileOf(bench, name);
  return { argv: [...interpreter, length, root, mode, file, previous?.file ?? '', workers], source };
}

function fileOf(bench: Workbench, name: string): string {
  return `${bench.workFolder}/${name}.manifest`;
}

const PYTHON_LOADER =
  "import sys; n = int(sys.argv.pop(1)); exec(compile(sys.stdin.buffer.read(n), 'manifest', 'exec'))";
const PERL_LOADER = 'read(STDIN, my $program, shift); eval $program; die $@ if $@';

function chooseProgram({ name, tools }: Workbench): {
  readonly interpreter: readonly string[];
  readonly source: string;
} {
  // -I and -S: nothing of the user's or of the server's own additions is loaded.
  if (tools.python3) return { interpreter: ['python3', '-I', '-S', '-c', PYTHON_LOADER], source: pythonManifest };
  if (tools.perl && tools.b2sum) return { interpreter: ['perl', '-e', PERL_LOADER], source: perlManifest };
  throw toolMissing(
    name,
    "Python 3 and no Perl with 'b2sum', and nothing else reads attributes exactly",
    "'python3' (or 'perl-base' and 'coreutils')",
  );
}

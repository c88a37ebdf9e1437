import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { GridferryError } from '../errors.ts';
import { redactPatterns } from '../security/secret-patterns.ts';

export interface GitRun {
  readonly args: readonly string[];
  /** All that the program sees of the environment, beside the PATH. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Default 64 MiB. */
  readonly maxOutputBytes?: number;
}

export interface GitResult {
  readonly stdout: Buffer;
  /** The last of it, without control characters and without what looks like a secret. */
  readonly stderr: string;
  readonly exitCode: number;
}

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const KEPT_STDERR = 16 * 1024;
const GRACE_MS = 2_000;

/** What a machine needs to reach another one, and holds no secret of Gridferry's. */
const PASSED_ON = [
  'PATH',
  'https_proxy',
  'HTTPS_PROXY',
  'http_proxy',
  'all_proxy',
  'ALL_PROXY',
  'no_proxy',
  'NO_PROXY',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'TMPDIR',
] as const;

/**
 * Settings that hold whatever a repository, the user or the machine configured: nothing of a repository is ever run, no
 * transport is used but the ones named, nobody is asked for anything.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'core.autocrlf': 'false',
  'core.askPass': '',
  'credential.helper': '',
  'protocol.version': '2',
  'protocol.allow': 'never',
  'fetch.recurseSubmodules': 'false',
  'gc.autoDetach': 'false',
  'maintenance.autoDetach': 'false',
  // A remote that sends less than this for so long has died.
  'http.lowSpeedLimit': '500',
  'http.lowSpeedTime': '30',
  'advice.detachedHead': 'false',
};

/** The variables that keep git away from everything outside its repository. */
export function isolatedEnvironment(home: string): Record<string, string> {
  return {
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    // curl reads ~/.netrc.
    HOME: home,
    XDG_CONFIG_HOME: home,
    LC_ALL: 'C',
  };
}

/**
 * Runs git to its end, in a process group of its own, and gives back what it said, whatever its exit code. A program
 * that does not end in time, or that the signal ends, is told to, and killed when it does not listen.
 *
 * @throws GridferryError `GF_GIT_MISSING`, `GF_GIT_TIMEOUT`, `GF_GIT_TOO_LARGE`; the signal's reason.
 */
export async function runGit(run: GitRun): Promise<GitResult> {
  run.signal?.throwIfAborted();
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const inherited = Object.fromEntries(PASSED_ON.map((name) => [name, process.env[name]]));
  const child = spawn('git', [...settings, ...run.args], {
    env: { ...inherited, ...run.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const stdout: Buffer[] = [];
  let stderr = '';
  let bytes = 0;
  let failure: unknown;
  let killed: NodeJS.Timeout | undefined;

  const end = (why: unknown): void => {
    if (failure !== undefined) return;
    failure = why;
    signalGroup(child.pid, 'SIGTERM');
    killed = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), GRACE_MS);
  };
  const timer = setTimeout(() => end(timedOut(run)), run.timeoutMs);
  const onAbort = (): void => end(run.signal?.reason ?? new Error('aborted'));
  run.signal?.addEventListener('abort', onAbort, { once: true });

  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > (run.maxOutputBytes ?? MAX_OUTPUT_BYTES)) end(tooMuch(run));
    else stdout.push(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString('utf8')).slice(-KEPT_STDERR)));
  // A program that ends without reading its input says by its exit code why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(run.input);
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once('error', (error) => reject(notStarted(error)));
      child.once('close', (code) => resolve(code ?? 128));
    });
    if (failure !== undefined) throw failure as Error;
    return { stdout: Buffer.concat(stdout), stderr: clean(stderr), exitCode };
  } finally {
    clearTimeout(timer);
    clearTimeout(killed);
    run.signal?.removeEventListener('abort', onAbort);
  }
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended by itself.
  }
}

/** The other side writes into this, too: it must not steer a terminal, nor fill the log. */
function clean(text: string): string {
  const lines = stripVTControlCharacters(text)
    .split(/[\r\n]+/)
    .map((line) => line.replace(/[\u0000-\u001f\u007f-\u009f]/g, '').trim())
    .filter((line) => line !== '');
  return redactPatterns(lines.join('\n'));
}

function subcommand({ args }: GitRun): string {
  return args.find((arg, index) => !arg.startsWith('-') && args[index - 1] !== '-c') ?? '';
}

function timedOut(run: GitRun): GridferryError {
  return new GridferryError(
    'GF_GIT_TIMEOUT',
    `git ${subcommand(run)} was not done after ${String(run.timeoutMs / 1000)} s and was ended: check the network and the server.`,
    { class: 'retryable', details: { timeoutMs: run.timeoutMs } },
  );
}

function tooMuch(run: GitRun): GridferryError {
  return new GridferryError(
    'GF_GIT_TOO_LARGE',
    `git ${subcommand(run)} said more than ${String(run.maxOutputBytes ?? MAX_OUTPUT_BYTES)} bytes and was ended: make the repository, or --path, smaller.`,
  );
}

function notStarted(cause: Error): GridferryError {
  return new GridferryError('GF_GIT_MISSING', `git cannot be started (${cause.message}): install git 2.39 or newer.`, {
    cause,
  });
}

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GridferryError } from '../errors.ts';

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  /** As a shell reports it: 128 + the signal's number when a signal ended it. */
  readonly exitCode: number;
}

export interface RunOptions {
  readonly input?: string | Uint8Array | Readable;
  readonly env?: Readonly<Record<string, string>>;
  /** Throw `GF_SANDBOX_COMMAND_FAILED` when the exit code is not 0 (default true). */
  readonly reject?: boolean;
  readonly signal?: AbortSignal;
}

/** The PATH of every command the sandbox starts: root's on Debian, whatever the caller's shell has. */
export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs one program with an argument vector, never through a shell, and collects what it wrote. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [file] = argv;
  if (file === undefined) throw new TypeError('run() needs a program');
  // No command outlives a killed caller: what it would still do, nobody would undo.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], {
    env: { PATH: systemPath, LANG: 'C.UTF-8', ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.signal && { signal: options.signal, killSignal: 'SIGKILL' as const }),
  });
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new GridferryError('GF_SANDBOX_COMMAND_FAILED', `${file} could not be run: ${cause.message}`, { cause })),
    );
    child.once('close', (code, signal) => resolve(code ?? 128 + signalNumber(signal)));
  });
  const stdout = collect(child.stdout as Readable);
  const stderr = collect(child.stderr as Readable);
  // A program may end before it has read all its input; its exit code says whether that was an error.
  if (options.input !== undefined) feed(options.input, child.stdin as NodeJS.WritableStream);
  const exitCode = await exited;
  const result = { stdout: await stdout, stderr: await stderr, exitCode };
  if (exitCode !== 0 && (options.reject ?? true)) throw commandFailed(argv, result);
  return result;
}

function feed(input: string | Uint8Array | Readable, stdin: NodeJS.WritableStream): void {
  stdin.on('error', () => undefined);
  if (typeof input === 'string' || input instanceof Uint8Array) stdin.end(input);
  else pipeline(input, stdin).catch(() => undefined);
}

async function collect(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise((resolve) => stream.once('close', resolve));
  return Buffer.concat(chunks).toString('utf8');
}

/** The error for a command that was not allowed to fail. */
export function commandFailed(argv: readonly string[], result: RunResult): GridferryError {
  const said = (result.stderr.trim() || result.stdout.trim()).slice(-600) || 'it wrote nothing';
  return new GridferryError(
    'GF_SANDBOX_COMMAND_FAILED',
    `${argv.slice(0, 12).join(' ')} ended with exit code ${result.exitCode}: ${said}`,
    { details: { exitCode: result.exitCode } },
  );
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : constants.signals[signal];
}

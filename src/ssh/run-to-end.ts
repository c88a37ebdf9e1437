import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { GridferryError } from '../errors.ts';
import { redactPatterns } from '../security/secret-patterns.ts';
import { describeCommand } from './command-line.ts';
import type { ExecOptions, ExecResult, HostProcess, SpawnOptions } from './host.ts';

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;
const NOT_FOUND = 127;

type Start = (argv: readonly string[], options: SpawnOptions) => Promise<HostProcess>;

/**
 * Starts a program, feeds it, collects what it says, and judges how it ended.
 *
 * @throws `GF_COMMAND_FAILED`, `GF_COMMAND_NOT_FOUND`, `GF_COMMAND_TIMEOUT`, `GF_COMMAND_OUTPUT_TOO_LARGE`, what `start`
 * throws, or the signal's reason. The program has been told to end by then.
 */
export async function runToEnd(
  hostName: string,
  start: Start,
  argv: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const { signal, input, timeoutMs = TIMEOUT_MS, maxOutputBytes = MAX_OUTPUT_BYTES, allowFailure = false } = options;
  signal?.throwIfAborted();
  const stop = new AbortController();
  // The caller hears at once; a server that has gone silent could not answer anyway.
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error), { once: true });
  });
  stopped.catch(() => {});
  const onAbort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => stop.abort(timedOut(hostName, argv, timeoutMs)), timeoutMs);
  try {
    return await Promise.race([stopped, collect()]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }

  async function collect(): Promise<ExecResult> {
    const program = await start(argv, {
      signal: stop.signal,
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.root === undefined ? {} : { root: options.root }),
      ...(options.agent === undefined ? {} : { agent: options.agent }),
    });
    // A program that ends without reading its input is none the worse for it: its exit status tells.
    program.stdin.on('error', () => {});
    program.stdin.end(input);
    let bytes = 0;
    const count = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > maxOutputBytes) stop.abort(tooLarge(hostName, argv, maxOutputBytes));
    };
    const [stdout, stderr, exit] = await Promise.all([
      readAll(program.stdout, count),
      readAll(program.stderr, count),
      program.exit,
    ]);
    if (exit.code === null && exit.signal === null) throw withoutStatus(hostName, argv);
    const exitCode = exit.code ?? 128 + signalNumber(exit.signal);
    if (exitCode !== 0 && !allowFailure) throw failed(hostName, argv, exitCode, exit.signal, stderr);
    return { stdout, stderr, exitCode };
  }
}

function signalNumber(name: string | null): number {
  return new Map<string, number>(Object.entries(constants.signals)).get(name ?? '') ?? 0;
}

async function readAll(stream: Readable, count: (chunk: Buffer) => void): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    count(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function failed(
  host: string,
  argv: readonly string[],
  exitCode: number,
  signal: string | null,
  stderr: string,
): GridferryError {
  const said = redactPatterns(stderr.trim().split('\n').slice(0, 3).join('; ')).slice(0, 500);
  const program = argv[0] ?? '';
  const details = { host, program, exitCode, ...(signal === null ? {} : { signal }), stderr: said };
  if (exitCode === NOT_FOUND) {
    return new GridferryError(
      'GF_COMMAND_NOT_FOUND',
      `'${program}' is not installed on ${host}, or not on the PATH there${said === '' ? '' : ` (${said})`}: install it.`,
      { details },
    );
  }
  const how = signal === null ? `failed with exit code ${exitCode}` : `was ended by ${signal}`;
  return new GridferryError(
    'GF_COMMAND_FAILED',
    `'${describeCommand(argv)}' on ${host} ${how}: ${said === '' ? 'it gave no reason' : said}`,
    { class: 'retryable', details },
  );
}

/** sshd closed the channel and did not say how the program ended: then it must not pass for a success. */
function withoutStatus(host: string, argv: readonly string[]): GridferryError {
  return new GridferryError(
    'GF_COMMAND_FAILED',
    `How '${describeCommand(argv)}' on ${host} ended was not reported: look into the server's sshd log.`,
    { class: 'retryable', details: { host, program: argv[0] ?? '' } },
  );
}

function timedOut(host: string, argv: readonly string[], timeoutMs: number): GridferryError {
  return new GridferryError(
    'GF_COMMAND_TIMEOUT',
    `'${describeCommand(argv)}' on ${host} was not done after ${timeoutMs / 1000} s and was told to end: check the load of that machine.`,
    { class: 'retryable', details: { host, program: argv[0] ?? '', timeoutMs } },
  );
}

function tooLarge(host: string, argv: readonly string[], maxOutputBytes: number): GridferryError {
  return new GridferryError(
    'GF_COMMAND_OUTPUT_TOO_LARGE',
    `'${describeCommand(argv)}' on ${host} said more than ${maxOutputBytes} bytes and was told to end: ask it for less.`,
    { details: { host, program: argv[0] ?? '', maxOutputBytes } },
  );
}

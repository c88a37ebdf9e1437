import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { collectYoung } from '../runtime/collect-young.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { HostProcess } from '../ssh/host.ts';

export interface RelayOptions {
  /** Called with the number of bytes that just passed, in either direction. */
  readonly onBytes: (bytes: number) => void;
  /** Bytes per second over both directions; unlimited when undefined. */
  readonly bandwidthLimit?: number | undefined;
  readonly clock?: Clock;
}

export interface RelayEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last lines of what it wrote to stderr. */
  readonly stderr: string;
}

/**
 * Connects two processes through this one: `from.stdout → to.stdin` and, when `bothWays`, `to.stdout → from.stdin`.
 * Memory is bounded by the streams' own buffers. Resolves when both ended, whatever their exit codes.
 */
export async function relay(
  from: HostProcess,
  to: HostProcess,
  bothWays: boolean,
  options: RelayOptions & { readonly onStderr?: (side: 'from' | 'to', text: string) => void },
): Promise<{ readonly from: RelayEnd; readonly to: RelayEnd }> {
  const limiter =
    options.bandwidthLimit === undefined ? undefined : bucket(options.bandwidthLimit, options.clock ?? systemClock);
  // An end that stopped early breaks the stream to it. Its exit code and its stderr say why; the pipeline's own error does not.
  const connect = (source: HostProcess, target: HostProcess): Promise<void> =>
    pipeline(source.stdout, meter(options.onBytes, limiter), target.stdin).catch(() => {
      target.stdin.destroy();
      source.stdout.resume();
    });
  if (!bothWays) from.stdin.end();
  from.stdin.on('error', ignore);
  to.stdin.on('error', ignore);
  const [fromTail, toTail, fromExit, toExit] = await Promise.all([
    tail(from, (text) => options.onStderr?.('from', text)),
    tail(to, (text) => options.onStderr?.('to', text)),
    from.exit,
    to.exit,
    connect(from, to),
    bothWays ? connect(to, from) : drain(to),
  ]);
  return { from: { ...fromExit, stderr: fromTail }, to: { ...toExit, stderr: toTail } };
}

function ignore(): void {
  // See `connect`.
}

async function drain(process: HostProcess): Promise<void> {
  process.stdout.on('error', ignore).resume();
  await process.exit;
}

const tailLength = 8192;

async function tail(process: HostProcess, onText: (text: string) => void): Promise<string> {
  let kept = '';
  try {
    for await (const chunk of process.stderr as AsyncIterable<Buffer>) {
      const text = chunk.toString('latin1');
      onText(text);
      kept = (kept + text).slice(-tailLength);
    }
  } catch {
    // What was read until the connection broke is still the best explanation there is.
  }
  return kept;
}

type Bucket = (bytes: number, proceed: () => void) => void;

/** Holds data back just as long as keeps the average at the limit, with a quarter of a second of burst. */
function bucket(bytesPerSecond: number, clock: Clock): Bucket {
  let paidUntil = clock.monotonic();
  return (bytes, proceed) => {
    const now = clock.monotonic();
    paidUntil = Math.max(paidUntil, now - 250) + (bytes / bytesPerSecond) * 1000;
    if (paidUntil <= now) proceed();
    else clock.after(paidUntil - now, proceed);
  };
}

/** What passes leaves about three times as much garbage outside the heap: after so many bytes it is collected. */
const COLLECT_BYTES = 4 << 20;
let uncollected = 0;

function account(bytes: number): void {
  uncollected += bytes;
  if (uncollected < COLLECT_BYTES) return;
  uncollected = 0;
  collectYoung();
}

function meter(onBytes: (bytes: number) => void, limiter: Bucket | undefined): Transform {
  return new Transform({
    highWaterMark: 1 << 18,
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      onBytes(chunk.length);
      account(chunk.length);
      if (limiter) limiter(chunk.length, () => done(null, chunk));
      else done(null, chunk);
    },
  });
}

import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../../src/runtime/clock.ts';
import type { Host } from '../../../src/ssh/host.ts';

/** Long enough to fill the buffers on the way, which would look like bandwidth, in ms. */
const PROBE_MS = 1_000;

/** What is sent at the most. */
const PROBE_BYTES = 256 * 1024 * 1024;

/** Bytes per second from one server to another through this process: zeros, which nobody keeps. */
export async function measureLink(
  source: Host,
  target: Host,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<number> {
  const enough = new AbortController();
  const until = AbortSignal.any([enough.signal, signal]);
  const [from, to] = await Promise.all([
    source.spawn(['head', '-c', String(PROBE_BYTES), '/dev/zero'], { signal: until }),
    target.spawn(['sh', '-c', 'cat >/dev/null'], { signal: until }),
  ]);
  for (const process of [from, to]) {
    process.stderr.resume();
    process.exit.catch(() => undefined);
  }
  to.stdout.resume();
  const begin = clock.monotonic();
  let bytes = 0;
  const count = async function* (chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    for await (const chunk of chunks) {
      yield chunk;
      bytes += chunk.length;
    }
  };
  const cancel = clock.after(PROBE_MS, () => enough.abort());
  try {
    await pipeline(from.stdout, count, to.stdin, { signal: until }).catch((error: unknown) => {
      if (!enough.signal.aborted) throw error;
    });
    return Math.round((bytes * 1000) / Math.max(1, clock.monotonic() - begin));
  } finally {
    cancel();
    enough.abort();
  }
}

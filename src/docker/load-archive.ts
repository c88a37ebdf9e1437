import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import { sleep } from '../runtime/clock.ts';
import { dockerStream } from './api.ts';
import type { ApiCall } from './api.ts';
import type { Engine } from './engine.ts';

export interface UploadOptions {
  readonly signal?: AbortSignal;
  /** Bytes that the request body has taken. */
  readonly onBytes?: (bytes: number) => void;
  /** Bytes per second. */
  readonly limit?: number | undefined;
  readonly clock?: Clock;
}

/**
 * Sends `content` as the body of a request and hands the answer to `read`. Whichever side fails first ends the other: an
 * engine that refuses in the middle leaves no half-sent request behind, and a broken source is not taken for the end of
 * the archive.
 */
export async function upload<T>(
  engine: Engine,
  call: Omit<ApiCall, 'file' | 'signal'>,
  content: AsyncIterable<Buffer>,
  read: (answer: Readable) => Promise<T>,
  options: UploadOptions = {},
): Promise<T> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const body = new PassThrough({ highWaterMark: 256 * 1024 });
  // The source's own failure says more than the engine's complaint about a body that broke off.
  let broken: { readonly error: unknown } | undefined;
  const sending = pipeline(Readable.from(metered(content, options), { objectMode: false }), body, { signal }).catch(
    (error: unknown) => {
      if (!stop.signal.aborted) broken = { error };
      body.destroy();
      stop.abort(error);
    },
  );
  try {
    const answer = await dockerStream(engine, { ...call, file: body, signal });
    const result = await read(answer);
    if (broken !== undefined) throw (broken as { error: unknown }).error;
    return result;
  } catch (error) {
    if (options.signal?.aborted === true) throw options.signal.reason;
    throw broken === undefined ? error : (broken as { error: unknown }).error;
  } finally {
    stop.abort();
    await sending;
  }
}

async function* metered(content: AsyncIterable<Buffer>, options: UploadOptions): AsyncGenerator<Buffer> {
  const { limit, clock = systemClock, onBytes, signal } = options;
  const began = clock.monotonic();
  let sent = 0;
  for await (const chunk of content) {
    yield chunk;
    sent += chunk.length;
    onBytes?.(chunk.length);
    if (limit === undefined || limit <= 0) continue;
    const ahead = (sent / limit) * 1000 - (clock.monotonic() - began);
    if (ahead > 5) await sleep(clock, ahead, signal);
  }
}

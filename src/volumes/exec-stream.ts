import { PassThrough, type Duplex, type Readable } from 'node:stream';
import { once } from 'node:events';

/** What a program in a container writes, taken apart. */
export interface DemuxedStreams {
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves at the end of the stream; rejects when it broke or was cut inside a frame. */
  readonly done: Promise<void>;
}

const headerLength = 8;

/**
 * Takes Docker's multiplexed stream apart: frames of `[stream, 0, 0, 0, big-endian length]` and payload (Engine API,
 * "Attach to a container"). Unlike `docker.modem.demuxStream` it honours backpressure: a slow reader of stdout stops the
 * program instead of filling this process's memory.
 */
export function demux(connection: Duplex): DemuxedStreams {
  const stdout = new PassThrough({ highWaterMark: 1 << 20 });
  const stderr = new PassThrough({ highWaterMark: 1 << 18 });
  const done = takeApart(connection, stdout, stderr);
  done.then(
    () => {
      stdout.end();
      stderr.end();
    },
    (cause: unknown) => {
      const error = cause instanceof Error ? cause : new Error(String(cause));
      // Without a listener of somebody who reads stderr, its error would end the process.
      stdout.on('error', ignoreError).destroy(error);
      stderr.on('error', ignoreError).destroy(error);
    },
  );
  return { stdout, stderr, done };
}

function ignoreError(): void {
  // Reported through `done`.
}

async function takeApart(connection: Duplex, stdout: PassThrough, stderr: PassThrough): Promise<void> {
  let header = Buffer.alloc(0);
  let target: PassThrough | undefined;
  let remaining = 0;
  for await (const chunk of connection as AsyncIterable<Buffer>) {
    let rest = chunk;
    while (rest.length > 0) {
      if (remaining === 0) {
        const needed = headerLength - header.length;
        header = Buffer.concat([header, rest.subarray(0, needed)]);
        rest = rest.subarray(needed);
        if (header.length < headerLength) break;
        target = header[0] === 2 ? stderr : stdout;
        remaining = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        continue;
      }
      const payload = rest.subarray(0, remaining);
      rest = rest.subarray(payload.length);
      remaining -= payload.length;
      await write(target as PassThrough, payload);
    }
  }
  if (remaining > 0 || header.length > 0)
    throw new Error('the stream from the container ended in the middle of a frame');
}

async function write(target: PassThrough, payload: Buffer): Promise<void> {
  // A reader that went away must not stop the other stream.
  if (target.destroyed || target.write(payload)) return;
  // The one that does not come must not go on listening: there are millions of pieces.
  const over = new AbortController();
  try {
    await Promise.race(['drain', 'close'].map((event) => once(target, event, { signal: over.signal })));
  } finally {
    over.abort();
  }
}

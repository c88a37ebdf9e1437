import { Duplex, Readable, Writable } from 'node:stream';
import type { Channel } from 'ssh2';
import { GridferryError } from '../errors.ts';

/** Why a stream ends early; `undefined` while the connection is well, so that an end is a real end. */
export type Lost = () => GridferryError | undefined;

/** ssh2 buffers 2 MiB a channel on its own (its window); this only has to bridge one turn of the event loop. */
const BUFFER_BYTES = 256 * 1024;

type Callback = (error?: Error | null) => void;

/**
 * A duplex stream over a channel that is opened after the stream was handed out. ssh2's own channel is not safe to hand
 * out: it has no `close` after `destroy`, forgets the callback of a write when the channel closes, and ends as if all
 * were well when the connection breaks, which would make a torn archive look complete.
 *
 * It has the parts of `net.Socket` that an `http.Agent` calls.
 */
export class ChannelStream extends Duplex {
  readonly #open: () => Promise<Channel>;
  readonly #lost: Lost;
  #channel: Channel | undefined;
  #closed = false;
  #constructed: Callback | undefined;
  #writing: Callback | undefined;
  #idle: { readonly ms: number; timer: NodeJS.Timeout } | undefined;

  constructor(open: () => Promise<Channel>, lost: Lost) {
    // As `net.connect` has it: the peer's end is answered by ours, so that nobody has to remember to.
    super({ allowHalfOpen: false, readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES });
    this.#open = open;
    this.#lost = lost;
  }

  override _construct(callback: Callback): void {
    // Node constructs a stream one tick late, and also when it was destroyed by then.
    if (this.destroyed) {
      callback();
      return;
    }
    this.#constructed = (error) => {
      this.#constructed = undefined;
      callback(error);
    };
    this.#open().then(
      (channel) => {
        if (this.destroyed) {
          abandon(channel);
          return;
        }
        this.#attach(channel);
        this.#constructed?.();
        this.emit('connect');
      },
      (error: unknown) => this.#constructed?.(error as Error),
    );
  }

  #attach(channel: Channel): void {
    this.#channel = channel;
    channel.on('data', (chunk: Buffer) => {
      this.#touch();
      if (!this.push(chunk)) channel.pause();
    });
    channel.on('end', () => endReadable(this, this.#lost));
    // ssh2 emits it after `end`, so all data is here.
    channel.on('close', () => this.#onClose());
    channel.on('error', (error: Error) => this.destroy(error));
  }

  #onClose(): void {
    this.#closed = true;
    const reason = this.#lost();
    const isDone = this.readableEnded && this.writableLength === 0;
    if (isDone) this.destroy();
    else if (reason !== undefined) this.destroy(reason);
    else if (this.#writing !== undefined) this.destroy(peerClosed());
    else this.once('end', () => this.destroy());
  }

  override _read(): void {
    this.#channel?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#touch();
    if (this.#closed || this.#channel === undefined) {
      callback(this.#lost() ?? peerClosed());
      return;
    }
    this.#writing = callback;
    this.#channel.write(chunk, (error) => this.#written(error));
  }

  #written(error?: Error | null): void {
    const callback = this.#writing;
    this.#writing = undefined;
    callback?.(error);
  }

  override _final(callback: Callback): void {
    this.#channel?.end();
    callback();
  }

  override destroy(error?: Error): this {
    super.destroy(error);
    // Not waiting for an answer that may never come: the channel is closed when it opens after all.
    this.#constructed?.();
    return this;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#idle?.timer);
    if (this.#channel !== undefined) abandon(this.#channel);
    this.#written(error ?? peerClosed());
    callback(error);
  }

  #touch(): void {
    this.#idle?.timer.refresh();
  }

  /** As `net.Socket`: emits `timeout` after `ms` without traffic, and does nothing else. */
  setTimeout(ms: number, callback?: () => void): this {
    clearTimeout(this.#idle?.timer);
    this.#idle = ms > 0 ? { ms, timer: setTimeout(() => this.emit('timeout'), ms).unref() } : undefined;
    if (callback !== undefined) this.once('timeout', callback);
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

/** One output of a program. It fails, instead of ending, when the connection breaks. */
export function channelReadable(source: Readable, lost: Lost, onDestroy: () => void): Readable {
  const target = new Readable({
    highWaterMark: BUFFER_BYTES,
    read: () => void source.resume(),
    destroy(error, callback) {
      source.off('data', onData);
      // Nobody reads it any more, but the other output shares its window.
      source.resume();
      onDestroy();
      callback(error);
    },
  });
  const onData = (chunk: Buffer): void => {
    if (!target.push(chunk)) source.pause();
  };
  source.on('data', onData);
  source.on('end', () => endReadable(target, lost));
  return harmless(target);
}

/** The input of a program. */
export function channelWritable(channel: Channel, lost: Lost): Writable {
  let writing: Callback | undefined;
  let closed = false;
  const settle = (error?: Error | null): void => {
    const callback = writing;
    writing = undefined;
    callback?.(error);
  };
  const target = new Writable({
    highWaterMark: BUFFER_BYTES,
    write(chunk: Buffer, _encoding, callback) {
      if (closed) {
        callback(lost() ?? peerClosed());
        return;
      }
      writing = callback;
      channel.write(chunk, settle);
    },
    final(callback) {
      channel.end();
      callback();
    },
    destroy(error, callback) {
      // The program sees the end of its input: there is no other way to tell it.
      channel.end();
      settle(error ?? peerClosed());
      callback(error);
    },
  });
  channel.on('close', () => {
    closed = true;
    if (!target.writableFinished) target.destroy(lost() ?? peerClosed());
  });
  return harmless(target);
}

function endReadable(target: Readable, lost: Lost): void {
  if (target.destroyed) return;
  const reason = lost();
  if (reason === undefined) target.push(null);
  else target.destroy(reason);
}

/** A stream of a program that nobody listens to must not bring the process down; whoever reads it still sees the error. */
function harmless<S extends Readable | Writable>(stream: S): S {
  stream.on('error', () => {});
  return stream;
}

function abandon(channel: Channel): void {
  channel.removeAllListeners('data');
  channel.resume();
  channel.close();
}

function peerClosed(): GridferryError {
  return new GridferryError(
    'GF_SSH_CHANNEL_CLOSED',
    'The other end closed the stream before it took everything: look at why it ended.',
    { class: 'retryable' },
  );
}

import type { Readable } from 'node:stream';
import type { Client, ClientChannel } from 'ssh2';
import { channelReadable, channelWritable } from './channel-stream.ts';
import type { Lost } from './channel-stream.ts';
import type { HostProcess } from './host.ts';

/** A program at the other end of an exec channel. */
export interface RemoteProcess extends HostProcess {
  /** TERM now; KILL and the end of the channel if it is still there after the grace period. */
  terminate(): void;
}

export interface RemoteProcessOptions {
  readonly channel: ClientChannel;
  readonly client: Client;
  readonly lost: Lost;
  /** Signals what sshd may not (a program of another user); best effort. */
  readonly signalAlso?: (signal: NodeJS.Signals) => void;
}

const GRACE_MS = 2_000;

/**
 * sshd passes a signal on to the process group of the program. What starts a group of its own, or runs as another user,
 * does not get it; and a program whose connection breaks only notices when it reads or writes.
 */
export function remoteProcess(options: RemoteProcessOptions): RemoteProcess {
  const { channel, client, lost, signalAlso } = options;
  keepWindowShared(channel);
  let code: number | null = null;
  let signal: string | null = null;
  let sent: NodeJS.Signals | undefined;
  let closed = false;
  let grace: NodeJS.Timeout | undefined;

  const exit = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    channel.on('exit', (...[status, name]: [number | null, string?]) => {
      code = status;
      signal = status === null ? (name ?? null) : null;
    });
    channel.on('close', () => {
      closed = true;
      clearTimeout(grace);
      const reason = lost();
      if (reason !== undefined) reject(reason);
      else resolve({ code, signal: code === null ? (signal ?? sent ?? null) : null });
    });
  });
  // Whoever only reads the output learns of a broken connection there.
  exit.catch(() => {});
  channel.on('error', () => {});

  function kill(name: NodeJS.Signals = 'SIGTERM'): void {
    if (closed) return;
    sent = name;
    sendSignal(client, channel, name);
    signalAlso?.(name);
  }
  function terminate(): void {
    if (closed || grace !== undefined) return;
    kill('SIGTERM');
    grace = setTimeout(() => {
      kill('SIGKILL');
      channel.close();
    }, GRACE_MS);
    grace.unref();
  }
  // As a broken pipe would: who stops reading before the end does not want the program to go on.
  const onDestroy = (): void => {
    if (!stdout.readableEnded && !closed) terminate();
  };
  const stdout = channelReadable(channel, lost, onDestroy);
  const stderr = channelReadable(channel.stderr, lost, () => {});
  return { stdin: channelWritable(channel, lost), stdout, stderr, exit, kill, terminate };
}

/**
 * Both outputs of a program share one window. ssh2 opens it again when either gets or gives something: with one of them
 * unread, each line of the other would let 2 MiB more of it into memory. What `push` returns tells ssh2 whether to wait.
 */
function keepWindowShared(channel: ClientChannel): void {
  const { stderr } = channel;
  const openWindow = channel._read.bind(channel);
  const isFull = (other: Readable): boolean => other.readableLength >= other.readableHighWaterMark;
  channel._read = (size) => {
    if (!isFull(stderr)) openWindow(size);
  };
  stderr._read = (size) => {
    if (!isFull(channel)) openWindow(size);
  };
  const push = channel.push.bind(channel);
  const pushError = stderr.push.bind(stderr);
  channel.push = (chunk) => push(chunk) && !isFull(stderr);
  stderr.push = (chunk) => pushError(chunk) && !isFull(channel);
}

/** The part of ssh2 that `channel.signal` uses. */
interface ChannelInternals {
  readonly outgoing: { readonly id: number; readonly state: string };
}
interface ClientInternals {
  readonly _protocol: { signal(channel: number, name: string): void };
}

/** `channel.signal` says nothing once the program's input was ended, though RFC 4254 §5.3 closes only the data. */
function sendSignal(client: Client, channel: ClientChannel, name: NodeJS.Signals): void {
  const { outgoing } = channel as unknown as ChannelInternals;
  if (outgoing.state !== 'open' && outgoing.state !== 'eof') return;
  (client as unknown as ClientInternals)._protocol.signal(outgoing.id, name.replace(/^SIG/, ''));
}

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Test } from 'tap';

/** A way to a TCP server with every trouble that a network has. */
export interface FaultyProxy {
  readonly port: number;
  /** Connections taken so far. */
  readonly accepted: number;
  readonly open: number;
  /** The connections of now stay, but what is sent over them is lost in both directions: they are half open. */
  swallow(): void;
  /** The same for those to come, until `heal`. */
  swallowNew(): void;
  /** Resets the connections of now. */
  cut(): void;
  /** Resets them after so many more bytes of the server. */
  cutAfter(bytes: number): void;
  /** Holds back each chunk of the server for so long, in ms. */
  delay(ms: number): void;
  /** New connections work again. */
  heal(): void;
}

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  swallowing: boolean;
  bytesLeft: number;
}

export async function startFaultyProxy(t: Test, targetPort: number): Promise<FaultyProxy> {
  const pairs = new Set<Pair>();
  let accepted = 0;
  let swallowingNew = false;
  let delayMs = 0;

  const server = createServer({ noDelay: true }, (client) => {
    accepted++;
    const upstream = connect({ host: '127.0.0.1', port: targetPort, noDelay: true });
    const pair: Pair = { client, upstream, swallowing: swallowingNew, bytesLeft: Infinity };
    pairs.add(pair);
    client.on('data', (chunk) => {
      if (!pair.swallowing) upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (pair.swallowing) return;
      const passed = chunk.subarray(0, pair.bytesLeft);
      pair.bytesLeft -= passed.length;
      const last = pair.bytesLeft === 0;
      setTimeout(() => {
        if (!pair.swallowing && !client.destroyed) client.write(passed, () => last && client.resetAndDestroy());
      }, delayMs);
    });
    const end = (): void => {
      if (pair.swallowing) return;
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    // The end of one side is passed on after what it said before.
    for (const socket of [client, upstream]) socket.on('error', end).on('close', () => setTimeout(end, delayMs + 1));
    client.on('close', () => {
      pairs.delete(pair);
      // What is lost on the way never tells the server; but this process must not hold the socket for ever.
      if (pair.swallowing) upstream.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const { client, upstream } of pairs) {
      client.destroy();
      upstream.destroy();
    }
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    get open() {
      return pairs.size;
    },
    swallow() {
      for (const pair of pairs) pair.swallowing = true;
    },
    swallowNew() {
      swallowingNew = true;
    },
    cut() {
      for (const { client } of pairs) client.resetAndDestroy();
    },
    cutAfter(bytes) {
      for (const pair of pairs) pair.bytesLeft = bytes;
    },
    delay(ms) {
      delayMs = ms;
    },
    heal() {
      swallowingNew = false;
      delayMs = 0;
    },
  };
}

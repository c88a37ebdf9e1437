import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A way to a TCP server that can go dead without a sound, as a network does. */
export interface StallableProxy {
  readonly port: number;
  /** From here on nothing passes, in either direction; connections stay, new ones are taken and left unanswered. */
  stall(): void;
  /** What was held back arrives, late. */
  resume(): void;
  close(): Promise<void>;
}

export async function startStallableProxy(targetPort: number, port = 0): Promise<StallableProxy> {
  const sockets = new Set<Socket>();
  const waiting: (() => void)[] = [];
  let stalled = false;

  function join(from: Socket, to: Socket): void {
    sockets.add(from);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
    from.on('data', (chunk) => to.write(chunk));
    from.on('end', () => to.end());
    if (stalled) from.pause();
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const open = (): void => {
      const upstream = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true, noDelay: true });
      join(client, upstream);
      join(upstream, client);
    };
    if (stalled) waiting.push(open);
    else open();
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stall() {
      stalled = true;
      for (const socket of sockets) socket.pause();
    },
    resume() {
      stalled = false;
      for (const socket of sockets) socket.resume();
      for (const open of waiting.splice(0)) open();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

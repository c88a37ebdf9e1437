import type { Socket } from 'node:net';

/**
 * Sends what is written during one turn of the event loop with one system call. ssh2 writes each packet in three pieces
 * (length, body, tag), which without Nagle's algorithm would be three segments on the wire.
 */
export function coalesceWrites(socket: Socket): void {
  const write = socket.write.bind(socket) as (...args: readonly unknown[]) => boolean;
  let corked = false;
  socket.write = (...args: readonly unknown[]) => {
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    return write(...args);
  };
}

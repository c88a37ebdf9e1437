import type { Socket } from 'node:net';

/** So many intervals without a byte from the server, though it was asked in each. */
const SILENT_INTERVALS = 3;

/**
 * Calls `onDead` when the peer has sent nothing for three to four intervals. Any byte counts as life, not only answers to
 * keepalives: on a slow line those wait behind megabytes of data. Intervals are counted, not time: after this process
 * was held up (or the machine slept) the data that is waiting gets read before the next one ends.
 *
 * @returns a function that stops watching.
 */
export function watchConnection(socket: Socket, intervalMs: number, onDead: () => void): () => void {
  let seen = socket.bytesRead;
  let silent = 0;
  const timer = setInterval(() => {
    if (socket.bytesRead !== seen) {
      seen = socket.bytesRead;
      silent = 0;
      return;
    }
    silent++;
    if (silent < SILENT_INTERVALS) return;
    clearInterval(timer);
    onDead();
  }, intervalMs);
  return () => clearInterval(timer);
}

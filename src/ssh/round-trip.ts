import { once } from 'node:events';
import type { Host } from './host.ts';

const ROUNDS = 4;

/** Enough for a line there and back on any line that data are worth being sent over, in ms. */
const PATIENCE_MS = 5_000;

/**
 * Sends a few lines to a program on the server and back.
 *
 * @returns the time of the shortest in milliseconds; `undefined` where nothing came back in time.
 * @throws what `Host` throws, or the signal's reason.
 */
export async function measureRoundTrip(host: Host, signal?: AbortSignal): Promise<number | undefined> {
  const until = AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), ...(signal === undefined ? [] : [signal])]);
  const echo = await host.spawn(['cat'], { signal: until });
  echo.stdin.on('error', () => undefined); // then nothing comes back
  echo.stderr.resume();
  echo.exit.catch(() => undefined);
  let least: number | undefined;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const begin = performance.now();
      echo.stdin.write(`${String(round)}\n`);
      await once(echo.stdout, 'data', { signal: until });
      least = Math.min(least ?? Infinity, performance.now() - begin);
    }
  } catch {
    // As much as is known by now is better than nothing.
    signal?.throwIfAborted();
  } finally {
    echo.stdout.resume();
    echo.stdin.end();
  }
  return least;
}

import { setTimeout as sleep } from 'node:timers/promises';

/** Asks until the answer is not undefined or false, or the time is over; then the answer is undefined. */
export async function poll<T>(
  ask: () => T | Promise<T>,
  timeoutMs: number,
  intervalMs = 10,
): Promise<Exclude<T, undefined | false | null> | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false && answer !== null) {
      return answer as Exclude<T, undefined | false | null>;
    }
    if (performance.now() > deadline) return undefined;
    await sleep(intervalMs);
  }
}

import type { Clock } from '../src/runtime/clock.ts';

/** RFC 3339 with milliseconds, UTC: when something happened. */
export function timestamp(clock: Clock, offsetMs = 0): string {
  return new Date(clock.now() + offsetMs).toISOString();
}

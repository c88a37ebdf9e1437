import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/runtime/clock.ts';

/** Time that passes only when a test says so. */
export interface VirtualClock extends Clock {
  /** Lets `ms` pass: runs every timer at its own moment, in order, and whatever promises follow before the next. */
  advance(ms: number): Promise<void>;
  /** Lets all promises run that can without time passing. */
  settle(): Promise<void>;
  /** The wall clock jumps; the monotonic one does not notice. */
  jump(ms: number): void;
  readonly timers: number;
}

const EPOCH = Date.parse('2026-01-01T00:00:00Z');

export function createVirtualClock(): VirtualClock {
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  let elapsed = 0;
  let offset = EPOCH;

  async function settle(): Promise<void> {
    // Node drains the microtask queue before the next immediate; the second turn is for code that yields to the loop once.
    await setImmediate();
    await setImmediate();
  }

  return {
    now: () => Math.floor(offset + elapsed),
    monotonic: () => elapsed,
    after(ms, callback) {
      // Whole milliseconds, as Node's timers: a fraction too small to move the time would never let a deadline pass.
      const timer = { at: elapsed + Math.ceil(Math.max(ms, 0)), callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      const until = elapsed + ms;
      await settle();
      for (;;) {
        // Among timers of the same moment the first set goes first: a Set keeps that order.
        let next: { readonly at: number; readonly callback: () => void } | undefined;
        for (const timer of timers) if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer;
        if (next === undefined) break;
        timers.delete(next);
        elapsed = Math.max(elapsed, next.at);
        next.callback();
        await settle();
      }
      elapsed = until;
    },
    settle,
    jump(ms) {
      offset += ms;
    },
    get timers() {
      return timers.size;
    },
  };
}

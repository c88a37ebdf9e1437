import type { Clock } from './clock.ts';

export interface DeadlineStage<R> {
  readonly afterMs: number;
  readonly callback: (run: R) => void;
}

/**
 * Calls each stage for whatever runs for so long. One timer for all of them, which stays armed when a run ends: nearly
 * every run ends long before its deadline, and a timer for each would cost more than the run.
 */
export interface Deadlines<R> {
  add(run: R, startedAt: number): void;
  delete(run: R): void;
  stop(): void;
}

/** `stages` by ascending time. */
export function createDeadlines<R>(options: {
  readonly clock: Clock;
  readonly stages: readonly DeadlineStage<R>[];
}): Deadlines<R> {
  const { clock, stages } = options;
  const running = new Map<R, { readonly startedAt: number; passed: number }>();
  let cancel: (() => void) | undefined;
  let stopped = false;

  function check(): void {
    cancel = undefined;
    let next = Infinity;
    for (const [run, state] of running) {
      const elapsed = clock.monotonic() - state.startedAt;
      for (let stage = stages[state.passed]; stage !== undefined; stage = stages[state.passed]) {
        if (elapsed < stage.afterMs) {
          next = Math.min(next, stage.afterMs - elapsed);
          break;
        }
        state.passed++;
        stage.callback(run);
      }
    }
    if (next !== Infinity && !stopped) cancel = clock.after(next, check);
  }

  return {
    add(run, startedAt) {
      running.set(run, { startedAt, passed: 0 });
      // All runs have the same deadlines, so an armed timer is never too late for a run that starts after it.
      const first = stages[0];
      if (!stopped && cancel === undefined && first !== undefined) cancel = clock.after(first.afterMs, check);
    },
    delete(run) {
      running.delete(run);
    },
    stop() {
      stopped = true;
      cancel?.();
      cancel = undefined;
    },
  };
}

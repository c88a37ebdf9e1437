import type { Clock } from '../runtime/clock.ts';

/** Timers by name, of which there is one each at a time. */
export class NamedTimers {
  readonly #clock: Clock;
  readonly #cancels = new Map<string, () => void>();
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(name: string): boolean {
    return this.#cancels.has(name);
  }

  /** Calls back after `ms`, unless a timer of that name is under way: that one stays. */
  start(name: string, ms: number, action: () => void): void {
    if (this.#ended || this.#cancels.has(name)) return;
    const cancel = this.#clock.after(ms, () => {
      this.#cancels.delete(name);
      action();
    });
    this.#cancels.set(name, cancel);
  }

  /** Cancels all, and starts no more. */
  end(): void {
    this.#ended = true;
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }
}

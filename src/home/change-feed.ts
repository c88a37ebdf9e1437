import type { Clock } from '../runtime/clock.ts';

/** How often other processes' commits are looked for while somebody waits; `PRAGMA data_version` costs microseconds. */
const POLL_MS = 50;

/**
 * Wakes watchers when the store may have changed. It carries no data: watchers read the change log themselves, so a slow
 * one holds nothing in memory.
 */
export class ChangeFeed {
  readonly #externalVersion: () => number;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  /** Only the poll moves it on: whatever another process committed since the last poll wakes everybody once. */
  #seen: number;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(externalVersion: () => number, clock: Clock) {
    this.#externalVersion = externalVersion;
    this.#clock = clock;
    this.#seen = externalVersion();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves at the next change, when the signal fires, when the feed is closed, or after `ms` of the clock's time. */
  changed(signal: AbortSignal, ms: number): Promise<void> {
    if (signal.aborted || this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        if (this.#waiting.size === 0) this.#stopPolling();
        resolve();
      };
      const cancel = this.#clock.after(ms, wake);
      signal.addEventListener('abort', wake, { once: true });
      this.#waiting.add(wake);
      // Real time, not the injected clock: the other process does not live on virtual time.
      this.#timer ??= setInterval(() => this.#poll(), POLL_MS);
    });
  }

  notify(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  close(): void {
    this.#closed = true;
    this.notify();
    this.#stopPolling();
  }

  #poll(): void {
    let version: number;
    try {
      version = this.#externalVersion();
    } catch {
      // The watchers' own reads meet the same error and report it to somebody.
      this.notify();
      return;
    }
    if (version === this.#seen) return;
    this.#seen = version;
    this.notify();
  }

  #stopPolling(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

export interface BackoffOptions {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Upper bound of the first delay, in ms. Default 500. */
  readonly baseMs?: number;
  /** Upper bound of any delay, in ms. Default 5 minutes. */
  readonly maxMs?: number;
}

/** Exponential backoff with full jitter, counted per key. */
export interface Backoff {
  /** Counts one more failure and says how long to wait, in ms: uniform between nothing and the bound, which doubles. */
  next(key: string): number;
  /** Failures since the last reset. */
  failures(key: string): number;
  /** The key is well again, or somebody changed what may have been wrong with it. */
  reset(key: string): void;
}

/**
 * Full jitter, because clients that failed together must not come back together; the expected delay still doubles.
 */
export function createBackoff({ random, baseMs = 500, maxMs = 300_000 }: BackoffOptions): Backoff {
  const failures = new Map<string, number>();
  return {
    next(key) {
      const before = failures.get(key) ?? 0;
      failures.set(key, before + 1);
      return random() * Math.min(maxMs, baseMs * 2 ** before);
    },
    failures: (key) => failures.get(key) ?? 0,
    reset(key) {
      failures.delete(key);
    },
  };
}

import { GridferryError } from '../errors.ts';
import { sleep } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';

export interface RequestBudget {
  /** Waits for its turn; rejects with GF_DNS_RATE_LIMITED when that is further away than a caller should wait. */
  take(signal?: AbortSignal): Promise<void>;
  /** The server refused: nobody asks again before then, because asking while refused can prolong it. */
  blockFor(ms: number): void;
}

export interface RequestBudgetOptions {
  readonly clock: Clock;
  /** How many requests may go at once after a quiet time. */
  readonly burst: number;
  readonly perSecond: number;
  /** A turn further away than this is refused instead of waited for, in ms. */
  readonly maxWaitMs: number;
}

/**
 * A token bucket. In any window of W seconds at most `burst + W * perSecond` requests pass, so the bucket must be much
 * smaller than the server's allowance: one of 1,200 that refills in five minutes would let 2,400 pass in the first five.
 */
export function createRequestBudget({ clock, burst, perSecond, maxWaitMs }: RequestBudgetOptions): RequestBudget {
  let tokens = burst;
  let filledAt = clock.monotonic();
  let blockedUntil = 0;

  function refill(): void {
    const now = clock.monotonic();
    tokens = Math.min(burst, tokens + ((now - filledAt) / 1000) * perSecond);
    filledAt = now;
  }

  return {
    async take(signal) {
      signal?.throwIfAborted();
      refill();
      const blockedMs = blockedUntil - clock.monotonic();
      // Taken before waiting, going below zero: those who wait keep their order and nobody takes the same token.
      const queuedMs = tokens >= 1 ? 0 : ((1 - tokens) / perSecond) * 1000;
      const waitMs = Math.max(blockedMs, queuedMs);
      if (waitMs > maxWaitMs) {
        throw new GridferryError(
          'GF_DNS_RATE_LIMITED',
          blockedMs > 0
            ? `The DNS provider refuses requests for another ${seconds(waitMs)} because too many were sent; it is tried again then. Look for other users of the same account or token if this repeats.`
            : `The DNS provider's request allowance is used up; the next request can be sent in ${seconds(waitMs)} and is tried again then.`,
          { class: 'retryable', retryAfterMs: Math.ceil(waitMs) },
        );
      }
      tokens -= 1;
      if (waitMs > 0) await sleep(clock, waitMs, signal);
    },
    blockFor(ms) {
      blockedUntil = Math.max(blockedUntil, clock.monotonic() + ms);
    },
  };
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`;
}

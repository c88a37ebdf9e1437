import { systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import { outcomeOf } from './probe-result.ts';
import type { ProbeOutcome, ProbeResult } from './probe-result.ts';

export interface ProbeLimits {
  /** For everything: connecting, TLS, request and answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

export interface Verdict {
  readonly outcome: ProbeOutcome;
  readonly reason: string;
  readonly status?: number;
  readonly notes?: readonly string[];
}

/**
 * Runs one probe under its deadline and turns whatever happens into a result. `start` gets the function that ends the
 * probe (the first call counts) and returns the one that cleans up, which always runs.
 */
export function runProbe(
  { timeoutMs, signal, clock = systemClock }: ProbeLimits,
  endpoint: string,
  start: (end: (verdict: Verdict) => void, fail: (error: unknown) => void) => () => void,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const begun = clock.monotonic();
    let cleanUp: (() => void) | undefined;
    let ended = false;
    const isEnded = (): boolean => ended;

    const end = (verdict: Verdict): void => {
      if (ended) return;
      ended = true;
      cancelTimer();
      signal?.removeEventListener('abort', onAbort);
      cleanUp?.();
      resolve({
        ok: verdict.outcome === 'Healthy',
        outcome: verdict.outcome,
        reason: `${endpoint}: ${verdict.reason}`,
        latencyMs: clock.monotonic() - begun,
        notes: verdict.notes ?? [],
        ...(verdict.status === undefined ? {} : { status: verdict.status }),
      });
    };
    const fail = (error: unknown): void => end(outcomeOf(error));
    const onAbort = (): void => end({ outcome: 'Aborted', reason: 'given up' });
    const cancelTimer = clock.after(timeoutMs, () =>
      end({ outcome: 'Timeout', reason: `no complete answer within ${timeoutMs} ms` }),
    );
    if (signal?.aborted) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const stop = start(end, fail);
      // It may have ended while starting, when there was nothing to clean up yet.
      if (isEnded()) stop();
      else cleanUp = stop;
    } catch (error) {
      fail(error);
    }
  });
}

import { GridferryError, messageOf } from '../errors.ts';
import { sleep, systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import type { ProbeResult } from './probe-result.ts';

export interface WaitUntilHealthyOptions {
  /** Looks once. The signal fires when the waiting ends: at its time-out, or because it is aborted. */
  readonly probe: (signal: AbortSignal) => Promise<ProbeResult>;
  /** From the end of one probe to the start of the next, in ms. */
  readonly intervalMs: number;
  /** For all of it, in ms. */
  readonly timeoutMs: number;
  /** How many probes have to succeed in a row. Default 1. */
  readonly successThreshold?: number;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Told of every probe, for progress. */
  readonly onResult?: (result: ProbeResult, attempt: number) => void;
}

export interface HealthyAfter {
  readonly attempts: number;
  readonly elapsedMs: number;
  readonly last: ProbeResult;
}

/**
 * Probes until enough successes came in a row.
 *
 * @throws GF_HEALTH_TIMEOUT (terminal) with the last reason; the signal's reason when it fires.
 */
export async function waitUntilHealthy(options: WaitUntilHealthyOptions): Promise<HealthyAfter> {
  const { probe, intervalMs, timeoutMs, successThreshold = 1, clock = systemClock, signal } = options;
  const begun = clock.monotonic();
  const deadline = new AbortController();
  const cancelDeadline = clock.after(timeoutMs, () => deadline.abort(new Error('time-out')));
  const both = signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]);
  let last: ProbeResult | undefined;
  let attempts = 0;
  let inARow = 0;
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (deadline.signal.aborted) throw timedOut(options, attempts, inARow, last);
      attempts += 1;
      const result = await lookOnce(probe, both);
      signal?.throwIfAborted();
      // A probe cut off by the deadline says less than the one before it.
      if (result.outcome !== 'Aborted' || last === undefined) last = result;
      options.onResult?.(result, attempts);
      inARow = result.ok ? inARow + 1 : 0;
      if (inARow >= successThreshold) return { attempts, elapsedMs: clock.monotonic() - begun, last: result };
      await sleep(clock, intervalMs, both).catch(() => {
        // Woken by the signal or the deadline: the top of the loop tells which.
      });
    }
  } finally {
    cancelDeadline();
  }
}

/** A probe that neither ends nor heeds the signal must not hold up the deadline. */
function lookOnce(probe: (signal: AbortSignal) => Promise<ProbeResult>, signal: AbortSignal): Promise<ProbeResult> {
  const verdict = (outcome: ProbeResult['outcome'], reason: string): ProbeResult => ({
    ...{ ok: false, outcome, reason, latencyMs: 0, notes: [] },
  });
  return new Promise((resolve) => {
    const onAbort = (): void => resolve(verdict('Aborted', 'the probe did not end in time'));
    signal.addEventListener('abort', onAbort, { once: true });
    probe(signal)
      .catch((error: unknown) => verdict('Protocol', messageOf(error)))
      .then((result) => {
        signal.removeEventListener('abort', onAbort);
        resolve(result);
      }, resolve);
  });
}

function timedOut(
  { timeoutMs, successThreshold = 1 }: WaitUntilHealthyOptions,
  attempts: number,
  inARow: number,
  last: ProbeResult | undefined,
): GridferryError {
  const streak = inARow > 0 ? `${inARow} of ${successThreshold} successes in a row; ` : '';
  return new GridferryError(
    'GF_HEALTH_TIMEOUT',
    `Not healthy within ${Math.round(timeoutMs / 1000)} s after ${attempts} probes (${streak}last: ${last?.reason ?? 'none finished'}). Look at the container's logs, or correct the health check's port, path or time-out.`,
    { details: { attempts, ...(last === undefined ? {} : { outcome: last.outcome }) } },
  );
}

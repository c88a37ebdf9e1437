import { GridferryError } from '../../src/errors.ts';
import type { Step } from './step.ts';

/** While the service is stopped, giving up early and putting the source back beats waiting. */
const patience: Readonly<Record<Step['phase'], { readonly attempts: number; readonly capMs: number }>> = {
  Preparing: { attempts: 6, capMs: 20_000 },
  Uploading: { attempts: 8, capMs: 30_000 },
  Restoring: { attempts: 4, capMs: 4_000 },
  DNSCutover: { attempts: 5, capMs: 10_000 },
  Verifying: { attempts: 6, capMs: 10_000 },
  Completed: { attempts: 10, capMs: 30_000 },
};

type Paced = Pick<Step, 'phase' | 'patient'>;

function patienceOf({ phase, patient }: Paced): (typeof patience)[Step['phase']] {
  return patience[patient === true ? 'Completed' : phase];
}

/** How often a step is begun before the transfer fails. */
export function maxAttempts(step: Paced): number {
  return patienceOf(step).attempts;
}

/** Exponential with jitter, in ms; the peer's own Retry-After counts where it is longer. */
export function delayBefore(attempt: number, step: Paced, error: unknown, random: () => number): number {
  const cap = Math.min(patienceOf(step).capMs, 500 * 2 ** Math.min(attempt - 1, 16));
  const own = error instanceof GridferryError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(own, cap / 2 + (random() * cap) / 2);
}

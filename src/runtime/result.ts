/** What a reconcile answers: a closed set, so that the manager handles every case. */
export type Result =
  /** Actual equals desired; come back when something changes (or at the next resync). */
  | { readonly kind: 'done' }
  /** Nothing is wrong, but look again then. Resets the backoff. */
  | { readonly kind: 'requeueAfter'; readonly ms: number; readonly reason: string }
  /** It failed and may succeed later: backed off. */
  | { readonly kind: 'retry'; readonly error: unknown }
  /** It failed and nothing but a change of the object helps. */
  | { readonly kind: 'terminal'; readonly error: unknown };

export const done: Result = { kind: 'done' };

export function requeueAfter(ms: number, reason: string): Result {
  return { kind: 'requeueAfter', ms, reason };
}

export function retry(error: unknown): Result {
  return { kind: 'retry', error };
}

export function terminal(error: unknown): Result {
  return { kind: 'terminal', error };
}

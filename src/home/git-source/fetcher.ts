import { createBackoff } from '../../runtime/backoff.ts';
import type { Backoff } from '../../runtime/backoff.ts';
import type { Clock } from '../../runtime/clock.ts';

/** What the remote answered. */
export type Outcome =
  { readonly kind: 'head'; readonly commit: string } | { readonly kind: 'failed'; readonly error: unknown };

export interface FetcherOptions {
  readonly fetch: () => Promise<string>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly intervalMs: number;
  /** Told when there is an outcome to take. */
  readonly onOutcome: () => void;
}

const RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 300_000;

/** Asks the remote again and again, one question at a time, in the background: it may take long to answer, or never. */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #backoff: Backoff;
  /** Monotonic ms. */
  #dueAt = 0;
  #askAgain = false;
  #running: Promise<void> | undefined;
  #outcome: Outcome | undefined;
  /** How many questions were begun. */
  #rounds = 0;

  constructor(options: FetcherOptions) {
    this.#options = options;
    const maxMs = Math.max(options.intervalMs, LONGEST_RETRY_MS);
    this.#backoff = createBackoff({ random: options.random, baseMs: RETRY_MS, maxMs });
  }

  get rounds(): number {
    return this.#rounds;
  }

  /** The question under way, if one is. */
  get running(): Promise<void> | undefined {
    return this.#running;
  }

  /** Whether there is nothing under way and nothing to take. */
  get idle(): boolean {
    return this.#running === undefined && this.#outcome === undefined;
  }

  /** Ms until something is to be done: to take an outcome, or to ask. */
  get waitMs(): number {
    if (this.#outcome !== undefined) return 0;
    return this.#running === undefined ? Math.max(0, this.#dueAt - this.#options.clock.monotonic()) : Infinity;
  }

  /** Asks as soon as it can be: what is under way may have been asked before what is meant was pushed. */
  hurry(): void {
    this.#dueAt = 0;
    this.#askAgain = true;
  }

  /** Asks, if it is time to. Answers whether it did. */
  askIfDue(): boolean {
    if (!this.idle || this.waitMs > 0) return false;
    this.#rounds++;
    this.#askAgain = false;
    this.#running = this.#options.fetch().then(
      (commit) => this.#ended({ kind: 'head', commit }),
      (error: unknown) => this.#ended({ kind: 'failed', error }),
    );
    return true;
  }

  take(): Outcome | undefined {
    const outcome = this.#outcome;
    this.#outcome = undefined;
    return outcome;
  }

  #ended(outcome: Outcome): void {
    const { clock, random, intervalMs, onOutcome } = this.#options;
    let wait: number;
    if (outcome.kind === 'head') {
      this.#backoff.reset('');
      // A tenth more or less, so that many of them do not ask a server all at once.
      wait = intervalMs * (0.9 + 0.2 * random());
    } else {
      wait = Math.max(this.#backoff.next(''), Math.min(intervalMs, RETRY_MS / 2));
    }
    this.#dueAt = this.#askAgain ? 0 : clock.monotonic() + wait;
    this.#running = undefined;
    this.#outcome = outcome;
    onOutcome();
  }
}

import { GridferryError } from '../errors.ts';
import type { Clock } from './clock.ts';

/** What is known of a job. */
export type JobState<P, R> =
  | { readonly state: 'running'; readonly progress: P | undefined }
  | { readonly state: 'succeeded'; readonly result: R }
  | { readonly state: 'failed'; readonly error: unknown };

/**
 * Work of a controller process that outlives one reconcile (a copy of many minutes): a reconcile starts it, later ones
 * look at it. It lives in this process's memory only: what must survive a crash is found again on the servers.
 */
export interface Jobs<P, R> {
  /**
   * Starts `run`; throws `GF_JOB_RUNNING` when the key has a running job, replaces the outcome of one that ended.
   * `onNews` is called when it ended, and after reports of progress, at most four times a second. What runs must end
   * when its signal fires.
   */
  start(key: string, run: (signal: AbortSignal, report: (progress: P) => void) => Promise<R>, onNews: () => void): void;
  /** The latest, not throttled. */
  peek(key: string): JobState<P, R> | undefined;
  /** Drops the outcome of a job that ended, once it is recorded. A running job stays. */
  forget(key: string): void;
  /** Fires the job's signal; resolves when it has really ended. Its outcome stays until `forget`. */
  abort(key: string, reason: Error): Promise<void>;
  /** Resolves when the job ended, or after `ms`, or at once when there is none: for jobs that may well be quick. */
  race(key: string, ms: number): Promise<void>;
  /** Ends every job, for the end of the process: nothing can be started afterwards (`GF_JOBS_STOPPED`). */
  abortAll(): Promise<void>;
}

interface Job<P, R> {
  state: JobState<P, R>;
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

const NEWS_INTERVAL_MS = 250;

/** `P` is what the jobs report of their progress, `R` what they end with. */
export function createJobs<P, R>({ clock }: { readonly clock: Clock }): Jobs<P, R> {
  const jobs = new Map<string, Job<P, R>>();
  let stopped = false;

  function start(
    key: string,
    run: (signal: AbortSignal, report: (progress: P) => void) => Promise<R>,
    onNews: () => void,
  ): void {
    if (stopped) {
      throw new GridferryError('GF_JOBS_STOPPED', `${key} was not started, because Gridferry is being stopped.`, {
        class: 'retryable',
      });
    }
    if (jobs.get(key)?.state.state === 'running') {
      throw new GridferryError('GF_JOB_RUNNING', `${key} is running already; wait for it or abort it first.`, {
        class: 'retryable',
      });
    }
    const controller = new AbortController();
    const news = throttle(clock, onNews);
    const { promise: ended, resolve: end } = Promise.withResolvers<undefined>();
    const job: Job<P, R> = { state: { state: 'running', progress: undefined }, controller, ended };
    jobs.set(key, job);

    function report(progress: P): void {
      if (job.state.state !== 'running') return;
      job.state = { state: 'running', progress };
      news.soon();
    }
    function finish(state: JobState<P, R>): void {
      job.state = state;
      end(undefined);
      news.now();
    }
    // Inside an async function even a synchronous throw becomes an outcome.
    (async () => run(controller.signal, report))().then(
      (result) => finish({ state: 'succeeded', result }),
      (error: unknown) => finish({ state: 'failed', error }),
    );
  }

  async function abort(key: string, reason: Error): Promise<void> {
    const job = jobs.get(key);
    if (job === undefined) return;
    job.controller.abort(reason);
    await job.ended;
  }

  return {
    start,
    peek: (key) => jobs.get(key)?.state,
    forget(key) {
      if (jobs.get(key)?.state.state !== 'running') jobs.delete(key);
    },
    abort,
    async race(key, ms) {
      const job = jobs.get(key);
      if (job?.state.state !== 'running') return;
      let cancel: (() => void) | undefined;
      const timeout = new Promise<void>((resolve) => (cancel = clock.after(ms, resolve)));
      await Promise.race([job.ended, timeout]);
      cancel?.();
    },
    async abortAll() {
      stopped = true;
      const reason = new GridferryError(
        'GF_JOBS_STOPPED',
        'Gridferry is being stopped; the next start goes on from here.',
        {
          class: 'retryable',
        },
      );
      await Promise.all([...jobs.keys()].map((key) => abort(key, reason)));
    },
  };
}

/** `soon` calls at once when the last call is long enough ago, else when it will be: the last news is never lost. */
function throttle(clock: Clock, callback: () => void): { soon(): void; now(): void } {
  let lastAt = -Infinity;
  let cancel: (() => void) | undefined;

  function now(): void {
    cancel?.();
    cancel = undefined;
    lastAt = clock.monotonic();
    try {
      callback();
    } catch {
      // Who is told must not break the job that tells it: its outcome is kept and found by the next look.
    }
  }
  return {
    now,
    soon() {
      const wait = lastAt + NEWS_INTERVAL_MS - clock.monotonic();
      if (wait <= 0) now();
      else cancel ??= clock.after(wait, now);
    },
  };
}

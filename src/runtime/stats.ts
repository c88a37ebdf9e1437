/** Counts of observations per upper bound: a Prometheus histogram without the cost of one on every observation. */
export interface Tally {
  /** Upper bounds, ascending; above the last is `+Inf`. */
  readonly bounds: readonly number[];
  /** Per bound (and one more for `+Inf`), not cumulative. */
  readonly counts: readonly number[];
  readonly sum: number;
  observe(value: number): void;
}

export function createTally(bounds: readonly number[]): Tally {
  const counts = new Array<number>(bounds.length + 1).fill(0);
  let sum = 0;
  return {
    bounds,
    counts,
    get sum() {
      return sum;
    },
    observe(value) {
      let low = 0;
      let high = bounds.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (value <= (bounds[middle] as number)) high = middle;
        else low = middle + 1;
      }
      counts[low] = (counts[low] as number) + 1;
      sum += value;
    },
  };
}

/** The figures of one queue. Plain numbers that are read when somebody asks, so that counting costs nothing. */
export interface QueueStats {
  adds: number;
  retries: number;
  /** Ready keys by priority, in the order of `PRIORITIES`. */
  readonly depth: number[];
  readonly queueSeconds: Tally;
  readonly workSeconds: Tally;
  /** How long each key that is worked on has been so, in ms. */
  unfinishedMs(): number[];
}

/** controller-runtime's buckets: ten of them a power of ten apart, from 10 ns, and two more. */
const QUEUE_BOUNDS = Array.from({ length: 12 }, (_, i) => Number(`1e${i - 8}`));

export function createQueueStats({ unfinishedMs }: Pick<QueueStats, 'unfinishedMs'>): QueueStats {
  return {
    adds: 0,
    retries: 0,
    depth: [0, 0, 0],
    queueSeconds: createTally(QUEUE_BOUNDS),
    workSeconds: createTally(QUEUE_BOUNDS),
    unfinishedMs,
  };
}

/** How a reconcile ended, in controller-runtime's words. */
export type ReconcileOutcome = 'success' | 'error' | 'requeue' | 'requeue_after';

/** The figures of one controller. */
export interface ControllerStats {
  readonly controller: string;
  readonly concurrency: number;
  readonly outcomes: Record<ReconcileOutcome, number>;
  /** Every failed reconcile, the terminal ones included. */
  errors: number;
  terminalErrors: number;
  /** Exceptions that are no `GridferryError`: bugs. */
  panics: number;
  /** Reconciles that were aborted at their deadline. */
  timeouts: number;
  activeWorkers: number;
  readonly reconcileSeconds: Tally;
  readonly queue: QueueStats;
}

/** controller-runtime's buckets of `controller_runtime_reconcile_time_seconds`. */
const RECONCILE_BOUNDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];

export function createControllerStats(controller: string, concurrency: number, queue: QueueStats): ControllerStats {
  return {
    controller,
    concurrency,
    outcomes: { success: 0, error: 0, requeue: 0, requeue_after: 0 },
    errors: 0,
    terminalErrors: 0,
    panics: 0,
    timeouts: 0,
    activeWorkers: 0,
    reconcileSeconds: createTally(RECONCILE_BOUNDS),
    queue,
  };
}

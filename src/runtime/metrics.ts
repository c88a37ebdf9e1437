import type { EventRecorderStats } from './event-recorder.ts';
import type { Leadership } from './leadership.ts';
import type { ReflectorStats } from './reflector.ts';
import type { ControllerStats, Tally } from './stats.ts';
import { PRIORITIES } from './work-queue.ts';

/** One line of a scrape. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Of a histogram's parts. */
  readonly suffix?: '_bucket' | '_sum' | '_count';
}

/** A metric that is read when it is scraped. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly read: () => readonly Sample[];
}

/** Where metrics are registered; `prometheus.ts` is the one that serves them. */
export interface Metrics {
  register(family: Family): void;
}

export interface RuntimeSources {
  readonly controllers: readonly ControllerStats[];
  readonly reflectors: readonly { readonly kind: string; readonly stats: ReflectorStats }[];
  readonly events: EventRecorderStats;
  readonly leadership?: { readonly name: string; readonly of: Leadership };
}

/** The runtime's metrics, by the names, labels and buckets of controller-runtime (pkg/metrics, pkg/internal/controller). */
export function runtimeFamilies({ controllers, reflectors, events, leadership }: RuntimeSources): Family[] {
  const perController = (read: (stats: ControllerStats) => number) => (): Sample[] =>
    controllers.map((stats) => ({ labels: { controller: stats.controller }, value: read(stats) }));
  const perQueue = (read: (stats: ControllerStats) => number) => (): Sample[] =>
    controllers.map((stats) => ({ labels: queueLabels(stats), value: read(stats) }));
  return [
    {
      name: 'controller_runtime_reconcile_total',
      help: 'Total number of reconciliations per controller',
      type: 'counter',
      read: () =>
        controllers.flatMap(({ controller, outcomes }) =>
          Object.entries(outcomes).map(([result, value]) => ({ labels: { controller, result }, value })),
        ),
    },
    {
      name: 'controller_runtime_reconcile_errors_total',
      help: 'Total number of reconciliation errors per controller',
      type: 'counter',
      read: perController((stats) => stats.errors),
    },
    {
      name: 'controller_runtime_terminal_reconcile_errors_total',
      help: 'Total number of terminal reconciliation errors per controller',
      type: 'counter',
      read: perController((stats) => stats.terminalErrors),
    },
    {
      name: 'controller_runtime_reconcile_panics_total',
      help: 'Total number of reconciliation panics per controller',
      type: 'counter',
      read: perController((stats) => stats.panics),
    },
    {
      name: 'controller_runtime_reconcile_timeouts_total',
      help: 'Total number of reconciliation timeouts per controller',
      type: 'counter',
      read: perController((stats) => stats.timeouts),
    },
    {
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'Length of time per reconciliation per controller',
      type: 'histogram',
      read: () => controllers.flatMap((stats) => histogram({ controller: stats.controller }, stats.reconcileSeconds)),
    },
    {
      name: 'controller_runtime_max_concurrent_reconciles',
      help: 'Maximum number of concurrent reconciles per controller',
      type: 'gauge',
      read: perController((stats) => stats.concurrency),
    },
    {
      name: 'controller_runtime_active_workers',
      help: 'Number of currently used workers per controller',
      type: 'gauge',
      read: perController((stats) => stats.activeWorkers),
    },
    {
      name: 'workqueue_depth',
      help: 'Current depth of workqueue by workqueue and priority',
      type: 'gauge',
      read: () =>
        controllers.flatMap((stats) =>
          stats.queue.depth.map((value, level) => ({
            labels: { ...queueLabels(stats), priority: PRIORITIES[level] ?? '' },
            value,
          })),
        ),
    },
    {
      name: 'workqueue_adds_total',
      help: 'Total number of adds handled by workqueue',
      type: 'counter',
      read: perQueue(({ queue }) => queue.adds),
    },
    {
      name: 'workqueue_queue_duration_seconds',
      help: 'How long in seconds an item stays in workqueue before being requested',
      type: 'histogram',
      read: () => controllers.flatMap((stats) => histogram(queueLabels(stats), stats.queue.queueSeconds)),
    },
    {
      name: 'workqueue_work_duration_seconds',
      help: 'How long in seconds processing an item from workqueue takes.',
      type: 'histogram',
      read: () => controllers.flatMap((stats) => histogram(queueLabels(stats), stats.queue.workSeconds)),
    },
    {
      name: 'workqueue_unfinished_work_seconds',
      help: 'How many seconds of work is in progress and has not been observed by work_duration.',
      type: 'gauge',
      read: perQueue(({ queue }) => queue.unfinishedMs().reduce((sum, ms) => sum + ms, 0) / 1000),
    },
    {
      name: 'workqueue_longest_running_processor_seconds',
      help: 'How many seconds has the longest running processor for workqueue been running.',
      type: 'gauge',
      read: perQueue(({ queue }) => Math.max(0, ...queue.unfinishedMs()) / 1000),
    },
    {
      name: 'workqueue_retries_total',
      help: 'Total number of retries handled by workqueue',
      type: 'counter',
      read: perQueue(({ queue }) => queue.retries),
    },
    {
      name: 'gridferry_watch_lists_total',
      help: 'Lists made to fill a cache or to make it good again',
      type: 'counter',
      read: () => reflectors.map(({ kind, stats }) => ({ labels: { kind }, value: stats.lists })),
    },
    {
      name: 'gridferry_watch_handler_errors_total',
      help: 'Exceptions thrown by handlers of watch events: each is a bug',
      type: 'counter',
      read: () => reflectors.map(({ kind, stats }) => ({ labels: { kind }, value: stats.handlerErrors })),
    },
    {
      name: 'gridferry_events_total',
      help: 'Kubernetes Events by what became of them',
      type: 'counter',
      read: () => Object.entries(events).map(([result, value]) => ({ labels: { result }, value: value as number })),
    },
    ...(leadership === undefined
      ? []
      : [
          {
            name: 'leader_election_master_status',
            help: 'Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.',
            type: 'gauge',
            read: () => [{ labels: { name: leadership.name }, value: leadership.of.isLeader() ? 1 : 0 }],
          } satisfies Family,
        ]),
  ];
}

function queueLabels({ controller }: ControllerStats): Record<string, string> {
  return { name: controller, controller };
}

/** Prometheus' histograms are cumulative: each bucket has all that is below its bound. */
function histogram(labels: Readonly<Record<string, string>>, tally: Tally): Sample[] {
  let total = 0;
  const buckets = tally.counts.map((count, i): Sample => {
    total += count;
    return { labels: { ...labels, le: String(tally.bounds[i] ?? '+Inf') }, value: total, suffix: '_bucket' };
  });
  return [...buckets, { labels, value: tally.sum, suffix: '_sum' }, { labels, value: total, suffix: '_count' }];
}

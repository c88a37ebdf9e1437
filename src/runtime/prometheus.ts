import type { Metric, Registry } from 'prom-client';
import type { Metrics } from './metrics.ts';

/** A registry of one process's metrics, and how they are served. */
export interface Prometheus extends Metrics {
  /** For metrics made with prom-client itself. */
  readonly registry: Registry;
  readonly contentType: string;
  /** The text that a scrape gets. */
  render(): Promise<string>;
}

/** Loads prom-client only now: commands that serve no metrics start without it. */
export async function createPrometheus(): Promise<Prometheus> {
  const { default: client } = await import('prom-client');
  const registry = new client.Registry();
  return {
    registry,
    contentType: registry.contentType,
    register({ name, help, type, read }) {
      // A registry asks of a metric only its `get`. The figures are kept outside prom-client because its own counters
      // hash their labels on every increment, which would cost more than a reconcile that finds nothing to do.
      const metric = {
        name,
        help,
        type,
        aggregator: 'sum',
        get: () =>
          Promise.resolve({
            name,
            help,
            type,
            aggregator: 'sum',
            values: read().map(({ labels, value, suffix }) => ({
              labels,
              value,
              metricName: suffix === undefined ? name : `${name}${suffix}`,
            })),
          }),
      };
      registry.registerMetric(metric as unknown as Metric);
    },
    render: () => registry.metrics(),
  };
}

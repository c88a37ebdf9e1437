import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { createHttpEndpoints } from '../../src/runtime/http-endpoints.ts';
import type { HttpEndpointsOptions, Readiness } from '../../src/runtime/http-endpoints.ts';
import { createManager } from '../../src/runtime/manager.ts';
import { createPrometheus } from '../../src/runtime/prometheus.ts';
import { done, terminal } from '../../src/runtime/result.ts';
import { createFakeClient } from '../support/fake-client.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import { widget, Widgets } from '../support/widget.ts';

const ready: Readiness = { ready: true, problems: [] };

async function serve(t: Test, options: Partial<HttpEndpointsOptions> = {}): Promise<string> {
  const endpoints = createHttpEndpoints({ port: 0, readiness: () => ready, ...options });
  t.teardown(() => endpoints.stop());
  const { host, port } = await endpoints.start();
  t.equal(host, '127.0.0.1');
  return `http://${host}:${port}`;
}

void t.test('health and readiness are answered on loopback', async (t) => {
  let readiness = ready;
  const url = await serve(t, { readiness: () => readiness });
  t.equal((await fetch(`${url}/healthz`)).status, 200);
  t.equal((await fetch(`${url}/readyz?verbose`)).status, 200);
  readiness = { ready: false, problems: ['the watch of transfers is stale', 'the lease was lost'] };
  const refused = await fetch(`${url}/readyz`);
  t.equal(refused.status, 503);
  t.equal(await refused.text(), 'the watch of transfers is stale\nthe lease was lost\n');
  t.equal((await fetch(`${url}/healthz`)).status, 200);
});

void t.test('what is not served is refused', async (t) => {
  const url = await serve(t);
  t.equal((await fetch(`${url}/`)).status, 404);
  t.equal((await fetch(`${url}/metrics`)).status, 404);
  const post = await fetch(`${url}/healthz`, { method: 'POST', body: 'x' });
  t.equal(post.status, 405);
  t.equal(post.headers.get('allow'), 'GET, HEAD');
  t.equal((await fetch(`${url}/healthz`, { method: 'HEAD' })).status, 200);
});

void t.test('a scrape that fails is a 500, not a crash', async (t) => {
  const url = await serve(t, {
    metrics: { contentType: 'text/plain', render: () => Promise.reject(new Error('a bug')) },
  });
  t.equal((await fetch(`${url}/metrics`)).status, 500);
});

void t.test('an address that is taken is said with what to do', async (t) => {
  const url = await serve(t);
  const second = createHttpEndpoints({ port: Number(new URL(url).port), readiness: () => ready });
  await t.rejects(second.start(), { code: 'GF_HTTP_LISTEN', message: /EADDRINUSE.*choose another/ });
  await second.stop();
});

void t.test("a scrape has controller-runtime's names, labels and buckets", async (t) => {
  const metrics = await createPrometheus();
  const client = createFakeClient();
  const clock = createVirtualClock();
  await client.create(Widgets, widget('good'));
  await client.create(Widgets, widget('bad'));
  const manager = createManager({
    client,
    clock,
    metrics,
    log: pino({ level: 'silent' }),
    random: () => 0.5,
    leadership: {
      isLeader: () => true,
      epoch: () => 1,
      elected: Promise.resolve(),
      lost: new AbortController().signal,
    },
    controllers: [
      {
        reconciler: {
          name: 'widget',
          type: Widgets,
          reconcile: async ({ metadata }) => {
            await new Promise<void>((resolve) => clock.after(200, resolve));
            return metadata.name === 'good' ? done : terminal(new Error('no'));
          },
        },
      },
    ],
  });
  await manager.start();
  await clock.advance(1000);
  t.teardown(() => manager.stop());
  const url = await serve(t, { metrics });
  const response = await fetch(`${url}/metrics`);
  t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  for (const line of [
    '# TYPE controller_runtime_reconcile_total counter',
    'controller_runtime_reconcile_total{controller="widget",result="success"} 1',
    'controller_runtime_reconcile_total{controller="widget",result="error"} 1',
    'controller_runtime_reconcile_total{controller="widget",result="requeue_after"} 0',
    'controller_runtime_reconcile_errors_total{controller="widget"} 1',
    'controller_runtime_terminal_reconcile_errors_total{controller="widget"} 1',
    'controller_runtime_reconcile_panics_total{controller="widget"} 0',
    '# TYPE controller_runtime_reconcile_time_seconds histogram',
    'controller_runtime_reconcile_time_seconds_bucket{controller="widget",le="0.15"} 0',
    'controller_runtime_reconcile_time_seconds_bucket{controller="widget",le="0.2"} 2',
    'controller_runtime_reconcile_time_seconds_bucket{controller="widget",le="+Inf"} 2',
    'controller_runtime_reconcile_time_seconds_sum{controller="widget"} 0.4',
    'controller_runtime_reconcile_time_seconds_count{controller="widget"} 2',
    'controller_runtime_max_concurrent_reconciles{controller="widget"} 4',
    'controller_runtime_active_workers{controller="widget"} 0',
    'workqueue_depth{name="widget",controller="widget",priority="change"} 0',
    'workqueue_adds_total{name="widget",controller="widget"} 2',
    'workqueue_queue_duration_seconds_bucket{name="widget",controller="widget",le="1e-8"} 2',
    'workqueue_work_duration_seconds_bucket{name="widget",controller="widget",le="1000"} 2',
    'workqueue_unfinished_work_seconds{name="widget",controller="widget"} 0',
    'workqueue_longest_running_processor_seconds{name="widget",controller="widget"} 0',
    'workqueue_retries_total{name="widget",controller="widget"} 0',
    'leader_election_master_status{name="gridferry"} 1',
    'gridferry_watch_lists_total{kind="Widget"} 1',
    'gridferry_events_total{result="posted"} 1',
  ]) {
    t.ok(text.split('\n').includes(line), line);
  }
});

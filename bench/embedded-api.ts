import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { parse } from 'yaml';

/**
 * The embedded API against a real kube-apiserver with its etcd: creates, gets, lists of 1,000 objects and delivered
 * watch events, per second, by the same client on the same machine in one run, turn by turn.
 *
 *     node bench/embedded-api.ts            # needs ../shared/kube/up, or the kubeconfig of an empty cluster:
 *     GRIDFERRY_TEST_KUBECONFIG=… node bench/embedded-api.ts
 */

const root = resolve(import.meta.dirname, '..');
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const WRITERS = 16;
const CREATES = 1_000;
const GETS = 4_000;
const LISTS = 40;
const WATCHES = 20;

const SERVICES = '/apis/gridferry.io/v1alpha1/namespaces';

interface Server {
  readonly name: string;
  readonly pool: Pool;
  readonly headers: Record<string, string>;
}

interface Rates {
  readonly creates: number;
  readonly gets: number;
  readonly lists: number;
  readonly events: number;
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: Record<string, string> }[];
  readonly users: readonly { readonly user: { readonly token: string } }[];
}

function connect(name: string, kubeconfig: string): Server {
  const config = parse(readFileSync(kubeconfig, 'utf8')) as Kubeconfig;
  const cluster = config.clusters[0]?.cluster ?? {};
  const data = cluster['certificate-authority-data'];
  const ca = data === undefined ? readFileSync(cluster['certificate-authority'] ?? '') : Buffer.from(data, 'base64');
  // One connection for each writer and watch, and one to spare.
  const pool = new Pool(cluster['server'] ?? '', {
    connections: WRITERS + WATCHES + 1,
    connect: { ca },
    bodyTimeout: 0,
  });
  const token = config.users[0]?.user.token ?? '';
  return { name, pool, headers: { authorization: `Bearer ${token}`, accept: 'application/json' } };
}

async function call(
  server: Server,
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<string> {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const response = await server.pool.request({
    method,
    path,
    headers: { ...server.headers, 'content-type': type },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.body.text();
  if (response.statusCode >= 300) throw new Error(`${server.name}: ${method} ${path}: ${response.statusCode} ${text}`);
  return text;
}

/** Runs `count` calls, `WRITERS` at a time; returns calls per second. */
async function rate(count: number, one: (index: number) => Promise<unknown>): Promise<number> {
  const started = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(WRITERS, count) }, async () => {
      for (let index = next++; index < count; index = next++) await one(index);
    }),
  );
  return count / ((performance.now() - started) / 1000);
}

/** With a specification of some 460 bytes. */
function service(name: string): unknown {
  const addons = Array.from({ length: 4 }, (_, i) => ({ name: `addon-${String(i)}`, container: 'x'.repeat(63) }));
  return {
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'Service',
    metadata: { name, labels: { app: 'bench' } },
    spec: { container: name, addons, serverRef: { name: 'alpha' } },
  };
}

async function measure(server: Server, round: number): Promise<Rates> {
  const namespace = `bench-${String(process.pid)}-${String(round)}`;
  await call(server, 'POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const services = `${SERVICES}/${namespace}/services`;
  const creates = await rate(CREATES, (i) => call(server, 'POST', services, service(`s${String(i)}`)));
  const gets = await rate(GETS, (i) => call(server, 'GET', `${services}/s${String(i % CREATES)}`));
  const lists = await rate(LISTS, () => call(server, 'GET', services));
  const events = await watchRate(server, services);
  await call(server, 'DELETE', `/api/v1/namespaces/${namespace}`);
  await gone(server, `/api/v1/namespaces/${namespace}`);
  return { creates, gets, lists, events };
}

/** A cluster empties a namespace in its own time: the other server's turn does not begin before. */
async function gone(server: Server, path: string): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    const { statusCode, body } = await server.pool.request({ method: 'GET', path, headers: server.headers });
    await body.dump();
    if (statusCode === 404) return;
    await delay(200);
  }
  throw new Error(`${server.name}: ${path} is still there after a minute`);
}

/** Events delivered per second while all objects are patched once and `WATCHES` look on. */
async function watchRate(server: Server, services: string): Promise<number> {
  const list = JSON.parse(await call(server, 'GET', `${services}?limit=1`)) as {
    metadata: { resourceVersion: string };
  };
  const from = list.metadata.resourceVersion;
  const stop = new AbortController();
  const watches = Array.from({ length: WATCHES }, () =>
    watch(server, `${services}?watch=1&resourceVersion=${from}`, stop),
  );
  await delay(200);
  const started = performance.now();
  await rate(CREATES, (i) =>
    call(server, 'PATCH', `${services}/s${String(i)}/status`, { status: { server: `n${from}` } }),
  );
  await Promise.all(watches);
  const seconds = (performance.now() - started) / 1000;
  stop.abort();
  return (CREATES * WATCHES) / seconds;
}

/** Resolves when a watch has brought an event for each object. */
async function watch(server: Server, path: string, stop: AbortController): Promise<void> {
  const response = await server.pool.request({ method: 'GET', path, headers: server.headers, signal: stop.signal });
  if (response.statusCode !== 200) throw new Error(`${server.name}: watch: ${response.statusCode}`);
  let lines = 0;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    for (const byte of chunk) if (byte === 10) lines++;
    if (lines >= CREATES) break;
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** The API alone, in a process of its own: no controller works on what the bench creates. */
async function startEmbedded(temporary: string): Promise<{ child: ChildProcess; kubeconfig: string }> {
  const state = join(temporary, 'state');
  const child = spawn(process.execPath, [join(root, 'test/support/api-server.ts'), state], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const kubeconfig = join(state, 'kubeconfig');
  for (let attempt = 0; !existsSync(kubeconfig); attempt++) {
    if (attempt > 200 || child.exitCode !== null) throw new Error('the embedded API did not write its kubeconfig');
    await delay(100);
  }
  return { child, kubeconfig };
}

/** The kubeconfig of a real control plane, and how to take it down again. */
async function startReal(temporary: string): Promise<{ kubeconfig: string; down: () => Promise<void> } | undefined> {
  const given = process.env['GRIDFERRY_TEST_KUBECONFIG'];
  if (given !== undefined) return { kubeconfig: given, down: () => Promise.resolve() };
  const up = resolve(root, '../shared/kube/up');
  if (!existsSync(up)) return undefined;
  const directory = join(temporary, 'kube');
  await run(up, directory);
  return { kubeconfig: join(directory, 'kubeconfig'), down: () => run(join(dirname(up), 'down'), directory) };
}

async function run(program: string, ...args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}`);
}

async function installCrds(server: Server): Promise<void> {
  const crds = createRequire(import.meta.url)('../src/api/crds.generated.json') as { metadata: { name: string } }[];
  for (const crd of crds) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd.metadata.name}`;
    await server.pool
      .request({
        method: 'PATCH',
        path: `${path}?fieldManager=bench&force=true`,
        headers: { ...server.headers, 'content-type': 'application/apply-patch+yaml' },
        body: JSON.stringify(crd),
      })
      .then((response) => response.body.text());
  }
  await delay(2_000);
}

const temporary = mkdtempSync(join(tmpdir(), 'gridferry-bench-'));
const real = await startReal(temporary);
if (real === undefined) {
  process.stderr.write('no real API server: set GRIDFERRY_TEST_KUBECONFIG\n');
  process.exit(1);
}
const embedded = await startEmbedded(temporary);
try {
  const servers = [connect('embedded', embedded.kubeconfig), connect('real', real.kubeconfig)] as const;
  await installCrds(servers[1]);
  const rates: Rates[][] = [[], []];
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, server] of servers.entries()) {
      const measured = await measure(server, round);
      // The first round warms both up.
      if (round > 0) rates[index]?.push(measured);
    }
  }
  process.stdout.write('per second (median)\tembedded\treal\tratio\tgoal\n');
  for (const what of ['creates', 'gets', 'lists', 'events'] as const) {
    const [ours, theirs] = rates.map((of) => median(of.map((each) => each[what]))) as [number, number];
    const title = { creates: 'creates', gets: 'gets', lists: 'lists of 1,000', events: 'watch events' }[what];
    const goal = ours / theirs >= 1 ? '≥ 1.0 met' : '≥ 1.0 MISSED';
    process.stdout.write(
      `${title}\t${ours.toFixed(0)}\t${theirs.toFixed(0)}\t${(ours / theirs).toFixed(2)}\t${goal}\n`,
    );
  }
  await Promise.all(servers.map(({ pool }) => pool.destroy()));
} finally {
  embedded.child.kill('SIGTERM');
  await once(embedded.child, 'exit');
  await real.down();
  rmSync(temporary, { recursive: true, force: true });
}

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { API_VERSION } from '../../../src/api/meta.ts';
import { Leases, Secrets } from '../../../src/api/core.ts';
import { GridferryError } from '../../../src/errors.ts';
import { ApiError } from '../../../src/home/api-error.ts';
import { connectCluster } from '../../../src/home/cluster/cluster-client.ts';
import type { ApiObservation } from '../../../src/home/cluster/exchange.ts';
import { createVirtualClock } from '../../support/virtual-clock.ts';
import { cutOff, hang, json, refuse, startScriptedApi, status, writeKubeconfig } from '../../support/scripted-api.ts';
import { widget, Widgets } from '../../support/widget.ts';

const A = { namespace: 'default', name: 'a' };
const PATH = `/apis/${API_VERSION}/namespaces/default/widgets`;

async function rejection(work: Promise<unknown>): Promise<GridferryError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof GridferryError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

async function apiError(work: Promise<unknown>): Promise<ApiError> {
  const error = await rejection(work);
  if (!(error instanceof ApiError)) throw error;
  return error;
}

void t.test('each verb is the request that kubectl would send', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  api.answer(json(widget('a')));
  await client.get(Widgets, A);
  await client.create(Widgets, widget('a'));
  await client.update(Widgets, widget('a'), { fieldManager: 'me', fieldValidation: 'Warn', dryRun: true });
  await client.updateStatus(Widgets, widget('a'));
  await client.patch(Widgets, A, { type: 'merge', body: { spec: {} } }, { subresource: 'status' });
  await client.patch(Widgets, A, { type: 'json', body: [] });
  await client.patch(Widgets, A, { type: 'apply', body: {}, force: true });
  await client.delete(Widgets, A, { propagationPolicy: 'Foreground', preconditions: { uid: 'u' }, dryRun: true });
  const strict = 'fieldManager=gridferry&fieldValidation=Strict';
  t.strictSame(
    api.seen.map(({ method, path, query, headers }) => [
      `${method} ${path}`,
      query.toString(),
      headers['content-type'] ?? '',
    ]),
    [
      [`GET ${PATH}/a`, '', ''],
      [`POST ${PATH}`, strict, 'application/json'],
      [`PUT ${PATH}/a`, 'fieldManager=me&fieldValidation=Warn&dryRun=All', 'application/json'],
      [`PUT ${PATH}/a/status`, strict, 'application/json'],
      [`PATCH ${PATH}/a/status`, strict, 'application/merge-patch+json'],
      [`PATCH ${PATH}/a`, strict, 'application/json-patch+json'],
      [`PATCH ${PATH}/a`, `${strict}&force=true`, 'application/apply-patch+yaml'],
      [`GET ${PATH}/a`, '', ''],
      [`DELETE ${PATH}/a`, '', 'application/json'],
    ],
  );
  t.same(JSON.parse(api.seen.at(-1)?.body ?? ''), {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    preconditions: { uid: 'u' },
    propagationPolicy: 'Foreground',
    dryRun: ['All'],
  });
  t.ok(api.seen.every(({ headers }) => headers['authorization'] === 'Bearer secret'));
});

void t.test('a list says where it is, and items of built-in kinds what they are', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  const metadata = { resourceVersion: '7', continue: 'next', remainingItemCount: 3 };
  api.answer(json({ kind: 'SecretList', metadata, items: [{ metadata: { name: 's', namespace: 'default' } }] }));
  const page = await client.list(Secrets, { namespace: 'default', labelSelector: 'a=b', limit: 1, continue: 'from' });
  t.same(page, {
    items: [{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' } }],
    ...metadata,
  });
  t.equal(api.seen[0]?.path, '/api/v1/namespaces/default/secrets');
  t.equal(api.seen[0]?.query.toString(), 'labelSelector=a%3Db&limit=1&continue=from');
  api.answer(json({ metadata: { resourceVersion: '8' }, items: null }));
  t.same(await client.list(Leases), { items: [], resourceVersion: '8' });
  t.equal(api.seen[1]?.path, '/apis/coordination.k8s.io/v1/leases');
});

void t.test('warnings and creations are told', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  const told: string[] = [];
  const options = { onWarning: (text: string) => told.push(text), onCreated: () => told.push('created') };
  api.answer(json(widget('a'), 201, { warning: ['299 - "unknown field \\"spec.x\\""', '299 - "a, b", 299 - "c"'] }));
  await client.patch(Widgets, A, { type: 'apply', body: {} }, options);
  t.same(told, ['unknown field "spec.x"', 'a, b', 'c', 'created']);
});

void t.test('warnings are told of what is refused, too', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  const told: string[] = [];
  api.answer(json(status(422, 'Invalid'), 422, { warning: '299 - "unknown field"' }));
  await apiError(client.create(Widgets, widget('a'), { onWarning: (text) => told.push(text) }));
  t.same(told, ['unknown field']);
});

void t.test('a refusal without a reason stays refused, unless the store behind the API was in trouble', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  for (const [message, reason, kind] of [
    ['failed to create typed patch object: .x: field not declared in schema', 'Unknown', 'terminal'],
    ['etcdserver: request timed out', 'InternalError', 'retryable'],
  ]) {
    api.answer(json(status(500, '', { message }), 500));
    t.match(await apiError(client.create(Widgets, widget('a'))), { reason, message, class: kind });
  }
});

void t.test('names that would lead to another resource are refused before anything is sent', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  for (const name of ['', '.', '..', 'a/status', 'a%2fb']) {
    t.equal((await apiError(client.get(Widgets, { namespace: 'default', name }))).reason, 'BadRequest');
  }
  t.equal((await apiError(client.get(Widgets, { namespace: '', name: 'a' }))).reason, 'BadRequest');
  t.equal(api.seen.length, 0);
});

void t.test("a refusal is the server's Status with its reason, causes and Retry-After", async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  const causes = [{ reason: 'FieldValueRequired', message: 'Required value', field: 'spec.size' }];
  api.answer(json(status(422, 'Invalid', { details: { name: 'a', kind: 'Widget', causes } }), 422));
  const invalid = await apiError(client.create(Widgets, widget('a')));
  t.match(invalid, { reason: 'Invalid', message: 'it says Invalid', class: 'terminal' });
  t.same(invalid.statusDetails.causes, causes);
  api.answer(refuse(409, 'Conflict'));
  t.match(await apiError(client.update(Widgets, widget('a'))), { reason: 'Conflict', class: 'conflict' });
  api.answer(refuse(410, 'Expired'));
  t.match(await apiError(client.list(Widgets)), { reason: 'Expired', code: 'GF_API_EXPIRED' });
  api.answer(json(status(500, 'ServerTimeout', { details: { retryAfterSeconds: 3 } }), 500));
  t.match(await apiError(client.get(Widgets, A)), { reason: 'Timeout', class: 'retryable', retryAfterMs: 3000 });
  api.answer((response) => response.writeHead(502).end('<html>\n bad gateway </html>'));
  t.match(await apiError(client.get(Widgets, A)), {
    reason: 'ServiceUnavailable',
    message: 'the server answered 502: <html> bad gateway </html>',
  });
  t.equal(api.seen.length, 5, 'none of them was sent twice');
});

void t.test('429 and 503 with Retry-After are asked again then, within the deadline', async (t) => {
  for (const [code, reason] of [
    [429, 'TooManyRequests'],
    [503, 'ServiceUnavailable'],
  ] as const) {
    const api = await startScriptedApi(t);
    const clock = createVirtualClock();
    const client = await api.connect({ clock });
    api.answer(refuse(code, reason, { 'retry-after': '7' }), json(widget('a'), 201));
    const created = client.create(Widgets, widget('a'));
    while (api.seen.length < 1 || clock.timers < 2) await clock.settle();
    await clock.advance(6_999);
    t.equal(api.seen.length, 1);
    await clock.advance(1);
    await created;
    t.equal(api.seen.length, 2);
    api.answer(refuse(code, reason, { 'retry-after': '31' }));
    t.match(await apiError(client.create(Widgets, widget('a'))), { reason, retryAfterMs: 31_000 });
    t.equal(api.seen.length, 3, 'what takes too long is left to the caller');
    api.answer(refuse(code, reason));
    t.match(await apiError(client.create(Widgets, widget('a'))), { reason });
    t.equal(api.seen.length, 4);
  }
});

void t.test('a write whose answer is lost is not sent again; a read is', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  api.answer(cutOff);
  t.match(await rejection(client.create(Widgets, widget('a'))), { code: 'GF_API_UNREACHABLE', class: 'retryable' });
  t.equal(api.seen.length, 1);
  api.answer(cutOff, json(widget('a')));
  t.equal((await client.get(Widgets, A)).metadata.name, 'a');
  t.equal(api.seen.length, 3);
  api.answer(
    (response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"metadata":', () => response.socket?.resetAndDestroy());
    },
    json(widget('a')),
  );
  t.equal((await client.get(Widgets, A)).metadata.name, 'a', 'nor does half an answer count');
  t.equal(api.seen.length, 5);
});

void t.test('a server that is not there yet is asked again, also to write', async (t) => {
  const api = await startScriptedApi(t);
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  const kubeconfig = writeKubeconfig(`${api.folder}/other`, `http://127.0.0.1:${port}`, {});
  const observed: ApiObservation[] = [];
  const client = await connectCluster({ kubeconfig, random: () => 0, onObservation: (one) => observed.push(one) });
  const error = await rejection(client.create(Widgets, widget('a')));
  t.match(error, { code: 'GF_API_UNREACHABLE', class: 'retryable' });
  t.match(error.message, /ECONNREFUSED/);
  t.same(
    observed.map(({ method, code }) => `${method} ${code}`),
    Array(4).fill('POST <error>'),
  );
  client.close();
});

void t.test('a call that is not answered ends at its deadline, or when its caller gives up', async (t) => {
  const api = await startScriptedApi(t);
  const clock = createVirtualClock();
  const client = await api.connect({ clock, deadlineMs: 5_000 });
  api.answer(hang);
  const write = rejection(client.withDeadline(2_000).create(Widgets, widget('a')));
  const read = rejection(client.list(Widgets));
  while (api.seen.length < 2) await clock.settle();
  await clock.advance(2_000);
  t.match(await write, { code: 'GF_API_TIMEOUT', class: 'retryable' });
  await clock.advance(3_000);
  t.match(await read, { code: 'GF_API_TIMEOUT' });
  const caller = new AbortController();
  const given = client.list(Widgets, { signal: caller.signal });
  caller.abort(new Error('never mind'));
  await t.rejects(given, /never mind/);
  t.equal(clock.timers, 0);
});

void t.test('what is no API server is told from one that refuses', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  for (const body of ['<html>Log in</html>', '{"metadata":', '"text"', '[]']) {
    api.answer((response) => response.end(body));
    t.match(await rejection(client.get(Widgets, A)), { code: 'GF_API_BAD_ANSWER', class: 'retryable' });
  }
  api.answer(json({ kind: 'WidgetList', items: [] }));
  t.match(await rejection(client.list(Widgets)), { code: 'GF_API_BAD_ANSWER' });
});

void t.test('calls share connections, and a watch takes none of theirs', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  const ports = new Set<number>();
  api.answer((response, request) => {
    ports.add(response.socket?.remotePort ?? 0);
    json(request.query.has('watch') ? {} : widget('a'))(response, request);
  });
  for (let i = 0; i < 20; i++) await client.get(Widgets, A);
  t.equal(ports.size, 1);
});

void t.test('close ends what is under way, and what comes later', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  api.answer(hang);
  const call = rejection(client.get(Widgets, A));
  while (api.seen.length === 0) await new Promise(setImmediate);
  client.close();
  t.match(await call, { code: 'GF_API_ERROR', reason: 'ServiceUnavailable' });
  t.match(await rejection(client.get(Widgets, A)), { reason: 'ServiceUnavailable' });
});

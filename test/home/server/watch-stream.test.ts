import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Services } from '../../../src/api/resources.ts';
import type { Service } from '../../../src/api/resources.ts';
import type { OpenedApi } from '../../support/api-server.ts';
import { createVirtualClock } from '../../support/virtual-clock.ts';
import {
  begin,
  CONFIG_MAPS,
  configMap,
  dial,
  openApi,
  patch,
  post,
  send,
  service,
  SERVICES,
  tokenOf,
  watch,
} from './wire.ts';
import type { WireEvent } from './wire.ts';

const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' };
const STREAMED = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';

async function next(events: AsyncGenerator<WireEvent>): Promise<WireEvent> {
  const { value, done } = await events.next();
  if (done === true) throw new Error('the watch ended');
  return value;
}

async function all(events: AsyncGenerator<WireEvent>): Promise<WireEvent[]> {
  const found: WireEvent[] = [];
  for await (const event of events) found.push(event);
  return found;
}

async function versionOf(api: OpenedApi): Promise<string> {
  return (await send(api, 'GET', SERVICES)).body.metadata.resourceVersion as string;
}

void t.test(
  'a watch tells what is there, then what happens, and from a version only what happened since',
  async (t) => {
    const api = await openApi(t);
    await post(api, SERVICES, service('a'));
    const version = await versionOf(api);
    const fromStart = watch(api, `${SERVICES}?watch=true`);
    t.match(await next(fromStart), { type: 'ADDED', object: { metadata: { name: 'a' } } });
    const since = watch(api, `${SERVICES}?watch=1&resourceVersion=${version}`);
    await patch(api, `${SERVICES}/a`, 'merge-patch+json', { spec: { container: 'd' } });
    await send(api, 'DELETE', `${SERVICES}/a`);
    for (const events of [fromStart, since]) {
      t.match(await next(events), { type: 'MODIFIED', object: { spec: { container: 'd' } } });
      t.match(await next(events), { type: 'DELETED', object: { kind: 'Service', metadata: { name: 'a' } } });
      await events.return(undefined);
    }
  },
);

void t.test('a watch ends by itself after timeoutSeconds', async (t) => {
  const api = await openApi(t);
  t.same(await all(watch(api, `${SERVICES}?watch=1&timeoutSeconds=1`)), []);
});

void t.test('a streamed list ends with a marked bookmark, at the version from which it goes on', async (t) => {
  const api = await openApi(t);
  for (const name of ['a', 'b']) await post(api, SERVICES, service(name));
  const events = watch(api, `${SERVICES}?${STREAMED}`);
  t.match([await next(events), await next(events)], [{ type: 'ADDED' }, { type: 'ADDED' }]);
  t.same(await next(events), {
    type: 'BOOKMARK',
    object: {
      kind: 'Service',
      apiVersion: 'gridferry.io/v1alpha1',
      metadata: { resourceVersion: await versionOf(api), annotations: { 'k8s.io/initial-events-end': 'true' } },
    },
  });
  await post(api, SERVICES, service('c'));
  t.match(await next(events), { type: 'ADDED', object: { metadata: { name: 'c' } } });
  await events.return(undefined);
});

void t.test('bookmarks come about every minute to who asked for them', async (t) => {
  const clock = createVirtualClock();
  // Whether the certificate is valid Node judges by the real time.
  clock.jump(Date.now() - clock.now());
  const api = await openApi(t, { clock });
  const marked = watch(api, `${SERVICES}?watch=1&allowWatchBookmarks=true&resourceVersion=1`);
  const plain = watch(api, `${SERVICES}?watch=1&resourceVersion=1`);
  const first = next(marked);
  const only = next(plain);
  // Another kind's changes move the version on.
  await post(api, CONFIG_MAPS, configMap('a'));
  let seen: WireEvent | undefined;
  void first.then((event) => (seen = event));
  while (seen === undefined) {
    await clock.advance(10_000);
    await delay(5);
  }
  t.match(seen, { type: 'BOOKMARK', object: { metadata: { resourceVersion: String } } });
  await post(api, SERVICES, service('a'));
  t.match(await only, { type: 'ADDED' }, 'the other one saw no bookmark before it');
  await marked.return(undefined);
  await plain.return(undefined);
});

void t.test('a table of a watch tells its columns once', async (t) => {
  const api = await openApi(t);
  await post(api, SERVICES, service('a'));
  const events = watch(api, `${SERVICES}?watch=1`, { headers: TABLE });
  const { object: first } = await next(events);
  t.match(first, { kind: 'Table', rows: [{ cells: ['a'], object: { kind: 'PartialObjectMetadata' } }] });
  t.match(first.columnDefinitions[0], { name: 'Name', format: 'name' });
  await post(api, SERVICES, service('b'));
  t.match((await next(events)).object, { columnDefinitions: null, rows: [{ cells: ['b'] }] });
  await events.return(undefined);
});

void t.test(
  'a version that fell out of the log is an ERROR event with a 410, and a selector that makes no sense a 400',
  async (t) => {
    const api = await openApi(t, { changeWindow: 10 });
    for (let i = 0; i < 30; i++) await post(api, SERVICES, service(`s${String(i)}`));
    const [event, ...rest] = await all(watch(api, `${SERVICES}?watch=1&resourceVersion=2`));
    t.match(event, { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
    t.same(rest, []);
    t.equal((await send(api, 'GET', `${SERVICES}?watch=1&labelSelector=a%3D%3D%3Db`)).code, 400);
    t.equal((await send(api, 'GET', `${SERVICES}?watch=1&resourceVersion=x`)).code, 400);
  },
);

void t.test('a selection sees objects come in and go out', async (t) => {
  const api = await openApi(t);
  const events = watch(api, `${SERVICES}?watch=1&labelSelector=x%3Dy&resourceVersion=1`);
  const first = next(events);
  await post(api, SERVICES, service('a'));
  await patch(api, `${SERVICES}/a`, 'merge-patch+json', { metadata: { labels: { x: 'y' } } });
  await patch(api, `${SERVICES}/a`, 'merge-patch+json', { metadata: { labels: { x: 'z' } } });
  t.equal((await first).type, 'ADDED');
  t.match(await next(events), { type: 'DELETED', object: { metadata: { labels: { x: 'y' } } } });
  await events.return(undefined);
});

void t.test('a client that never reads is cut off, costs next to no memory, and nobody else notices', async (t) => {
  const api = await openApi(t, { limits: { drainMs: 1500 } });
  const deaf = await dial(api);
  deaf.pause();
  deaf.write(`GET ${CONFIG_MAPS}?watch=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${tokenOf(api)}\r\n\r\n`);
  deaf.on('error', () => undefined);
  const attentive = watch(api, `${CONFIG_MAPS}?watch=1`);
  const large = 'x'.repeat(400_000);
  const before = process.memoryUsage();
  for (let i = 0; i < 60; i++) {
    await post(api, CONFIG_MAPS, configMap(`c${String(i)}`, { large }));
    t.equal((await next(attentive)).object.metadata.name, `c${String(i)}`);
  }
  const buffered = process.memoryUsage().arrayBuffers - before.arrayBuffers;
  t.ok(buffered < 20 * 1024 * 1024, `24 MB of events, ${String(buffered)} bytes more in buffers`);
  await attentive.return(undefined);
  // Without reading, only writing tells that the other side is gone. Empty lines between requests mean nothing.
  while (!deaf.closed) {
    deaf.write('\r\n');
    await delay(50);
  }
  t.equal((await send(api, 'GET', `${CONFIG_MAPS}?limit=1`)).code, 200);
});

void t.test('a slow client reads everything, from the log, however far it is behind', async (t) => {
  const api = await openApi(t);
  const stream = await begin(api, 'GET', `${CONFIG_MAPS}?watch=1`);
  const large = 'x'.repeat(200_000);
  for (let i = 0; i < 40; i++) await post(api, CONFIG_MAPS, configMap(`c${String(i).padStart(2, '0')}`, { large }));
  let text = '';
  for await (const part of stream as AsyncIterable<Buffer>) {
    text += part.toString();
    if (text.split('\n').length > 40) break;
    await delay(1);
  }
  const names = text
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as WireEvent).object.metadata.name as string);
  t.same(names, names.toSorted());
  t.equal(new Set(names).size, 40);
});

void t.test('what the program writes itself is seen over the wire, and the other way round', async (t) => {
  const api = await openApi(t);
  const events = watch(api, `${SERVICES}?watch=1`);
  const object = service('own', { namespace: 'default' }) as unknown as Service;
  await api.home.create(Services, object);
  t.equal((await next(events)).object.metadata.name, 'own');
  await send(api, 'DELETE', `${SERVICES}/own`);
  t.equal((await send(api, 'GET', `${SERVICES}/own`)).code, 404);
  await events.return(undefined);
});

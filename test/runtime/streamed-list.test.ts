import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { createReflector } from '../../src/runtime/reflector.ts';
import type { Reflector } from '../../src/runtime/reflector.ts';
import { cutOff, json, refuse, startScriptedApi, status, stream } from '../support/scripted-api.ts';
import type { ScriptedApi } from '../support/scripted-api.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import { widget, Widgets } from '../support/widget.ts';
import type { Widget } from '../support/widget.ts';

const INACTIVITY_MS = 60_000;

interface Scene {
  readonly api: ScriptedApi;
  readonly clock: VirtualClock;
  readonly reflector: Reflector<Widget>;
  readonly seen: string[];
  /** Lets time pass until so many requests came and were answered. */
  readonly requests: (count: number) => Promise<void>;
  readonly until: (condition: () => boolean) => Promise<void>;
}

async function setUp(t: Test): Promise<Scene> {
  const api = await startScriptedApi(t);
  const clock = createVirtualClock();
  const client = await api.connect({ clock });
  const shared = { client, clock, log: pino({ level: 'silent' }), random: () => 0.5, inactivityMs: INACTIVITY_MS };
  const reflector = createReflector({ ...shared, type: Widgets });
  const seen: string[] = [];
  reflector.subscribe((change) => {
    const initial = change.kind === 'added' && change.initial ? ' at first' : '';
    seen.push(`${change.kind} ${change.object.metadata.name}${initial}`);
  });
  t.teardown(() => reflector.stop());
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await clock.advance(10);
  };
  return { api, clock, reflector, seen, until, requests: (count) => until(() => api.seen.length >= count) };
}

function says(type: string, name: string, version: number): string {
  const object = widget(name);
  const metadata = { ...object.metadata, uid: `uid-${name}`, resourceVersion: String(version) };
  return `${JSON.stringify({ type, object: { ...object, metadata } })}\n`;
}

function end(version: number): string {
  const metadata = { resourceVersion: String(version), annotations: { 'k8s.io/initial-events-end': 'true' } };
  return `${JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Widget', metadata } })}\n`;
}

const expired = `${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`;

void t.test('the cache is filled by the watch, and complete when that says so', async (t) => {
  const { api, clock, reflector, seen, until } = await setUp(t);
  let say: (line: string) => void = () => undefined;
  api.answer((response, request) => {
    stream([says('ADDED', 'b', 9), says('ADDED', 'a', 3)])(response, request);
    say = (line) => response.write(line);
  });
  reflector.start();
  await until(() => seen.length === 2);
  t.equal(reflector.hasSynced(), false);
  say(end(9) + says('ADDED', 'c', 10) + says('DELETED', 'a', 11));
  await until(() => seen.length === 4);
  t.equal(reflector.hasSynced(), true);
  t.same(seen, ['added b at first', 'added a at first', 'added c', 'deleted a']);
  t.equal(api.seen.length, 1);
  t.match(reflector.stats, { lists: 1, watches: 1 });
  await clock.settle();
});

void t.test('a server that refuses to stream is read page by page', async (t) => {
  const { api, reflector, seen, requests } = await setUp(t);
  const item = { ...widget('a'), metadata: { ...widget('a').metadata, resourceVersion: '3' } };
  api.answer(refuse(422, 'Invalid'), json({ metadata: { resourceVersion: '7' }, items: [item] }), stream([]));
  reflector.start();
  await requests(3);
  t.equal(reflector.hasSynced(), true);
  t.same(seen, ['added a at first']);
  t.same(
    api.seen.map(({ query }) => [query.get('sendInitialEvents'), query.get('limit'), query.get('resourceVersion')]),
    [
      ['true', null, null],
      [null, '500', null],
      [null, null, '7'],
    ],
  );
});

void t.test('a server that never heard of streamed lists is read page by page once its silence shows it', async (t) => {
  const { api, clock, reflector, seen, requests, until } = await setUp(t);
  api.answer(stream([says('ADDED', 'a', 3)]), json({ metadata: { resourceVersion: '7' }, items: [] }), stream([]));
  reflector.start();
  await until(() => seen.length === 1);
  await clock.advance(INACTIVITY_MS);
  await requests(3);
  await until(() => reflector.hasSynced());
  t.same(seen, ['added a at first', 'deleted a']);
});

void t.test('a stream that is cut before its end is read again, and what is gone meanwhile is gone', async (t) => {
  const { api, reflector, seen, until } = await setUp(t);
  api.answer(
    stream([says('ADDED', 'a', 3), says('ADDED', 'b', 4)], { end: true }),
    cutOff,
    stream([says('ADDED', 'b', 4), says('ADDED', 'c', 5), end(6)]),
  );
  reflector.start();
  await until(() => reflector.hasSynced());
  t.same(seen, ['added a at first', 'added b at first', 'added c at first', 'deleted a']);
  t.equal(reflector.cache.size, 2);
});

void t.test('after a version that is too old everything is read again, and the difference told', async (t) => {
  const { api, clock, reflector, seen, until } = await setUp(t);
  api.answer(
    stream([says('ADDED', 'a', 3), says('ADDED', 'b', 4), end(6), expired]),
    stream([says('ADDED', 'b', 8), says('ADDED', 'd', 7), end(9)]),
  );
  reflector.start();
  await until(() => seen.length === 5);
  t.same(seen.slice(2), ['updated b', 'added d', 'deleted a']);
  await clock.settle();
});

void t.test('jumps of the wall clock are not noticed', async (t) => {
  const { api, clock, reflector, requests, until } = await setUp(t);
  api.answer(stream([end(6)]));
  reflector.start();
  await until(() => reflector.hasSynced());
  clock.jump(86_400_000);
  await clock.advance(INACTIVITY_MS / 2);
  clock.jump(-2 * 86_400_000);
  await clock.advance(INACTIVITY_MS / 3);
  t.equal(api.seen.length, 1, 'the watch is not taken for dead early');
  await clock.advance(INACTIVITY_MS);
  await requests(2);
});

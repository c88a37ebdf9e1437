import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { GridferryError } from '../../src/errors.ts';
import { ApiError } from '../../src/home/api-error.ts';
import { createReflector } from '../../src/runtime/reflector.ts';
import type { Reflector } from '../../src/runtime/reflector.ts';
import { createFakeClient } from '../support/fake-client.ts';
import type { FakeClient } from '../support/fake-client.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import { widget, Widgets } from '../support/widget.ts';
import type { Widget } from '../support/widget.ts';

const INACTIVITY_MS = 60_000;

interface Scene {
  readonly client: FakeClient;
  readonly clock: VirtualClock;
  readonly reflector: Reflector<Widget>;
  /** `added a 1`, `updated a 1>2`, `deleted a`. */
  readonly seen: string[];
}

function setUp(t: Test, options: { pageSize?: number; namespace?: string } = {}): Scene {
  const client = createFakeClient();
  const clock = createVirtualClock();
  const log = pino({ level: 'silent' });
  const shared = { client, clock, log, random: () => 0.5, inactivityMs: INACTIVITY_MS };
  const reflector = createReflector({ ...shared, type: Widgets, ...options });
  const seen: string[] = [];
  reflector.subscribe((change) => {
    const { name } = change.object.metadata;
    const size = change.object.spec.size;
    if (change.kind === 'added') seen.push(`added ${name} ${size}`);
    else if (change.kind === 'updated') seen.push(`updated ${name} ${change.old.spec.size}>${size}`);
    else seen.push(`deleted ${name}`);
  });
  t.teardown(() => reflector.stop());
  return { client, clock, reflector, seen };
}

async function resize(client: FakeClient, name: string, size: number): Promise<void> {
  await client.patch(Widgets, { namespace: 'default', name }, { type: 'merge', body: { spec: { size } } });
}

void t.test('it lists, says that it has synced, and follows every change from there', async (t) => {
  const { client, clock, reflector, seen } = setUp(t);
  await client.create(Widgets, widget('a'));
  t.equal(reflector.hasSynced(), false);
  reflector.start();
  await reflector.synced;
  await client.create(Widgets, widget('b'));
  await resize(client, 'a', 2);
  await client.delete(Widgets, { namespace: 'default', name: 'b' });
  await clock.settle();
  t.same(seen, ['added a 1', 'added b 1', 'updated a 1>2', 'deleted b']);
  t.equal(reflector.cache.get({ namespace: 'default', name: 'a' })?.spec.size, 2);
  t.equal(reflector.cache.size, 1);
  t.same(client.calls.list, 1);
});

void t.test('a list is read page by page, and one whose token expires is read in one piece', async (t) => {
  const { client, reflector } = setUp(t, { pageSize: 2 });
  for (const name of ['a', 'b', 'c', 'd', 'e']) await client.create(Widgets, widget(name));
  client.before('list', () => client.before('list', () => client.failNext('list', new ApiError('Expired', 'token'))));
  reflector.start();
  await reflector.synced;
  t.same(
    reflector.cache.list('default').map(({ metadata }) => metadata.name),
    ['a', 'b', 'c', 'd', 'e'],
  );
  t.equal(client.calls.list, 3);
});

void t.test('what the cache hands out is frozen to its leaves and carries no managedFields', async (t) => {
  const { client, reflector } = setUp(t);
  const object = widget('a');
  object.metadata.managedFields = [{ manager: 'kubectl' }];
  await client.create(Widgets, object);
  reflector.start();
  await reflector.synced;
  const cached = reflector.cache.get({ namespace: 'default', name: 'a' });
  t.equal(cached?.metadata.managedFields, undefined);
  t.throws(() => ((cached as Widget).spec.size = 9), TypeError);
});

void t.test(
  'a deletion during a gap is noticed by the list that follows, and so is a successor of the same name',
  async (t) => {
    const { client, clock, reflector, seen } = setUp(t);
    for (const name of ['a', 'b', 'c']) await client.create(Widgets, widget(name));
    reflector.start();
    await reflector.synced;
    await clock.settle();
    seen.length = 0;
    client.mute(true);
    await client.delete(Widgets, { namespace: 'default', name: 'a' });
    await client.delete(Widgets, { namespace: 'default', name: 'b' });
    await client.create(Widgets, widget('b', 7));
    await resize(client, 'c', 3);
    client.compact();
    client.mute(false);
    await clock.settle();
    t.same(seen, ['updated c 1>3', 'deleted b', 'added b 7', 'deleted a']);
    t.equal(client.calls.list, 2);
  },
);

void t.test('a version that is too old is answered by a list at once, several in a row by backing off', async (t) => {
  const { client, clock, reflector } = setUp(t);
  client.failNext('watch', new ApiError('Expired', 'too old'), 4);
  reflector.start();
  await clock.settle();
  t.equal(client.calls.list, 2);
  await clock.advance(10_000);
  t.equal(client.calls.list, 5);
  t.equal(client.openWatches, 1);
});

void t.test('after a dropped watch it goes on from where it was, without a list and without a repeat', async (t) => {
  const { client, clock, reflector, seen } = setUp(t);
  reflector.start();
  await reflector.synced;
  await client.create(Widgets, widget('a'));
  await clock.settle();
  client.dropWatches(new Error('ECONNRESET'));
  await client.create(Widgets, widget('b'));
  await clock.advance(1000);
  t.same(seen, ['added a 1', 'added b 1']);
  t.equal(client.calls.list, 1);
  t.equal(client.calls.watch, 2);
});

void t.test('a watch that ends as it should is opened again at once', async (t) => {
  const { client, clock, reflector } = setUp(t);
  reflector.start();
  await reflector.synced;
  await clock.advance(30_000);
  client.dropWatches();
  await clock.settle();
  t.equal(client.openWatches, 1);
});

void t.test('a server that closes every watch at once is not asked in a tight loop', async (t) => {
  const { client, clock, reflector } = setUp(t);
  reflector.start();
  await reflector.synced;
  for (let i = 0; i < 50; i++) {
    await clock.settle();
    client.dropWatches();
    await clock.advance(100);
  }
  t.ok(client.calls.watch < 10, `${client.calls.watch} watches in 5 s`);
});

void t.test('it waits as long as the server asks for', async (t) => {
  const { client, clock, reflector } = setUp(t);
  client.failNext('list', new ApiError('TooManyRequests', 'slow down', { retryAfterSeconds: 20 }));
  reflector.start();
  await clock.advance(19_000);
  t.equal(reflector.hasSynced(), false);
  await clock.advance(1000);
  t.equal(reflector.hasSynced(), true);
});

void t.test('a watch that falls silent is replaced, and the list in between heals what it missed', async (t) => {
  const { client, clock, reflector, seen } = setUp(t);
  reflector.start();
  await reflector.synced;
  client.mute(true);
  await client.create(Widgets, widget('a'));
  await clock.advance(INACTIVITY_MS - 1);
  t.same(seen, []);
  await clock.advance(1);
  t.same(seen, ['added a 1']);
  t.equal(client.openWatches, 1, 'the dead watch was closed');
});

void t.test('a bookmark keeps a quiet watch alive and is where the next one starts', async (t) => {
  const { client, clock, reflector } = setUp(t);
  reflector.start();
  await reflector.synced;
  for (let i = 0; i < 5; i++) {
    await clock.advance(INACTIVITY_MS / 2);
    client.bookmark();
    await clock.settle();
  }
  t.equal(client.calls.list, 1);
  t.equal(reflector.lastSyncMonotonic(), clock.monotonic());
});

void t.test('a list that is never answered is given up at the deadline and tried again', async (t) => {
  const { client, clock, reflector } = setUp(t);
  client.hang('list');
  reflector.start();
  await clock.advance(INACTIVITY_MS + 1000);
  t.equal(client.calls.list, 2);
  t.equal(reflector.hasSynced(), false);
  t.equal(reflector.lastSyncMonotonic(), undefined);
});

void t.test('a handler that throws is counted and hurts neither the others nor the watch', async (t) => {
  const { client, clock, reflector } = setUp(t);
  reflector.subscribe(() => {
    throw new Error('a bug');
  });
  const after: string[] = [];
  reflector.subscribe(({ object }) => after.push(object.metadata.name));
  reflector.start();
  await reflector.synced;
  await client.create(Widgets, widget('a'));
  await client.create(Widgets, widget('b'));
  await clock.settle();
  t.same(after, ['a', 'b']);
  t.equal(reflector.stats.handlerErrors, 2);
});

void t.test('a subscriber that comes late is told of what is there', async (t) => {
  const { client, reflector } = setUp(t);
  await client.create(Widgets, widget('a'));
  reflector.start();
  await reflector.synced;
  const seen: unknown[] = [];
  reflector.subscribe((change) => seen.push(change.kind, change.object.metadata.name));
  t.same(seen, ['added', 'a']);
});

void t.test('it looks at its own namespace only', async (t) => {
  const { client, clock, reflector, seen } = setUp(t, { namespace: 'mine' });
  reflector.start();
  await reflector.synced;
  await client.create(Widgets, widget('a', 1, 'mine'));
  await client.create(Widgets, widget('b', 1, 'other'));
  await clock.settle();
  t.same(seen, ['added a 1']);
});

void t.test('stop ends it whatever it waits for, and leaves no timer', async (t) => {
  for (const trouble of ['none', 'backoff', 'hanging list'] as const) {
    const { client, clock, reflector } = setUp(t);
    if (trouble === 'backoff') client.failNext('list', new GridferryError('GF_API_ERROR', 'down'), 100);
    if (trouble === 'hanging list') client.hang('list');
    reflector.start();
    await clock.settle();
    await reflector.stop();
    await clock.settle();
    t.equal(clock.timers, 0, trouble);
    t.equal(client.openWatches, 0, trouble);
  }
});

import { pino } from 'pino';
import t from 'tap';
import { Events } from '../../src/api/core.ts';
import type { EventObject } from '../../src/api/core.ts';
import { ApiError } from '../../src/home/api-error.ts';
import { pruneEvents } from '../../src/runtime/event-pruner.ts';
import { createEventRecorder } from '../../src/runtime/event-recorder.ts';
import type { EventRecorder, RecordedEvent } from '../../src/runtime/event-recorder.ts';
import { createFakeClient } from '../support/fake-client.ts';
import type { FakeClient } from '../support/fake-client.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import { widget } from '../support/widget.ts';

interface Scene {
  readonly client: FakeClient;
  readonly clock: VirtualClock;
  readonly recorder: EventRecorder;
  readonly tell: (name: string, message: string, more?: Partial<RecordedEvent>) => Promise<void>;
  readonly events: () => Promise<EventObject[]>;
}

function setUp(): Scene {
  const client = createFakeClient();
  const clock = createVirtualClock();
  const log = pino({ level: 'silent' });
  const recorder = createEventRecorder({ client, clock, log, random: () => 0.5, instance: 'host-1' });
  return {
    client,
    clock,
    recorder,
    async tell(name, message, more = {}) {
      const object = widget(name);
      object.metadata.uid = `uid-of-${name}`;
      recorder.record({ object, type: 'Normal', reason: 'Tested', message, component: 'widget', ...more });
      await recorder.flush();
      await clock.advance(1000);
    },
    events: async () => (await client.list(Events)).items,
  };
}

void t.test('an event is what kubectl describe expects', async (t) => {
  const { tell, events } = setUp();
  await tell('a', 'it moved');
  t.match(await events(), [
    {
      metadata: { name: /^a\.[0-9a-f]{16}$/, namespace: 'default' },
      involvedObject: { apiVersion: 'gridferry.io/v1alpha1', kind: 'Widget', name: 'a', uid: 'uid-of-a' },
      type: 'Normal',
      reason: 'Tested',
      message: 'it moved',
      count: 1,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      source: { component: 'widget' },
    },
  ]);
});

void t.test('the same event again counts up, another one is an event of its own', async (t) => {
  const { tell, events, recorder } = setUp();
  await tell('a', 'waiting');
  await tell('a', 'waiting');
  await tell('a', 'waiting', { type: 'Warning' });
  await tell('b', 'waiting');
  await tell('a', 'waiting');
  t.match(await events(), [
    { count: 3, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:00:04Z' },
    { count: 1, type: 'Warning' },
    { count: 1, involvedObject: { name: 'b' } },
  ]);
  t.equal(recorder.stats.posted, 5);
});

void t.test('an event that was pruned meanwhile is told anew', async (t) => {
  const { client, clock, tell, events } = setUp();
  await tell('a', 'waiting');
  await clock.advance(3_600_000);
  t.equal(await pruneEvents({ client, clock }), 1);
  await tell('a', 'waiting');
  t.match(await events(), [{ count: 1, firstTimestamp: '2026-01-01T01:00:01Z' }]);
});

void t.test('an object that tells too much is cut short, without silencing the others', async (t) => {
  const { clock, tell, events, recorder } = setUp();
  for (let i = 0; i < 100; i++)
    recorder.record({
      object: widget('a'),
      type: 'Normal',
      reason: 'Tested',
      message: `${i}`,
      component: 'widget',
    });
  await recorder.flush();
  await tell('b', 'me too');
  t.equal((await events()).length, 51);
  t.equal(recorder.stats.dropped, 50);
  await clock.advance(10_000);
  recorder.record({ object: widget('a'), type: 'Normal', reason: 'Tested', message: 'later', component: 'widget' });
  await recorder.flush();
  t.equal((await events()).length, 52);
});

void t.test('an API that refuses or is slow costs the event, nothing else', async (t) => {
  const { client, tell, events, recorder } = setUp();
  client.failNext('create', new ApiError('Forbidden', 'no events for you'));
  await tell('a', 'first');
  await tell('a', 'second');
  t.equal((await events()).length, 1);
  t.match(recorder.stats, { posted: 1, failed: 1 });
  client.hang('create');
  for (let i = 0; i < 3000; i++) {
    recorder.record({ object: widget(`w${i}`), type: 'Normal', reason: 'Tested', message: 'm', component: 'widget' });
  }
  t.ok(recorder.stats.dropped >= 1999, 'what waits is bounded');
});

void t.test('names and messages are cut to what the API takes', async (t) => {
  const { tell, events } = setUp();
  await tell(`${'a'.repeat(235)}.${'b'.repeat(17)}`, 'x'.repeat(5000));
  const [event] = await events();
  t.equal(event?.message.length, 1024);
  t.ok((event?.metadata.name.length ?? 999) <= 253);
  t.match(event?.metadata.name, /^a{235}\.[0-9a-f]+$/);
});

void t.test('pruning spares what happened again since it was listed, and what has no readable time', async (t) => {
  const { client, clock, tell, events } = setUp();
  await tell('a', 'old');
  await tell('b', 'old');
  const [a, b] = await events();
  await clock.advance(3_600_000);
  await client.update(Events, { ...b!, lastTimestamp: 'garbage' });
  client.before('delete', () =>
    client.patch(Events, { namespace: 'default', name: a!.metadata.name }, { type: 'merge', body: { count: 2 } }),
  );
  t.equal(await pruneEvents({ client, clock }), 0);
  t.equal((await events()).length, 2);
});

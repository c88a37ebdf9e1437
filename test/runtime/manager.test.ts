import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { Events, Secrets } from '../../src/api/core.ts';
import type { EventObject, Secret } from '../../src/api/core.ts';
import type { ObjectKey } from '../../src/api/meta.ts';
import { GridferryError } from '../../src/errors.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { Leadership } from '../../src/runtime/leadership.ts';
import { createManager } from '../../src/runtime/manager.ts';
import type { Manager, ManagerOptions } from '../../src/runtime/manager.ts';
import type { ControllerDefinition, ReconcileContext } from '../../src/runtime/reconciler.ts';
import { done, requeueAfter, retry, terminal } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import { createFakeClient } from '../support/fake-client.ts';
import type { FakeClient } from '../support/fake-client.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import { widget, Widgets } from '../support/widget.ts';
import type { Widget } from '../support/widget.ts';

type Behaviour = (object: Readonly<Widget>, context: ReconcileContext<Widget>) => Result | Promise<Result>;

interface Scene {
  readonly client: FakeClient;
  readonly clock: VirtualClock;
  readonly manager: Manager;
  /** The names in the order in which they were reconciled. */
  readonly visits: string[];
  readonly forgotten: string[];
  /** What the reconciler does from now on. */
  readonly behave: (behaviour: Behaviour) => void;
  readonly stored: (name: string) => Promise<Widget>;
  readonly events: () => Promise<EventObject[]>;
}

const HOUR_MS = 3_600_000;

async function setUp(
  t: Test,
  options: {
    behaviour?: Behaviour;
    definition?: Partial<ControllerDefinition<Widget>>;
    manager?: Partial<ManagerOptions>;
    existing?: readonly Widget[];
    start?: boolean;
  } = {},
): Promise<Scene> {
  const client = createFakeClient();
  const clock = createVirtualClock();
  const visits: string[] = [];
  const forgotten: string[] = [];
  let behaviour: Behaviour = options.behaviour ?? (() => done);
  const definition: ControllerDefinition<Widget> = {
    reconciler: {
      name: 'widget',
      type: Widgets,
      reconcile: async (object, context) => {
        visits.push(object.metadata.name);
        return behaviour(object, context);
      },
      forget: (key) => forgotten.push(key.name),
    },
    resyncMs: 10 * HOUR_MS,
    ...options.definition,
  };
  for (const object of options.existing ?? []) await client.create(Widgets, object);
  const manager = createManager({
    client,
    clock,
    log: pino({ level: 'silent' }),
    random: () => 0.5,
    controllers: [definition],
    ...options.manager,
  });
  t.teardown(async () => {
    const stopped = manager.stop();
    await clock.advance(60_000);
    await stopped;
    if (clock.timers > 0) throw new Error(`${clock.timers} timers are left behind`);
  });
  if (options.start !== false) {
    await manager.start();
    await clock.settle();
  }
  return {
    client,
    clock,
    manager,
    visits,
    forgotten,
    behave: (next) => (behaviour = next),
    stored: (name) => client.get(Widgets, at(name)),
    events: async () => (await client.list(Events)).items,
  };
}

const at = (name: string): ObjectKey => ({ namespace: 'default', name });

async function edit(client: FakeClient, name: string, body: Record<string, unknown>): Promise<void> {
  await client.patch(Widgets, at(name), { type: 'merge', body });
}

/** A reconcile that hangs until it is let go, and counts how many of them run at once. */
function gate(): { behaviour: Behaviour; open: (result?: Result) => void; most: number } {
  const { promise, resolve } = Promise.withResolvers<Result>();
  let running = 0;
  const self = {
    most: 0,
    open: (result: Result = done) => resolve(result),
    behaviour: async () => {
      self.most = Math.max(self.most, ++running);
      const result = await promise;
      running--;
      return result;
    },
  };
  return self;
}

const writeSize: Behaviour = (object, context) => {
  context.setStatus({ size: object.spec.size });
  return done;
};

void t.test('it reconciles what is there and what comes, and is idle afterwards', async (t) => {
  const { client, clock, manager, visits } = await setUp(t, { existing: [widget('a'), widget('b')] });
  t.same(visits, ['a', 'b']);
  await client.create(Widgets, widget('c'));
  await clock.settle();
  t.same(visits, ['a', 'b', 'c']);
  t.ok(manager.idle());
  t.same(
    manager.pending().delayed.map(({ controller, key, priority }) => [controller, key, priority]),
    ['a', 'b', 'c'].map((name) => ['widget', `default/${name}`, 'resync']),
  );
});

void t.test('it writes the status once, and the echo of its own write wakes nobody', async (t) => {
  const { client, clock, visits, stored } = await setUp(t, { behaviour: writeSize, existing: [widget('a', 3)] });
  await clock.settle();
  t.same((await stored('a')).status, { size: 3 });
  t.equal(client.calls.updateStatus, 1);
  t.same(visits, ['a']);
  await edit(client, 'a', { metadata: { labels: { again: 'please' } } });
  await clock.settle();
  t.same(visits, ['a', 'a']);
  t.equal(client.calls.updateStatus, 1, 'the same status is not written again');
});

void t.test('a spec change aborts the running reconcile, other metadata only queues the next', async (t) => {
  const { client, clock, behave, visits, manager } = await setUp(t);
  const signals: AbortSignal[] = [];
  behave(async (_object, { signal }) => {
    signals.push(signal);
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve());
      clock.after(1000, resolve);
    });
    signal.throwIfAborted();
    return done;
  });
  await client.create(Widgets, widget('a'));
  await clock.settle();
  await edit(client, 'a', { metadata: { annotations: { note: 'x' } } });
  await clock.settle();
  t.notOk(signals[0]?.aborted);
  await edit(client, 'a', { spec: { size: 2 } });
  await clock.settle();
  t.equal((signals[0]?.reason as GridferryError).code, 'GF_RECONCILE_SUPERSEDED');
  t.same(visits, ['a', 'a'], 'and it is reconciled again at once');
  await clock.advance(2000);
  t.ok(manager.idle());
  t.equal(manager.stats[0]?.errors, 0, 'being told to stop is no failure');
});

void t.test('a deletion aborts the running reconcile, and a gone object is forgotten once it has ended', async (t) => {
  const running = gate();
  const { client, clock, forgotten, manager } = await setUp(t, {
    existing: [widget('a')],
    behaviour: running.behaviour,
  });
  await client.delete(Widgets, at('a'));
  await clock.settle();
  t.same(forgotten, []);
  running.open();
  await clock.settle();
  t.same(forgotten, ['a']);
  t.same(manager.pending(), { running: [], ready: [], delayed: [] });
});

void t.test('a new object under an old name inherits nothing', async (t) => {
  const running = gate();
  const { client, clock, forgotten, visits } = await setUp(t, {
    existing: [widget('a')],
    behaviour: running.behaviour,
  });
  await client.delete(Widgets, at('a'));
  await client.create(Widgets, widget('a', 2));
  await clock.settle();
  running.open();
  await clock.settle();
  t.same(forgotten, ['a']);
  t.same(visits, ['a', 'a']);
});

void t.test('a failure backs off, a spec change is taken up at once and resets the backoff', async (t) => {
  const { client, clock, visits, manager } = await setUp(t, {
    existing: [widget('a')],
    behaviour: () => retry(new GridferryError('GF_TEST', 'not now', { class: 'retryable' })),
  });
  await clock.advance(60_000);
  const failures = visits.length;
  t.ok(failures >= 6 && failures <= 9, `${failures} tries in a minute`);
  const [pending] = manager.pending().delayed;
  t.equal(pending?.reason, 'not now');
  t.notOk(manager.idle());
  await edit(client, 'a', { spec: { size: 2 } });
  await clock.settle();
  t.equal(visits.length, failures + 1);
  t.equal(Math.round(manager.pending().delayed[0]?.dueInMs ?? 0), 250, 'the first delay again');
});

void t.test('a failure waits as long as the peer asked for', async (t) => {
  const { manager } = await setUp(t, {
    existing: [widget('a')],
    behaviour: () => retry(new GridferryError('GF_TEST', 'slow down', { class: 'retryable', retryAfterMs: 90_000 })),
  });
  t.equal(manager.pending().delayed[0]?.dueInMs, 90_000);
});

void t.test('a throw is a retry, and one that is no GridferryError is counted as a bug', async (t) => {
  const { clock, manager, visits } = await setUp(t, {
    existing: [widget('a')],
    behaviour: () => {
      throw new TypeError('x is not a function');
    },
  });
  await clock.advance(300);
  t.same(visits, ['a', 'a']);
  t.match(manager.stats[0], { panics: 2, outcomes: { error: 2 } });
});

void t.test('what was recorded before a throw is written all the same', async (t) => {
  const { stored } = await setUp(t, {
    existing: [widget('a')],
    behaviour: (_object, context) => {
      context.setStatus({ note: 'the source is stopped' });
      throw new Error('connection lost');
    },
  });
  t.same((await stored('a')).status, { note: 'the source is stopped' });
});

void t.test('a terminal failure is told in an event and waits for a change, not even a resync', async (t) => {
  const { client, clock, visits, manager, events } = await setUp(t, {
    existing: [widget('a')],
    behaviour: () => terminal(new GridferryError('GF_TEST', 'The name is taken; choose another.')),
  });
  await clock.advance(100 * HOUR_MS);
  t.same(visits, ['a']);
  const [event] = await events();
  t.match(event, {
    type: 'Warning',
    reason: 'ReconcileTerminated',
    message: 'The name is taken; choose another. (GF_TEST)',
    involvedObject: { kind: 'Widget', name: 'a', namespace: 'default' },
  });
  t.equal(manager.stats[0]?.terminalErrors, 1);
  t.ok(manager.idle());
  await edit(client, 'a', { spec: { size: 2 } });
  await clock.settle();
  t.same(visits, ['a', 'a']);
});

void t.test('requeueAfter comes back then, under its reason, and forgets earlier failures', async (t) => {
  const { clock, behave, manager, visits } = await setUp(t, {
    existing: [widget('a')],
    behaviour: () => retry(new Error('x')),
  });
  behave(() => requeueAfter(30_000, 'waiting for DNS'));
  await clock.advance(250);
  const [next] = manager.pending().delayed;
  t.match(next, { dueInMs: 30_000, reason: 'waiting for DNS', priority: 'retry' });
  behave(() => retry(new Error('x')));
  await clock.advance(30_000);
  t.equal(visits.length, 3);
  t.equal(manager.pending().delayed[0]?.dueInMs, 250);
});

void t.test('every object is looked at again within its resync interval, not all at the same time', async (t) => {
  let turn = 0;
  const { clock, visits } = await setUp(t, {
    existing: [widget('a'), widget('b')],
    definition: { resyncMs: 100_000 },
    manager: { random: () => (turn++ % 2 === 0 ? 0 : 0.9) },
  });
  await clock.advance(82_000);
  t.equal(visits.length, 3);
  await clock.advance(18_000);
  t.equal(visits.length, 4);
});

void t.test('one object is never reconciled twice at once, and no more of them than the concurrency', async (t) => {
  const running = gate();
  const existing = ['a', 'b', 'c', 'd', 'e'].map((name) => widget(name));
  const { client, clock, visits, manager } = await setUp(t, {
    existing,
    behaviour: running.behaviour,
    definition: { concurrency: 3 },
  });
  await edit(client, 'a', { spec: { size: 2 } });
  await clock.settle();
  t.same(visits, ['a', 'b', 'c']);
  t.equal(manager.stats[0]?.activeWorkers, 3);
  running.open();
  await clock.settle();
  t.equal(running.most, 3);
  t.same(visits.slice(3).sort(), ['a', 'd', 'e']);
});

void t.test('wake looks again at once, also when it comes during the reconcile or long after it', async (t) => {
  let wake = (): void => {};
  const { clock, behave, visits } = await setUp(t, {
    existing: [widget('a')],
    behaviour: (_object, context) => {
      wake = context.wake;
      return requeueAfter(60_000, 'a job runs');
    },
  });
  wake();
  await clock.settle();
  t.equal(visits.length, 2);
  behave((_object, context) => {
    behave(() => done);
    context.wake();
    return done;
  });
  wake();
  await clock.settle();
  t.equal(visits.length, 4);
});

void t.test('a conflict with a change of the spec keeps the status: it is put onto the newer version', async (t) => {
  const { client, clock, behave, stored } = await setUp(t);
  behave((object, context) => {
    if (object.spec.size === 1) client.before('updateStatus', () => edit(client, 'a', { spec: { size: 2 } }));
    context.setStatus({ note: `did ${object.spec.size}` });
    return done;
  });
  await client.create(Widgets, widget('a'));
  await clock.settle();
  t.same((await stored('a')).status, { note: 'did 2' });
  t.equal(client.calls.updateStatus, 3, 'the refused one, the rebased one, and the one for the new spec');
});

void t.test(
  'a status that somebody else wrote meanwhile is never overwritten: it is reconciled again from it',
  async (t) => {
    const read: unknown[] = [];
    const events: string[] = [];
    const { client, clock, behave, stored, manager } = await setUp(t);
    behave((object, context) => {
      read.push(object.status);
      context.setStatus({ size: 1, note: object.status?.note ?? 'mine' });
      context.afterWrite(() => events.push('after'));
      return done;
    });
    client.before('updateStatus', async () => {
      const current = await stored('a');
      await client.updateStatus(Widgets, { ...current, status: { note: 'theirs' } });
    });
    await client.create(Widgets, widget('a'));
    await clock.settle();
    t.same(read, [undefined, { note: 'theirs' }]);
    t.same((await stored('a')).status, { size: 1, note: 'theirs' });
    t.same(events, ['after'], 'what was not recorded had no consequences');
    t.match(manager.stats[0], { errors: 0, outcomes: { requeue: 1, success: 1 } });
  },
);

void t.test('an API that always answers 409 is not asked in a tight loop', async (t) => {
  const { client, clock, behave, manager } = await setUp(t);
  client.failNext('updateStatus', new ApiError('Conflict', 'modified'), 1000);
  behave(writeSize);
  await client.create(Widgets, widget('a'));
  await clock.advance(10_000);
  t.ok(client.calls.updateStatus < 100, `${client.calls.updateStatus} writes`);
  t.equal(manager.stats[0]?.errors, 0);
});

void t.test('a write whose answer was lost is recognised as done', async (t) => {
  const { client, clock, behave, stored, visits, manager } = await setUp(t);
  // The watch is down too: the cache still has the version from before the write.
  behave(writeSize);
  await client.create(Widgets, widget('a', 5));
  client.loseAnswer('updateStatus', new ApiError('Timeout', 'no answer'));
  client.before('updateStatus', () => client.mute(true));
  await clock.advance(1000);
  t.same((await stored('a')).status, { size: 5 });
  t.same(visits, ['a', 'a']);
  t.match(manager.stats[0], { errors: 1, outcomes: { error: 1, success: 1 } });
  t.equal(client.calls.updateStatus, 2, 'the second was refused as a conflict, and the fresh object had it already');
});

void t.test('the next reconcile sees what the last one wrote, even when the watch is behind', async (t) => {
  const read: unknown[] = [];
  const { client, clock, behave } = await setUp(t);
  behave((object, context) => {
    read.push(object.status?.size);
    context.setStatus({ size: (object.status?.size ?? 0) + 1 });
    client.mute(true);
    return read.length < 3 ? requeueAfter(10, 'next step') : done;
  });
  await client.create(Widgets, widget('a'));
  await clock.advance(1000);
  t.same(read, [undefined, 1, 2]);
  t.equal(client.calls.updateStatus, 3, 'without a conflict');
});

void t.test('events and callbacks follow the status write, and do not happen when it fails', async (t) => {
  const order: string[] = [];
  const { client, clock, behave, events, visits } = await setUp(t);
  client.failNext('updateStatus', new ApiError('ServiceUnavailable', 'the store is down'));
  behave((_object, context) => {
    context.event('Normal', 'Moved', 'moved');
    context.afterWrite(() => order.push(`after write ${client.calls.updateStatus}`));
    context.afterWrite(() => {
      throw new Error('a bug');
    });
    context.setStatus({ note: 'moved' });
    return done;
  });
  await client.create(Widgets, widget('a'));
  await clock.settle();
  t.same(order, []);
  t.same(await events(), []);
  await clock.advance(500);
  t.same(visits, ['a', 'a'], 'it is a retry');
  t.same(order, ['after write 2']);
  t.match(await events(), [{ type: 'Normal', reason: 'Moved', source: { component: 'widget' } }]);
});

void t.test('an object that is gone when its status is to be written is dropped', async (t) => {
  const { client, clock, behave, manager } = await setUp(t);
  behave(writeSize);
  client.before('updateStatus', () => client.delete(Widgets, at('a')));
  await client.create(Widgets, widget('a'));
  await clock.settle();
  t.same(manager.pending(), { running: [], ready: [], delayed: [] });
  t.equal(manager.stats[0]?.errors, 0);
});

void t.test('a thrown conflict is tried again at once and is no failure', async (t) => {
  const { clock, visits, manager, behave } = await setUp(t, { start: false, existing: [widget('a')] });
  behave(() => {
    behave(() => done);
    throw new ApiError('Conflict', 'the lease was modified');
  });
  await manager.start();
  await clock.settle();
  t.same(visits, ['a', 'a']);
  t.match(manager.stats[0], { errors: 0, panics: 0 });
});

void t.test('a reconcile past its deadline is aborted and backed off', async (t) => {
  const { clock, manager } = await setUp(t, {
    existing: [widget('a')],
    definition: { deadlineMs: 10_000 },
    behaviour: (_object, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  });
  await clock.advance(9_999);
  t.equal(manager.pending().running.length, 1);
  await clock.advance(1);
  t.match(manager.stats[0], { timeouts: 1, errors: 1, panics: 0 });
  t.match(manager.pending().delayed[0]?.reason, /took longer than 10 s/);
});

void t.test('a reconcile that ignores its signal keeps its key but not its worker', async (t) => {
  const stuck = gate();
  const { client, clock, behave, visits, manager } = await setUp(t, {
    existing: [widget('a')],
    behaviour: stuck.behaviour,
    definition: { deadlineMs: 10_000, concurrency: 1 },
  });
  behave(() => done);
  await client.create(Widgets, widget('b'));
  await edit(client, 'a', { spec: { size: 2 } });
  await clock.advance(19_999);
  t.same(visits, ['a']);
  await clock.advance(1);
  t.same(visits, ['a', 'b'], 'the others go on');
  t.match(manager.pending().running, [{ key: 'default/a', forMs: 20_000 }]);
  stuck.open();
  await clock.settle();
  t.same(visits, ['a', 'b', 'a'], 'and its own changes were not lost');
});

void t.test('stop lets running reconciles finish and takes up nothing new', async (t) => {
  const running = gate();
  const { client, clock, manager, visits, stored, behave } = await setUp(t, { definition: { concurrency: 1 } });
  behave(async (object, context) => {
    const result = await running.behaviour(object, context);
    t.notOk(context.signal.aborted);
    context.setStatus({ note: 'finished' });
    return result;
  });
  await client.create(Widgets, widget('a'));
  await client.create(Widgets, widget('b'));
  await clock.settle();
  let stopped = false;
  const stopping = manager.stop().then(() => (stopped = true));
  await clock.advance(1000);
  t.equal(stopped, false);
  t.notOk(manager.readiness().ready);
  running.open();
  await clock.settle();
  await stopping;
  t.same(visits, ['a']);
  t.same((await stored('a')).status, { note: 'finished' });
  t.equal(client.openWatches, 0);
});

void t.test('stop interrupts what outlasts the grace, and records what it had done', async (t) => {
  const { client, clock, manager, stored, behave } = await setUp(t, { manager: { graceMs: 5000 } });
  behave(async (_object, context) => {
    const { signal } = context;
    context.setStatus({ note: 'half done' });
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    return done;
  });
  await client.create(Widgets, widget('a'));
  await clock.settle();
  const stopping = manager.stop();
  await clock.advance(4999);
  t.equal((await stored('a')).status, undefined);
  await clock.advance(1);
  await stopping;
  t.same((await stored('a')).status, { note: 'half done' });
  t.equal(manager.stats[0]?.errors, 0);
});

void t.test('stop ends even when a reconcile never does', async (t) => {
  const { clock, manager } = await setUp(t, { existing: [widget('a')], behaviour: gate().behaviour });
  const stopping = manager.stop();
  await clock.advance(25_000);
  await stopping;
  t.equal(manager.pending().running.length, 1);
});

void t.test('stop before the caches are complete rejects start', async (t) => {
  const { client, clock, manager } = await setUp(t, { start: false });
  client.hang('list');
  const starting = manager.start();
  await clock.settle();
  await manager.stop();
  await t.rejects(starting, { code: 'GF_RUNTIME_STOPPED' });
  await t.rejects(manager.start(), { code: 'GF_RUNTIME_STOPPED' });
});

void t.test('a change of a watched kind reconciles the objects that it concerns, before and after', async (t) => {
  const secret = (target: string): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'default' },
    data: { target },
  });
  const { client, clock, visits } = await setUp(t, {
    existing: [widget('a'), widget('b')],
    definition: {
      watches: [
        { type: Secrets, toKeys: (object: Readonly<Secret>) => [at(object.data?.['target'] ?? ''), at('unknown')] },
      ] as ControllerDefinition['watches'] & object,
    },
  });
  visits.length = 0;
  await client.create(Secrets, secret('a'));
  await clock.settle();
  t.same(visits, ['a']);
  await client.update(Secrets, secret('b'));
  await clock.settle();
  t.same(visits, ['a', 'b', 'a']);
});

void t.test('a kind that several controllers look at is watched once', async (t) => {
  const reconcile = async (): Promise<Result> => done;
  const other: ControllerDefinition<Secret> = {
    reconciler: { name: 'secret', type: Secrets, reconcile },
    watches: [{ type: Widgets, toKeys: () => [] }],
  };
  const third: ControllerDefinition<Widget> = { reconciler: { name: 'widget', type: Widgets, reconcile } };
  const { client, manager } = await setUp(t, { manager: { controllers: [other, third] }, existing: [widget('a')] });
  t.equal(client.openWatches, 2);
  t.equal(manager.cache(Widgets).get(at('a'))?.spec.size, 1);
  t.same(manager.cache(Secrets).list('default'), []);
  t.throws(() => manager.cache(Events), { code: 'GF_RUNTIME_NOT_WATCHED' });
});

void t.test('a stale watch makes it not ready, and says which', async (t) => {
  const { client, clock, manager } = await setUp(t, { manager: { inactivityMs: 10_000 } });
  t.ok(manager.readiness().ready);
  client.mute(true);
  client.failNext('list', new ApiError('ServiceUnavailable', 'down'), 1000);
  await clock.advance(20_001);
  t.match(manager.readiness(), { ready: false, problems: [/widgets\.gridferry\.io\/v1alpha1 is stale.*20 s ago/] });
});

void t.test('a standby is warm and ready, begins when it is elected, and is interrupted when it loses', async (t) => {
  const lost = new AbortController();
  const elected = Promise.withResolvers<undefined>();
  const leader = { is: false };
  const leadership: Leadership = {
    isLeader: () => leader.is,
    epoch: () => 7,
    elected: elected.promise,
    lost: lost.signal,
  };
  const { client, clock, visits, manager } = await setUp(t, {
    existing: [widget('a')],
    manager: { leadership },
    behaviour: (_object, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  });
  await clock.advance(5000);
  t.same(visits, []);
  t.equal(manager.pending().ready.length, 1);
  t.ok(manager.readiness().ready);
  await client.create(Widgets, widget('b'));
  leader.is = true;
  elected.resolve(undefined);
  await clock.settle();
  t.same(visits, ['a', 'b']);
  leader.is = false;
  lost.abort();
  await clock.settle();
  t.same(manager.pending().running, []);
  t.match(manager.readiness(), { ready: false, problems: ['the lease was lost'] });
  await clock.advance(5000);
  t.same(visits, ['a', 'b']);
});

void t.test('a standby that is stopped never begins', async (t) => {
  const elected = Promise.withResolvers<undefined>();
  const leadership: Leadership = {
    isLeader: () => true,
    epoch: () => 1,
    elected: elected.promise,
    lost: new AbortController().signal,
  };
  const { clock, visits, manager } = await setUp(t, { existing: [widget('a')], manager: { leadership } });
  await manager.stop();
  elected.resolve(undefined);
  await clock.settle();
  t.same(visits, []);
});

void t.test('old events are pruned from a home that asks for it', async (t) => {
  const { clock, events } = await setUp(t, {
    existing: [widget('a')],
    manager: { pruneEvents: true },
    behaviour: (_object, context) => {
      context.event('Normal', 'Seen', 'seen');
      return done;
    },
  });
  await clock.advance(HOUR_MS - 1000);
  t.equal((await events()).length, 1);
  await clock.advance(HOUR_MS / 3);
  t.equal((await events()).length, 0);
});

void t.test('whatever fails in between, every status agrees with its spec in the end', async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed);
    const pick = (n: number): number => Math.floor(random() * n);
    const running = new Set<string>();
    const { client, clock, manager } = await setUp(t, {
      manager: { random, inactivityMs: 60_000 },
      behaviour: async (object, context) => {
        const { name } = object.metadata;
        if (running.has(name)) t.fail(`seed ${seed}: ${name} is reconciled twice at once`);
        running.add(name);
        try {
          if (pick(2) === 0) {
            await new Promise<void>((resolve, reject) => {
              clock.after(pick(3000), resolve);
              context.signal.addEventListener('abort', () => reject(context.signal.reason as Error));
            });
          }
          if (pick(5) === 0) throw new Error('flaky');
          context.setStatus({ size: object.spec.size });
          return pick(4) === 0 ? requeueAfter(pick(500), 'again') : done;
        } finally {
          running.delete(name);
        }
      },
    });
    const unavailable = new ApiError('ServiceUnavailable', 'down');
    const faults: (() => unknown)[] = [
      () => client.dropWatches(new Error('ECONNRESET')),
      () => client.dropWatches(),
      () => client.compact(),
      () => client.failNext('updateStatus', unavailable),
      () => client.loseAnswer('updateStatus', unavailable),
      () => client.failNext('watch', unavailable, 2),
      () => client.failNext('list', unavailable),
      () => client.failNext('get', unavailable),
      () => client.mute(true),
      () => client.mute(false),
    ];
    for (let step = 0; step < 80; step++) {
      const name = `w${pick(6)}`;
      const what = pick(10);
      try {
        if (what < 2) await client.create(Widgets, widget(name, pick(100)));
        else if (what < 5) await edit(client, name, { spec: { size: pick(100) } });
        else if (what < 6) await client.delete(Widgets, at(name));
        else faults[pick(faults.length)]?.();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
      await clock.advance(pick(800));
    }
    client.mute(false);
    await clock.advance(HOUR_MS / 3);
    const stored = (await client.list(Widgets)).items;
    for (const { metadata, spec, status } of stored) {
      if (status?.size !== spec.size)
        t.fail(`seed ${seed}: ${metadata.name} is ${status?.size ?? 'empty'}, not ${spec.size}`);
    }
    t.same(manager.pending().delayed.length, stored.length, `seed ${seed}: nothing is left but what exists`);
    t.ok(manager.idle());
  }
});

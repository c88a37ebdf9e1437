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

void t.test('whatever fails in between, every status agrees with its spec in the end', async (t) => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = seededRandom(seed); const T0=performance.now(); console.error('seed',seed);
    const pick = (n: number): number => Math.floor(random() * n);
    const running = new Set<string>();
    const { client, clock, manager, visits } = await setUp(t, {
      manager: { random, inactivityMs: 20_000 },
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
    console.error('healed'); for (let m=0;m<180;m++) { const b=performance.now(); await clock.advance(60_000); if (performance.now()-b>300) { console.error(m, clock.monotonic(), client.calls, JSON.stringify(manager.pending()), visits.length); break; } }
    const stored = (await client.list(Widgets)).items;
    for (const { metadata, spec, status } of stored) {
      if (status?.size !== spec.size)
        t.fail(`seed ${seed}: ${metadata.name} is ${status?.size ?? 'empty'}, not ${spec.size}`);
    }
    t.same(manager.pending().delayed.length, stored.length, `seed ${seed}: nothing is left but what exists`);
    t.ok(manager.idle()); console.error(seed, Math.round(performance.now()-T0), client.calls);
  }
});

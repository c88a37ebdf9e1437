import t from 'tap';
import { createBackoff } from '../../src/runtime/backoff.ts';
import { createWorkQueue, PRIORITIES } from '../../src/runtime/work-queue.ts';
import type { Priority, WorkQueue } from '../../src/runtime/work-queue.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

function setUp(): { queue: WorkQueue<string>; clock: VirtualClock } {
  const clock = createVirtualClock();
  const backoff = createBackoff({ random: () => 0.5, baseMs: 1000 });
  return { queue: createWorkQueue({ clock, backoff }), clock };
}

async function takeAll(queue: WorkQueue<string>): Promise<string[]> {
  const keys: string[] = [];
  while (queue.stats.depth.some((ready) => ready > 0)) {
    const item = await queue.next();
    if (item === undefined) break;
    keys.push(item.key);
    queue.done(item.key);
  }
  return keys;
}

void t.test('a key added often is ready once', async (t) => {
  const { queue } = setUp();
  queue.add('a');
  queue.add('b');
  queue.add('a');
  t.same(await takeAll(queue), ['a', 'b']);
  t.equal(queue.stats.adds, 2);
});

void t.test('a key added while it is worked on is ready again afterwards, and not before', async (t) => {
  const { queue } = setUp();
  queue.add('a');
  await queue.next();
  queue.add('a', 'resync');
  queue.add('a', 'change');
  t.same(queue.contents().ready, []);
  queue.done('a');
  t.same(queue.contents().ready, [{ key: 'a', priority: 'change' }]);
});

void t.test('changes go before retries and those before resyncs, each in the order of arrival', async (t) => {
  const { queue } = setUp();
  queue.add('r1', 'resync');
  queue.add('t1', 'retry');
  queue.add('r2', 'resync');
  queue.add('c1', 'change');
  queue.add('t2', 'retry');
  queue.add('c2', 'change');
  t.same(await takeAll(queue), ['c1', 'c2', 't1', 't2', 'r1', 'r2']);
});

void t.test('a key is promoted by an add of higher priority, never demoted', async (t) => {
  const { queue } = setUp();
  queue.add('a', 'retry');
  queue.add('b', 'resync');
  queue.add('b', 'change');
  queue.add('b', 'resync');
  t.same(await takeAll(queue), ['b', 'a']);
  t.same(queue.stats.depth, [0, 0, 0]);
});

void t.test('of several delays the earliest counts, with the higher priority', async (t) => {
  const { queue, clock } = setUp();
  queue.addAfter('a', 5000, { priority: 'retry', reason: 'failed' });
  queue.addAfter('a', 1000, { priority: 'resync', reason: 'resync' });
  queue.addAfter('a', 9000, { priority: 'change', reason: 'late' });
  t.same(queue.contents().delayed, [{ key: 'a', priority: 'change', dueInMs: 1000, reason: 'late' }]);
  await clock.advance(999);
  t.same(queue.contents().ready, []);
  await clock.advance(1);
  t.same(queue.contents().ready, [{ key: 'a', priority: 'change' }]);
  t.same(queue.contents().delayed, []);
});

void t.test('a plain add supersedes a pending delay', async (t) => {
  const { queue, clock } = setUp();
  queue.addAfter('a', 1000, { priority: 'retry', reason: 'failed' });
  queue.add('a');
  t.same(await takeAll(queue), ['a']);
  await clock.advance(5000);
  t.same(queue.contents(), { running: [], ready: [], delayed: [] });
});

void t.test('a delay that ends while its key is worked on makes it ready again afterwards', async (t) => {
  const { queue, clock } = setUp();
  queue.add('a');
  await queue.next();
  queue.addAfter('a', 100, { priority: 'retry', reason: 'failed' });
  await clock.advance(100);
  t.same(queue.contents().ready, []);
  queue.done('a');
  t.same(queue.contents().ready, [{ key: 'a', priority: 'retry' }]);
});

void t.test('a retry waits for its backoff or for what the peer asked for, whichever is longer', async (t) => {
  const { queue } = setUp();
  const retry = { reason: 'failed' };
  t.equal(queue.retry('a', retry), 500);
  t.equal(queue.retry('a', retry), 1000);
  t.equal(queue.retry('a', { ...retry, atLeastMs: 60_000 }), 60_000);
  t.equal(queue.failures('a'), 3);
  queue.forget('a');
  t.equal(queue.retry('a', retry), 500);
  t.equal(queue.stats.retries, 4);
});

void t.test('a delay that is not a number is refused, because it would spoil the heap', async (t) => {
  const { queue } = setUp();
  t.throws(() => queue.addAfter('a', Number.NaN, { priority: 'retry', reason: '' }), TypeError);
});

void t.test('waiting workers are served in the order in which they came', async (t) => {
  const { queue } = setUp();
  const first = queue.next();
  const second = queue.next();
  queue.add('a');
  queue.add('b');
  t.equal((await first)?.key, 'a');
  t.equal((await second)?.key, 'b');
});

void t.test('a shutdown drops what waits, frees the workers and ends when the last key is done', async (t) => {
  const { queue, clock } = setUp();
  queue.add('running');
  await queue.next();
  queue.add('ready');
  queue.addAfter('delayed', 1000, { priority: 'retry', reason: 'failed' });
  const idle = createWorkQueue<string>({ clock, backoff: createBackoff({ random: () => 0 }) });
  const waiter = idle.next();
  let drained = false;
  const drain = queue.shutDown().then(() => (drained = true));
  await idle.shutDown();
  t.equal(await waiter, undefined);
  queue.add('running');
  queue.add('late');
  await clock.settle();
  t.equal(drained, false);
  t.equal(await queue.next(), undefined);
  queue.done('running');
  await drain;
  t.same(queue.contents(), { running: [], ready: [], delayed: [] });
  t.equal(clock.timers, 0);
});

void t.test('the figures say how long keys waited and how long they were worked on', async (t) => {
  const { queue, clock } = setUp();
  queue.add('a');
  await clock.advance(2000);
  await queue.next();
  await clock.advance(3000);
  t.same(queue.stats.unfinishedMs(), [3000]);
  queue.done('a');
  t.equal(queue.stats.queueSeconds.sum, 2);
  t.equal(queue.stats.workSeconds.sum, 3);
});

/** The same queue, written as naively as possible: lists that are searched. */
function createModel(): {
  ready: { key: string; level: number }[];
  running: Map<string, number | undefined>;
  delayed: Map<string, { at: number; level: number }>;
  add(key: string, level: number): void;
  addAt(key: string, at: number, level: number): void;
  take(): string | undefined;
  done(key: string): void;
  tick(now: number): void;
} {
  const ready: { key: string; level: number }[] = [];
  const running = new Map<string, number | undefined>();
  const delayed = new Map<string, { at: number; level: number }>();
  const model = {
    ready,
    running,
    delayed,
    add(key: string, level: number) {
      delayed.delete(key);
      if (running.has(key)) {
        running.set(key, Math.min(level, running.get(key) ?? level));
        return;
      }
      const known = ready.findIndex((entry) => entry.key === key);
      if (known === -1) ready.push({ key, level });
      else if (level < (ready[known]?.level ?? 0)) {
        ready.splice(known, 1);
        ready.push({ key, level });
      }
    },
    addAt(key: string, at: number, level: number) {
      if (ready.some((entry) => entry.key === key) || running.get(key) !== undefined) return;
      const known = delayed.get(key) ?? { at, level };
      delayed.set(key, { at: Math.min(at, known.at), level: Math.min(level, known.level) });
    },
    take() {
      const best = Math.min(...ready.map((entry) => entry.level));
      const index = ready.findIndex((entry) => entry.level === best);
      if (index === -1) return undefined;
      const [entry] = ready.splice(index, 1);
      running.set(entry!.key, undefined);
      return entry!.key;
    },
    done(key: string) {
      const dirty = running.get(key);
      running.delete(key);
      if (dirty !== undefined) model.add(key, dirty);
    },
    tick(now: number) {
      const due = [...delayed].filter(([, { at }]) => at <= now).sort(([, a], [, b]) => a.at - b.at);
      for (const [key, { level }] of due) model.add(key, level);
    },
  };
  return model;
}

void t.test('whatever happens in whatever order, the queue does what the naive model does', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    const pick = (n: number): number => Math.floor(random() * n);
    const clock = createVirtualClock();
    const queue = createWorkQueue<string>({ clock, backoff: createBackoff({ random }) });
    const model = createModel();
    const usedTimes = new Set<number>();
    for (let step = 0; step < 400; step++) {
      const key = `k${pick(12)}`;
      const level = pick(3);
      const priority = PRIORITIES[level] as Priority;
      const what = pick(10);
      if (what < 3) {
        queue.add(key, priority);
        model.add(key, level);
      } else if (what < 5) {
        // Distinct times, so that the order in which delays end is defined.
        let at = clock.monotonic() + 1 + pick(200);
        while (usedTimes.has(at)) at++;
        usedTimes.add(at);
        queue.addAfter(key, at - clock.monotonic(), { priority, reason: 'test' });
        model.addAt(key, at, level);
      } else if (what < 7) {
        const expected = model.take();
        if (expected !== undefined) {
          const item = await queue.next();
          if (item?.key !== expected) t.fail(`seed ${seed}, step ${step}: ${item?.key ?? 'nothing'} for ${expected}`);
        }
      } else if (what < 9) {
        const keys = [...model.running.keys()];
        const ended = keys[pick(keys.length)];
        if (ended !== undefined) {
          queue.done(ended);
          model.done(ended);
        }
      } else {
        await clock.advance(pick(40));
        model.tick(clock.monotonic());
      }
      const { ready, running, delayed } = queue.contents();
      const seen = {
        ready: ready.map((item) => item.key),
        running: running.map((item) => item.key).sort(),
        delayed: delayed.map((item) => `${item.key}@${item.dueInMs + clock.monotonic()} ${item.priority}`),
      };
      const expected = {
        ready: [0, 1, 2].flatMap((l) => model.ready.filter((entry) => entry.level === l).map((entry) => entry.key)),
        running: [...model.running.keys()].sort(),
        delayed: [...model.delayed]
          .sort(([, a], [, b]) => a.at - b.at)
          .map(([k, { at, level: l }]) => `${k}@${at} ${PRIORITIES[l] ?? ''}`),
      };
      if (JSON.stringify(seen) !== JSON.stringify(expected)) {
        t.same(seen, expected, `seed ${seed}, step ${step}`);
        return;
      }
    }
    // It ends: every key that was ever added comes out, once nothing more is added.
    while (model.running.size > 0 || model.ready.length > 0 || model.delayed.size > 0) {
      for (const key of [...model.running.keys()]) {
        queue.done(key);
        model.done(key);
      }
      await clock.advance(500);
      model.tick(clock.monotonic());
      const expected = model.take();
      if (expected !== undefined) t.equal((await queue.next())?.key, expected);
    }
    t.same(queue.contents(), { running: [], ready: [], delayed: [] }, `seed ${seed} ends empty`);
  }
});

void t.test('ten thousand keys with delays cost a few microseconds each', async (t) => {
  const { queue, clock } = setUp();
  const random = seededRandom(7);
  const startedAt = performance.now();
  for (let i = 0; i < 10_000; i++)
    queue.addAfter(`k${i}`, 1 + random() * 1000, { priority: 'resync', reason: 'resync' });
  for (let i = 0; i < 10_000; i++) queue.add(`k${i}`, 'change');
  t.equal(new Set(await takeAll(queue)).size, 10_000);
  const each = ((performance.now() - startedAt) * 1000) / 10_000;
  t.comment(`${each.toFixed(2)} µs for a delay, an add, a take and a done`);
  t.ok(each < 200, 'far below anything quadratic');
  await clock.advance(1000);
  t.same(queue.contents().ready, []);
});

import { pino } from 'pino';
import t from 'tap';
import { Leases } from '../../src/api/core.ts';
import type { Lease } from '../../src/api/core.ts';
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { Client } from '../../src/home/client.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { createLeaderElection } from '../../src/runtime/leader-election.ts';
import type { LeaderElection } from '../../src/runtime/leader-election.ts';
import { createFakeClient } from '../support/fake-client.ts';
import type { FakeClient } from '../support/fake-client.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

const key = { namespace: 'gridferry', name: 'gridferry' };
const outage = new ApiError('ServiceUnavailable', 'no API today');

/** A process that stands for election: it can be frozen, and its way to the API can fail. */
interface Candidate extends LeaderElection {
  readonly name: string;
  /** As SIGSTOP: timers and answers wait, time goes on. */
  freeze(): void;
  thaw(): void;
  /** What becomes of its calls: answered; refused; writes done, but without an answer; never answered. */
  api: 'up' | 'refuses' | 'loses answers' | 'hangs';
}

interface World {
  readonly clock: VirtualClock;
  readonly api: FakeClient;
  join(name: string, wallClockOffsetMs?: number): Candidate;
  lease(): Promise<Lease>;
}

function createWorld(random: () => number = () => 0.5): World {
  const clock = createVirtualClock();
  const api = createFakeClient();
  /** The fake gives no creation time; the API server's own clock does. */
  const create: Client['create'] = (type, object) =>
    api.create(type, {
      ...object,
      metadata: {
        ...object.metadata,
        creationTimestamp: new Date(clock.now()).toISOString().replace(/\.\d+Z/, 'Z'),
      },
    });

  return {
    clock,
    api,
    lease: () => api.get(Leases, key),
    join(name, wallClockOffsetMs = 0) {
      let thawed = Promise.withResolvers<undefined>();
      let frozen = false;
      thawed.resolve(undefined);
      const own: Clock = {
        now: () => clock.now() + wallClockOffsetMs,
        monotonic: () => clock.monotonic() + 12_345,
        after(ms, callback) {
          let cancelled = false;
          const cancel = clock.after(ms, () => void thawed.promise.then(() => cancelled || callback()));
          return () => {
            cancelled = true;
            cancel();
          };
        },
      };
      const call = async <R>(kind: 'read' | 'write', work: () => Promise<R>): Promise<R> => {
        if (candidate.api === 'hangs') return new Promise(() => {});
        if (candidate.api === 'refuses') throw outage;
        const isLost = candidate.api === 'loses answers' && kind === 'write';
        const answer = await work().then(
          (value) => ({ value }),
          (error: unknown) => ({ error: error as Error }),
        );
        await thawed.promise;
        if (isLost) throw outage;
        if ('error' in answer) throw answer.error;
        return answer.value;
      };
      const client = {
        get: (type: ResourceType, at: typeof key) => call('read', () => api.get(type, at)),
        create: (type: ResourceType, object: KubeObject) => call('write', () => create(type, object)),
        update: (type: ResourceType, object: KubeObject) => call('write', () => api.update(type, object)),
      } as unknown as Client;
      const log = pino({ level: 'silent' });
      const election = createLeaderElection({ client, clock: own, random, log, lease: key, identity: name });
      const candidate: Candidate = {
        ...election,
        name,
        api: 'up',
        freeze() {
          if (frozen) return;
          frozen = true;
          thawed = Promise.withResolvers();
        },
        thaw() {
          frozen = false;
          thawed.resolve(undefined);
        },
      };
      candidate.start();
      return candidate;
    },
  };
}

void t.test('the first leads, the second waits; both say so', async (t) => {
  const { clock, join, lease } = createWorld();
  const first = join('first');
  await clock.advance(0);
  const second = join('second');
  await clock.advance(60_000);
  t.ok(first.isLeader());
  t.notOk(second.isLeader());
  const { spec, metadata } = await lease();
  t.match(spec, { holderIdentity: 'first', leaseDurationSeconds: 15, leaseTransitions: 0 });
  t.match(spec?.renewTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'a MicroTime, as the API server wants it');
  t.equal(first.epoch(), Math.floor(Date.parse(metadata.creationTimestamp!) / 1000) * 1_000_000);
  t.ok(Number.isSafeInteger(first.epoch()));
  await Promise.all([first.release(), second.release()]);
  t.equal(clock.timers, 0, 'no timer is left behind');
});

void t.test('a leader that dies is followed after its lease, by the count of whoever waits', async (t) => {
  // A wall clock a day behind and one a day ahead: nobody looks at them.
  const { clock, join, lease } = createWorld();
  const first = join('first', -86_400_000);
  await clock.advance(10_000);
  const second = join('second', 86_400_000);
  await clock.advance(5_000);
  first.freeze();
  await clock.advance(9_000);
  t.notOk(second.isLeader(), 'the lease has not run out');
  await clock.advance(2_000);
  t.notOk(first.isLeader(), 'the frozen one knows by its clock, though it could run nothing');
  t.notOk(first.lost.aborted);
  await clock.advance(10_000);
  t.ok(second.isLeader());
  t.equal(second.epoch(), first.epoch() + 1);
  t.equal((await lease()).spec?.leaseTransitions, 1);
  first.thaw();
  await clock.settle();
  t.ok(first.lost.aborted, 'it learns of it as soon as it runs again');
  await clock.advance(60_000);
  t.notOk(first.isLeader(), 'and never stands again');
  t.equal((await lease()).spec?.holderIdentity, 'second');
  await second.release();
});

void t.test('a hand-over takes no lease duration, and counts as a transition', async (t) => {
  const { clock, join, lease } = createWorld();
  const first = join('first');
  await clock.advance(1_000);
  const second = join('second');
  await clock.advance(4_000);
  await first.release();
  t.notOk(first.isLeader());
  t.notOk(first.lost.aborted, 'to hand over is not to lose');
  t.match((await lease()).spec, { holderIdentity: '', leaseDurationSeconds: 1 });
  await clock.advance(4_500);
  t.ok(second.isLeader());
  t.equal(second.epoch(), first.epoch() + 1);
  await second.release();
  t.equal(clock.timers, 0);
});

void t.test('a release waits for the renewal under way', async (t) => {
  const { clock, join, lease, api } = createWorld();
  const first = join('first');
  await clock.advance(1_000);
  const gate = Promise.withResolvers<undefined>();
  api.before('update', () => gate.promise);
  const renewal = first.confirm();
  const release = first.release();
  await clock.settle();
  gate.resolve(undefined);
  await Promise.all([renewal, release]);
  t.equal((await lease()).spec?.holderIdentity, '');
});

void t.test('without the API the leader gives up in time, and nobody else can lead either', async (t) => {
  for (const fault of ['refuses', 'hangs', 'loses answers'] as const) {
    const { clock, join } = createWorld();
    const first = join('first');
    await clock.advance(4_000);
    first.api = fault;
    await clock.advance(9_000);
    if (fault !== 'loses answers') t.ok(first.isLeader(), `${fault}: one missed renewal is no reason`);
    await clock.advance(3_100);
    t.notOk(first.isLeader(), fault);
    t.ok(first.lost.aborted, fault);
    t.match(first.lost.reason, { code: 'GF_LEADERSHIP_LOST' });
    const released = first.release();
    await clock.advance(10_000);
    await released;
    t.equal(clock.timers, 0, fault);
  }
});

void t.test('one lost answer costs nothing: the next try finds what it did', async (t) => {
  const { clock, join, lease } = createWorld();
  const first = join('first');
  first.api = 'loses answers';
  await clock.advance(1_000);
  t.notOk(first.isLeader(), 'it does not believe what it was not told');
  t.equal((await lease()).spec?.holderIdentity, 'first');
  first.api = 'up';
  await clock.advance(5_000);
  t.ok(first.isLeader());
  t.equal((await lease()).spec?.leaseTransitions, 0, 'nobody else led in between');
  first.api = 'loses answers';
  await clock.advance(3_000);
  first.api = 'up';
  await clock.advance(30_000);
  t.ok(first.isLeader());
  await first.release();
});

void t.test('of two that try at the same moment one wins', async (t) => {
  const { clock, join, api } = createWorld();
  const [first, second] = [join('first'), join('second')];
  await clock.advance(3_000);
  t.equal([first, second].filter((one) => one.isLeader()).length, 1);
  t.ok(api.calls.create >= 2, 'both have tried to make it');
  await Promise.all([first.release(), second.release()]);
});

void t.test('a leader whose Lease is deleted ends, and the next one has a higher epoch', async (t) => {
  const { clock, join, api } = createWorld();
  const first = join('first');
  const second = join('second');
  await clock.advance(30_000);
  const [leader, other] = first.isLeader() ? [first, second] : [second, first];
  await api.delete(Leases, key);
  await clock.advance(10_000);
  t.ok(leader.lost.aborted);
  t.ok(other.isLeader());
  t.ok(other.epoch() > leader.epoch());
  await other.release();
});

void t.test('a leader does not make its own Lease anew: who held a number may not keep it', async (t) => {
  const { clock, join, api } = createWorld();
  const only = join('only');
  await clock.advance(3_000);
  await api.delete(Leases, key);
  await clock.advance(3_000);
  t.ok(only.lost.aborted);
  await t.rejects(api.get(Leases, key), { code: 'GF_API_NOT_FOUND' });
});

void t.test('an election that was heard of too late is none, and no loss either', async (t) => {
  const { clock, join, lease, api } = createWorld();
  api.before('create', () => late.freeze());
  const late = join('late');
  await clock.advance(12_000);
  t.equal((await lease()).spec?.holderIdentity, 'late', 'it had been sent before');
  late.thaw();
  await clock.settle();
  t.notOk(late.isLeader());
  t.notOk(late.lost.aborted);
  await clock.advance(5_000);
  t.ok(late.isLeader(), 'the next try makes it good');
  await late.release();
});

void t.test('what loses its lease in the middle of a try does not renew it any more', async (t) => {
  const { clock, join, lease, api } = createWorld();
  const first = join('first');
  await clock.advance(3_000);
  first.api = 'refuses';
  await clock.advance(5_000);
  first.api = 'up';
  // Its next write meets a newer version, and the answer to the read that follows takes until after its end.
  const found = await lease();
  await api.update(Leases, { ...found, metadata: { ...found.metadata, labels: { touched: 'by somebody' } } });
  const answer = Promise.withResolvers<undefined>();
  api.before('get', () => answer.promise);
  while (!first.lost.aborted) await clock.advance(100);
  answer.resolve(undefined);
  await clock.settle();
  t.equal((await lease()).spec?.renewTime, found.spec?.renewTime);
});

void t.test('a Lease made anew within the same second does not repeat an epoch', async (t) => {
  const { clock, join, api } = createWorld();
  const first = join('first');
  await clock.advance(0);
  const second = join('second');
  await clock.advance(0);
  await api.delete(Leases, key);
  await second.confirm();
  t.ok(second.isLeader());
  t.equal(second.epoch(), first.epoch() + 1);
  await clock.advance(3_000);
  t.ok(first.lost.aborted);
  await second.release();
});

void t.test('confirm asks the API, whatever the clock says', async (t) => {
  const { clock, join, api, lease } = createWorld();
  const first = join('first');
  await clock.advance(1_000);
  t.ok(await first.confirm());
  const found = await lease();
  await api.update(Leases, { ...found, spec: { ...found.spec, holderIdentity: 'somebody' } });
  t.ok(first.isLeader(), 'it cannot know yet');
  t.notOk(await first.confirm());
  t.ok(first.lost.aborted);
});

void t.test(
  'whatever freezes, fails or gets lost: never do two lead at once, and each has a higher epoch',
  async (t) => {
    let elections = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed);
      const { clock, join } = createWorld(random);
      const reigns = new Map<Candidate, number>();
      let candidates = [0, 1, 2].map((index) => join(String(index), (random() - 0.5) * 1e9));
      let joined = candidates.length;
      for (let step = 0; step < 400; step++) {
        const one = candidates[Math.floor(random() * candidates.length)]!;
        const what = random();
        if (what < 0.04) one.freeze();
        else if (what < 0.12) one.thaw();
        else if (what < 0.2)
          one.api = (['refuses', 'loses answers', 'hangs', 'up'] as const)[Math.floor(random() * 4)]!;
        else if (what < 0.35) one.api = 'up';
        await clock.advance(Math.floor(random() * 1_500));
        const leaders = candidates.filter((candidate) => candidate.isLeader());
        if (leaders.length > 1) t.fail(`seed ${String(seed)}: ${leaders.map(({ name }) => name).join(' and ')} lead`);
        for (const leader of leaders.filter((candidate) => !reigns.has(candidate))) {
          const newest = Math.max(0, ...reigns.values());
          if (leader.epoch() <= newest) t.fail(`seed ${String(seed)}: epoch ${String(leader.epoch())} is not new`);
          reigns.set(leader, leader.epoch());
        }
        // Who has lost ends, and is started again as another.
        candidates = candidates.map((candidate) => (candidate.lost.aborted ? join(String(joined++)) : candidate));
      }
      elections += reigns.size;
      for (const candidate of candidates) {
        candidate.thaw();
        candidate.api = 'up';
      }
      await clock.advance(60_000);
      t.equal(
        candidates.filter((candidate) => candidate.isLeader()).length,
        1,
        `seed ${String(seed)}: one leads at last`,
      );
    }
    t.comment(`${String(elections)} elections`);
    t.ok(elections > 200, 'the faults have made leaders change');
  },
);

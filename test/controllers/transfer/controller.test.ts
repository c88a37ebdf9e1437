import t from 'tap';
import type { Test } from 'tap';
import { Leases } from '../../../src/api/core.ts';
import { ManagedServers, Transfers } from '../../../src/api/resources.ts';
import type { Transfer, TransferSpec } from '../../../src/api/resources.ts';
import { GridferryError } from '../../../src/errors.ts';
import { ApiError, isReason } from '../../../src/home/api-error.ts';
import type { Client } from '../../../src/home/client.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { findCondition } from '../../../src/runtime/conditions.ts';
import { createFakeClient } from '../../support/fake-client.ts';
import type { FakeClient } from '../../support/fake-client.ts';
import { temporaryHome } from '../../support/local-home.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import {
  changeSpec,
  clientWrites,
  createServers,
  modelPlan,
  newModel,
  onlineServer,
  startProcess,
  takesTime,
  transferOf,
} from '../../support/transfer-world.ts';
import type { Hook, Life, Model, TestProcess } from '../../support/transfer-world.ts';
import { createVirtualClock } from '../../support/virtual-clock.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

const key = { namespace: 'default', name: 'move' };

interface World {
  readonly client: FakeClient;
  readonly clock: VirtualClock;
  readonly model: Model;
  readonly process: TestProcess;
  get(): Promise<Transfer>;
  /** Lets time pass until it is so. */
  until(what: string, condition: (transfer: Transfer) => boolean, limitMs?: number): Promise<Transfer>;
  ended(): Promise<Transfer>;
  /** The process dies, and another one starts. */
  restart(): void;
}

async function world(t: Test, hook: Hook = () => undefined, spec: Partial<TransferSpec> = {}): Promise<World> {
  const client = createFakeClient();
  const clock = createVirtualClock();
  const model = newModel();
  await createServers(client);
  await client.create(Transfers, transferOf('move', spec));
  const start = (): TestProcess =>
    startProcess({ client, clock, random: seededRandom(1), plan: () => modelPlan(model, hook) });
  let process = start();
  t.teardown(() => process.kill());
  const get = (): Promise<Transfer> => client.get(Transfers, key);
  const made: World = {
    client,
    clock,
    model,
    get process() {
      return process;
    },
    get,
    async until(what, condition, limitMs = 300_000) {
      for (let waited = 0; waited <= limitMs; waited += 50) {
        const transfer = await get();
        if (condition(transfer)) return transfer;
        await clock.advance(50);
      }
      throw new Error(`${what} was not reached: ${JSON.stringify((await get()).status, null, 1)}`);
    },
    ended: () => made.until('the end', ({ status }) => status?.completionTime !== undefined),
    restart() {
      process.kill();
      process = start();
    },
  };
  return made;
}

/** Fails the first `times` times that this point is passed. */
function failing(point: string, error: Error, times = Infinity): Hook {
  let count = 0;
  return (passed) => {
    if (passed === point && count++ < times) throw error;
  };
}

const busy = new GridferryError('GF_TEST_BUSY', 'try again later.', { class: 'retryable' });
const broken = new GridferryError('GF_TEST_BROKEN', 'it is broken.');

function stateOf(transfer: Transfer, step: string): string | undefined {
  return transfer.status?.steps?.find(({ name }) => name === step)?.state;
}

async function isGone(read: Promise<unknown>): Promise<boolean> {
  return read.then(
    () => false,
    (error: unknown) => isReason(error, 'NotFound'),
  );
}

function conditionOf(transfer: Transfer, type: string): string {
  const found = findCondition(transfer.status?.conditions, type);
  return `${found?.status ?? ''} ${found?.reason ?? ''}`;
}

const back = { source: 'running', target: 'absent', dns: 'source', locked: false };
const moved = { source: 'stopped', target: 'running', dns: 'target', locked: false };

void t.test('a move that nothing disturbs', async (t) => {
  const { ended, model, client } = await world(t);
  const transfer = await ended();
  t.equal(transfer.status?.phase, 'Completed');
  t.equal(transfer.status?.progressPercent, 100);
  t.match(model, moved);
  t.equal(model.violations.length, 0);
  t.same(
    transfer.status?.steps?.map(({ state, attempts }) => `${state} ${attempts}`),
    Array<string>(10).fill('Done 1'),
    'every step was taken once',
  );
  t.same((await client.list(Leases)).items, [], 'the locks are given back');
  t.ok(transfer.status?.committedAt);
});

void t.test('a step that fails for a while is tried again, not before its pause is over', async (t) => {
  const times: number[] = [];
  const fail = failing('copy-final-delta/apply/before', busy, 2);
  const { ended, model, clock } = await world(t, (point, context) => {
    if (point === 'copy-final-delta/apply/before') times.push(clock.monotonic());
    return fail(point, context);
  });
  const transfer = await ended();
  t.equal(transfer.status?.phase, 'Completed');
  t.equal(transfer.status?.steps?.find(({ name }) => name === 'copy-final-delta')?.attempts, 3);
  t.match(model, moved);
  t.ok(times[1]! - times[0]! >= 500 && times[2]! - times[1]! >= 1000, `paused ${times.join(', ')}`);
});

void t.test("the peer's own Retry-After is waited for, also when something else wakes the transfer", async (t) => {
  const later = new GridferryError('GF_TEST_BUSY', 'later.', { class: 'retryable', retryAfterMs: 7000 });
  const times: number[] = [];
  const fail = failing('cut-over-dns/apply/before', later, 1);
  const { ended, until, client, clock } = await world(t, (point, context) => {
    if (point === 'cut-over-dns/apply/before') times.push(clock.monotonic());
    return fail(point, context);
  });
  await until('the failure', (transfer) => conditionOf(transfer, 'Succeeded') === 'Unknown Retrying');
  for (let i = 0; i < 3; i++) {
    const server = await client.get(ManagedServers, { namespace: 'default', name: 'alpha' });
    await client.updateStatus(ManagedServers, {
      ...server,
      status: { ...server.status, lastProbeTime: `${i}` },
    } as never);
    await clock.advance(100);
  }
  await ended();
  t.equal(times.length, 2);
  t.ok(times[1]! - times[0]! >= 7000, `waited ${times[1]! - times[0]!} ms`);
});

void t.test('a failure that cannot be helped undoes what was done, last first', async (t) => {
  const { ended, model } = await world(t, failing('start-target/apply/after', broken));
  const transfer = await ended();
  t.equal(transfer.status?.phase, 'Failed');
  t.match(transfer.status?.failure, { step: 'start-target', code: 'GF_TEST_BROKEN' });
  t.match(transfer.status?.message, /it is broken\. The source is as it was\.$/);
  t.match(model, back);
  t.equal(model.violations.length, 0);
  t.same(model.history.slice(-5), [
    'undo start-target',
    'undo copy-final-delta',
    'undo quiesce-source',
    'undo create-containers',
    'undo lock-servers',
  ]);
  t.equal(conditionOf(transfer, 'SourceRestored'), 'True AsBefore');
});

void t.test('a step that keeps failing is given up after its attempts', async (t) => {
  const { ended, model } = await world(t, failing('copy-final-delta/apply/before', busy));
  const transfer = await ended();
  t.equal(transfer.status?.phase, 'Failed');
  t.equal(transfer.status?.failure?.code, 'GF_TEST_BUSY');
  t.match(model, back);
});

void t.test('what was never begun is not undone', async (t) => {
  const { ended, model } = await world(t, failing('copy-final-delta/apply/before', broken));
  await ended();
  t.notOk(model.history.includes('undo start-target'), 'a dead target must not keep the source from coming back');
});

void t.test('an undo that fails is tried again, and is no success until it is done', async (t) => {
  let fails = true;
  const { until, ended, model } = await world(t, (point) => {
    if (point === 'release/apply/before' || point === 'check-local-health/apply/before') throw broken;
    if (point === 'create-containers/undo/before' && fails) throw busy;
  });
  const stuck = await until(
    'many tries',
    ({ status }) => (status?.logs ?? []).filter((line) => line.includes('undo of create-containers failed')).length > 8,
  );
  t.not(stuck.status?.phase, 'Failed', 'not over');
  t.equal(conditionOf(stuck, 'Succeeded'), 'False Undoing');
  t.equal(conditionOf(stuck, 'SourceRestored'), 'False UndoFailed');
  t.match(model, { source: 'running', locked: false }, 'the other steps were undone meanwhile');
  fails = false;
  const transfer = await ended();
  t.equal(transfer.status?.phase, 'Failed');
  t.match(model, back);
});

void t.test('nothing before a step that guards against two writers is undone while its undo fails', async (t) => {
  let fails = true;
  const { until, ended, model } = await world(t, (point) => {
    if (point === 'check-local-health/apply/before') throw broken;
    if (point === 'start-target/undo/before' && fails) throw busy;
  });
  await until(
    'many tries',
    ({ status }) => (status?.logs ?? []).filter((line) => line.includes('undo of start-target failed')).length > 5,
  );
  t.match(model, { source: 'stopped', target: 'running' });
  t.notOk(model.history.includes('undo quiesce-source'));
  fails = false;
  await ended();
  t.match(model, back);
  t.equal(model.violations.length, 0);
});

void t.test('a cancel ends the step that runs, and undoes', async (t) => {
  let aborted: unknown;
  const { until, ended, client, model } = await world(t, async (point, context) => {
    if (point !== 'copy-final-delta/apply/before') return;
    context.report((status) => void (status.bytesDone = 42));
    await takesTime(3_600_000, context).catch((error: unknown) => {
      aborted = error;
      throw error;
    });
  });
  await until('the copy', (transfer) => stateOf(transfer, 'copy-final-delta') === 'Running');
  await changeSpec(client, 'move', { cancel: true });
  const transfer = await ended();
  t.match(aborted, { code: 'GF_TRANSFER_CANCELLED' });
  t.equal(transfer.status?.phase, 'Cancelled');
  t.match(model, back);
  t.equal(transfer.status?.failure, undefined);
  t.equal(stateOf(transfer, 'capture-source'), 'Done');
});

void t.test('a cancel that comes before anything was begun touches nothing', async (t) => {
  const { ended, model } = await world(t, undefined, { cancel: true });
  t.equal((await ended()).status?.phase, 'Cancelled');
  t.same(model.history, []);
});

void t.test('a failure after the commit point leaves the service at the target, and says so', async (t) => {
  const { ended, model } = await world(t, failing('check-public-health/apply/before', broken));
  const transfer = await ended();
  t.equal(transfer.status?.phase, 'Failed');
  t.match(model, moved);
  t.equal(stateOf(transfer, 'release'), 'Done', 'it goes on');
  t.equal(conditionOf(transfer, 'Succeeded'), 'False VerificationFailed');
  t.match(transfer.status?.message, /runs on server beta, but step check-public-health failed/);
});

void t.test('a transfer whose service is at the target is not started again', async (t) => {
  const { ended, model, client, clock, get } = await world(t, failing('check-public-health/apply/before', broken));
  await ended();
  const before = model.history.length;
  await changeSpec(client, 'move', { retryToken: 'again' });
  await clock.advance(10_000);
  t.equal(model.history.length, before);
  t.equal((await get()).status?.phase, 'Failed');
  t.match(model, moved);
});

void t.test('a cancel after the commit point brings back what clients wrote at the target', async (t) => {
  const { until, ended, client, model } = await world(t, async (point, context) => {
    if (point === 'check-public-health/apply/before') await takesTime(60_000, context);
  });
  await until('the commit point', ({ status }) => status?.committedAt !== undefined);
  clientWrites(model);
  clientWrites(model);
  await changeSpec(client, 'move', { cancel: true });
  t.equal((await ended()).status?.phase, 'Cancelled');
  t.match(model, back);
  t.equal(model.sourceWrites, model.acknowledged);
});

void t.test('a suspended transfer takes no step until it goes on', async (t) => {
  const { clock, until, ended, client, model } = await world(t, async (point, context) => {
    if (point === 'create-containers/apply/before') await takesTime(2_000, context);
  });
  await until('a step', (transfer) => stateOf(transfer, 'create-containers') === 'Running');
  await changeSpec(client, 'move', { suspend: true });
  const waiting = await until(
    'the suspension',
    (transfer) => conditionOf(transfer, 'Succeeded') === 'Unknown Suspended',
  );
  t.equal(stateOf(waiting, 'create-containers'), 'Done', 'the step that ran was finished');
  await clock.advance(120_000);
  t.notOk(model.history.includes('quiesce-source'));
  await changeSpec(client, 'move', { suspend: false });
  t.equal((await ended()).status?.phase, 'Completed');
});

void t.test('a transfer deleted before the commit point is undone, and then gone', async (t) => {
  const { clock, until, client, model, get } = await world(t, async (point, context) => {
    if (point === 'start-target/apply/after') await takesTime(3_600_000, context);
  });
  await until('the start', (transfer) => stateOf(transfer, 'start-target') === 'Running');
  await client.delete(Transfers, key);
  await clock.advance(10_000);
  t.ok(await isGone(get()));
  t.match(model, back);
  t.same((await client.list(Leases)).items, []);
});

void t.test('a transfer deleted after the commit point is finished, suspended or not, and then gone', async (t) => {
  const { clock, until, client, model, get } = await world(t, async (point, context) => {
    if (point === 'check-public-health/apply/before') await takesTime(5_000, context);
  });
  await until('the commit point', ({ status }) => status?.committedAt !== undefined);
  await changeSpec(client, 'move', { suspend: true });
  await client.delete(Transfers, key);
  await clock.advance(20_000);
  t.ok(await isGone(get()));
  t.match(model, moved);
});

void t.test('a new retryToken starts a transfer anew and keeps the history', async (t) => {
  let fails = true;
  const { ended, until, client, model } = await world(t, (point) => {
    if (point === 'start-target/apply/before' && fails) throw broken;
  });
  await ended();
  fails = false;
  await changeSpec(client, 'move', { retryToken: '2' });
  const transfer = await until('the second end', ({ status }) => status?.phase === 'Completed');
  t.match(transfer.status?.attempts, [{ phase: 'Failed', message: /it is broken/ }]);
  t.equal(transfer.status?.attempts?.length, 1);
  t.equal(transfer.status?.failure, undefined);
  t.equal(transfer.status?.outcome, undefined);
  t.match(model, moved);
});

void t.test('a process that dies takes nothing with it: the next one goes on', async (t) => {
  for (const point of ['quiesce-source/apply/after', 'start-target/apply/after', 'cut-over-dns/apply/after']) {
    let died = false;
    const made: World = await world(t, async (passed) => {
      if (passed !== point || died) return;
      died = true;
      made.restart();
      await new Promise(() => undefined);
    });
    const transfer = await made.ended();
    t.ok(died, point);
    t.equal(transfer.status?.phase, 'Completed');
    t.match(made.model, moved);
    t.same(made.model.violations, []);
  }
});

void t.test('a start at the target that was never recorded is undone before the source starts', async (t) => {
  let died = false;
  const made: World = await world(t, async (passed) => {
    if (passed !== 'start-target/apply/after' || died) return;
    died = true;
    // It is cancelled while no process runs; the record still says that start-target was not begun.
    await changeSpec(made.client, 'move', { cancel: true });
    made.restart();
    await new Promise(() => undefined);
  });
  const transfer = await made.ended();
  t.equal(transfer.status?.phase, 'Cancelled');
  t.match(made.model, back);
  t.same(made.model.violations, []);
});

void t.test('an outcome is not taken for that of the next step when the answer to the write is lost', async (t) => {
  const made: World = await world(t, (point) => {
    if (point !== 'create-containers/apply/after') return;
    made.client.loseAnswer('updateStatus', new ApiError('Timeout', 'no answer'));
  });
  const transfer = await made.ended();
  t.equal(transfer.status?.phase, 'Completed');
  t.same(
    made.model.history,
    transfer.status?.steps?.map(({ name }) => name),
    'no step is left out',
  );
});

void t.test('two transfers of one thing take turns', async (t) => {
  const { clock, until, client } = await world(t, async (point, context) => {
    if (point === 'create-containers/apply/before') await takesTime(5_000, context);
  });
  await until('the first', (transfer) => stateOf(transfer, 'create-containers') === 'Running');
  await client.create(Transfers, transferOf('second'));
  await clock.advance(500);
  const second = await client.get(Transfers, { namespace: 'default', name: 'second' });
  t.equal(second.status?.phase, 'Pending');
  t.equal(conditionOf(second, 'LockAcquired'), 'False Waiting');
  t.match(second.status?.message, /waits for Transfer move, which holds web on server (alpha|beta); place 1/);
});

void t.test('what it refers to is waited for', async (t) => {
  const { client, clock, get, until } = await world(t, undefined, { targetServerRef: { name: 'gamma' } });
  await clock.advance(100);
  const waiting = await get();
  t.equal(conditionOf(waiting, 'Accepted'), 'False ServerNotFound');
  t.match(waiting.status?.message, /ManagedServer gamma does not exist: create it/);
  await client.create(ManagedServers, onlineServer('gamma'));
  await until('the end', ({ status }) => status?.phase === 'Completed', 5_000);
});

void t.test('the same on the real local home, in real time', async (t) => {
  const home = temporaryHome(t);
  const model = newModel();
  await createServers(home);
  for (const name of ['move', 'gone']) {
    await home.create(Transfers, transferOf(name, { container: name, ...(name === 'gone' ? { suspend: true } : {}) }));
  }
  const plan = modelPlan(model, () => undefined);
  const process = startProcess({ client: home, clock: systemClock, random: Math.random, plan: () => plan });
  t.teardown(() => process.manager.stop());
  const poll = async <T>(read: () => Promise<T>, ready: (value: T) => boolean): Promise<T> => {
    for (let i = 0; i < 400; i++) {
      const value = await read();
      if (ready(value)) return value;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('not reached');
  };
  const transfer = await poll(
    () => home.get(Transfers, key),
    ({ status }) => status?.phase === 'Completed',
  );
  t.match(model, moved);
  t.ok(transfer.metadata.finalizers?.length);
  await home.delete(Transfers, key);
  await home.delete(Transfers, { namespace: 'default', name: 'gone' });
  await poll(
    () => home.list(Transfers),
    ({ items }) => items.length === 0,
  );
  t.same((await home.list(Leases)).items, []);
});

/** What may go wrong in one schedule; all of it stops after a while, so that the transfer can end. */
interface Schedule {
  readonly client: Client;
  readonly model: Model;
  readonly clock: VirtualClock;
  readonly random: () => number;
}

async function runSchedule({ client, model, clock, random }: Schedule): Promise<Transfer | undefined> {
  let deaths = 0;
  let faults = 0;
  let life: Life | undefined;
  const limits = { deaths: Math.floor(random() * 6), faults: Math.floor(random() * 12) };
  const failureRate = random() * 0.2;
  const chance = (share: number): boolean => random() < share;
  const die = async (of: Life): Promise<void> => {
    if (of.dead) return new Promise(() => undefined);
    if (deaths >= limits.deaths || !chance(0.08)) return;
    deaths++;
    of.kill();
    await new Promise(() => undefined);
  };
  const planOf = (of: Life) =>
    modelPlan(model, async (point, context) => {
      await die(of);
      if (chance(0.3)) await takesTime(random() * 1500, context);
      await die(of);
      if (faults < limits.faults && chance(failureRate)) {
        faults++;
        const isUndo = point.includes('/undo/');
        throw chance(0.25) && !isUndo ? broken : busy;
      }
    });
  const onWrite = async (point: string, of: Life): Promise<void> => {
    await die(of);
    if (faults >= limits.faults || !chance(0.05)) return;
    faults++;
    throw new ApiError(point.endsWith('before') ? 'ServiceUnavailable' : 'Timeout', 'the API does not answer');
  };
  const start = (): TestProcess =>
    startProcess({
      client,
      clock,
      random,
      plan: (of) => {
        life = of;
        return planOf(of);
      },
      onWrite,
    });
  let process = start();
  const wish = random();
  const at = Math.floor(random() * 75);
  for (let turn = 0; turn < 3000; turn++) {
    clientWrites(model);
    if (turn === at) {
      if (wish < 0.25) await changeSpec(client, 'move', { cancel: true });
      else if (wish < 0.35) await client.delete(Transfers, key).catch(() => undefined);
      else if (wish < 0.45) await changeSpec(client, 'move', { suspend: true });
    }
    if (turn === at + 20 && wish >= 0.35 && wish < 0.45) await changeSpec(client, 'move', { suspend: false });
    await clock.advance(200);
    if (life?.dead === true) process = start();
    const transfer = await client.get(Transfers, key).catch((error: unknown) => {
      if (!isReason(error, 'NotFound')) throw error;
      return undefined;
    });
    const over = transfer === undefined || (transfer.status?.completionTime !== undefined && turn > at + 21);
    if (!over) continue;
    process.kill();
    return transfer;
  }
  process.kill();
  throw new Error(`it does not end: ${JSON.stringify((await client.get(Transfers, key)).status, null, 1)}`);
}

void t.test(
  'whatever dies whenever, one side runs, nothing acknowledged is lost, and it ends',
  { timeout: 180_000 },
  async (t) => {
    const ends = new Map<string, number>();
    const seeds = Number(process.env['GRIDFERRY_TEST_SCHEDULES'] ?? 250);
    for (let seed = 1; seed <= seeds; seed++) {
      const random = seededRandom(seed);
      const client = createFakeClient();
      const model = newModel();
      await createServers(client);
      await client.create(Transfers, transferOf('move'));
      const problems: string[] = [];
      let transfer: Transfer | undefined;
      try {
        transfer = await runSchedule({ client, model, clock: createVirtualClock(), random });
      } catch (error) {
        problems.push((error as Error).message);
      }
      const atTarget = model.target === 'running';
      const phase = transfer?.status?.phase ?? 'gone';
      problems.push(...model.violations);
      const state = { source: model.source, target: model.target, dns: model.dns, locked: model.locked };
      // Giving the marks back is a step like any other: when that fails for good after the commit point, they stay.
      const kept =
        transfer?.status?.steps?.some(({ name, state }) => name === 'release' && state === 'Failed') === true;
      const wanted = { ...(atTarget ? moved : back), ...(kept ? { locked: model.locked } : {}) };
      if (JSON.stringify(state) !== JSON.stringify(wanted)) problems.push(`left as ${JSON.stringify(state)}`);
      if (phase === 'Completed' && !atTarget) problems.push('completed, but not at the target');
      if (phase === 'Cancelled' && atTarget) problems.push('cancelled, but at the target');
      if (phase === 'Failed' && atTarget && transfer?.status?.committedAt === undefined)
        problems.push('at the target uncommitted');
      const stored = atTarget ? model.targetWrites : model.sourceWrites;
      if (stored < model.acknowledged) problems.push(`lost ${model.acknowledged - stored} writes`);
      if ((await client.list(Leases)).items.length > 0) problems.push('a lock is left');
      ends.set(
        `${phase}${atTarget ? ' at the target' : ''}`,
        (ends.get(`${phase}${atTarget ? ' at the target' : ''}`) ?? 0) + 1,
      );
      if (problems.length > 0) {
        t.fail(`seed ${seed}: ${problems.join('; ')}`, { history: model.history, status: transfer?.status });
        if (problems.length > 3) break;
      }
    }
    t.comment(JSON.stringify(Object.fromEntries(ends)));
    t.ok(ends.size >= 5, 'the schedules end in every way there is');
  },
);

import t from 'tap';
import { Events, Leases } from '../../../../src/api/core.ts';
import { ManagedServers, Transfers } from '../../../../src/api/resources.ts';
import type { Transfer } from '../../../../src/api/resources.ts';
import { GridferryError } from '../../../../src/errors.ts';
import { ApiError, isReason } from '../../../../src/home/api-error.ts';
import { findCondition } from '../../../../src/runtime/conditions.ts';
import { createFakeClient } from '../../../support/fake-client.ts';
import { modelChores, modelWayBack, rollbackWorld } from '../../../support/rollback-world.ts';
import type { RollbackWorld } from '../../../support/rollback-world.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
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
} from '../../../support/transfer-world.ts';
import type { Hook, Life, TestProcess } from '../../../support/transfer-world.ts';
import { createVirtualClock } from '../../../support/virtual-clock.ts';

t.setTimeout(180_000);

const broken = new GridferryError('GF_TEST_BROKEN', 'it is broken.');
const busy = new GridferryError('GF_TEST_BUSY', 'try again later.', { class: 'retryable' });

const moved = { source: 'stopped', target: 'running', dns: 'target', locked: false };
const back = { source: 'running', target: 'absent', dns: 'source', locked: false };

function conditionOf(transfer: Transfer, type: string): string {
  const found = findCondition(transfer.status?.conditions, type);
  return `${found?.status ?? ''} ${found?.reason ?? ''}`;
}

/** Fails the first `times` times that this point is passed. */
function failing(point: string, error: Error, times = Infinity): Hook {
  let count = 0;
  return (passed) => {
    if (passed === point && count++ < times) throw error;
  };
}

/** Holds a step up for an hour, or until it is told to end. */
const holding =
  (point: string): Hook =>
  async (passed, context) => {
    if (passed === point) await takesTime(3_600_000, context);
  };

function isRunning(step: string) {
  return ({ status }: Transfer): boolean =>
    status?.steps?.some(({ name, state }) => name === step && state === 'Running') === true;
}

async function eventsOf({ client }: RollbackWorld): Promise<string[]> {
  return (await client.list(Events)).items.map(({ reason }) => reason);
}

void t.test('data: Sync brings the service back with everything that was written since', async (t) => {
  const world = await rollbackWorld(t);
  const before = await world.ended('Completed');
  t.equal(before.status?.canRollback, true);
  t.equal(conditionOf(before, 'CanRollback'), 'True WithinWindow');
  for (let i = 0; i < 3; i++) clientWrites(world.model);
  await world.wish({ rollback: { data: 'Sync' } });
  const seen = new Set<string>();
  const transfer = await world.until('RolledBack', ({ status }) => {
    seen.add(status?.phase ?? '');
    return status?.phase === 'RolledBack';
  });
  t.match(world.model, back);
  t.same(world.model.violations, []);
  t.equal(world.model.sourceWrites, world.model.acknowledged);
  t.match(transfer.status?.rollback, { data: 'Sync', cause: 'User', outcome: 'RolledBack', committedAt: String });
  t.equal(transfer.status?.canRollback, false);
  t.equal(transfer.status?.progressPercent, 100);
  t.equal(conditionOf(transfer, 'RolledBack'), 'True RolledBack');
  t.equal(conditionOf(transfer, 'Succeeded'), 'False RolledBack');
  t.equal(conditionOf(transfer, 'CanRollback'), 'False AlreadyRolledBack');
  t.equal(conditionOf(transfer, 'Ready'), 'True RolledBack', 'it is as the spec says');
  t.match(transfer.status?.message, /the service runs on server alpha again/);
  t.same((await world.client.list(Leases)).items, [], 'the locks are given back');
  t.ok(
    [...seen].every((phase) =>
      ['Completed', 'Pending', 'Preparing', 'Uploading', 'Restoring', 'DNSCutover', 'Verifying', 'RolledBack'].includes(
        phase,
      ),
    ),
    [...seen].join(),
  );
  t.same(
    (await eventsOf(world)).filter((reason) => /Roll/.test(reason)),
    ['RollingBack', 'RolledBack'],
  );
});

void t.test('data: Discard starts the source as it was, and keeps what was written at the target', async (t) => {
  const world = await rollbackWorld(t);
  await world.ended('Completed');
  clientWrites(world.model);
  const [source, target] = [world.model.sourceWrites, world.model.targetWrites];
  await world.wish({ rollback: { data: 'Discard' } });
  const transfer = await world.ended('RolledBack');
  t.match(world.model, { ...back, target: 'created', sourceWrites: source, targetWrites: target });
  t.match(transfer.status?.message, /kept, stopped, on server beta/);
});

void t.test('while it is rolled back, users see the usual phases and that it is the way back', async (t) => {
  const world = await rollbackWorld(t, holding('return-final-delta/apply/before'));
  await world.ended('Completed');
  await world.wish({ rollback: { data: 'Sync' } });
  const transfer = await world.until('the delta', isRunning('return-final-delta'));
  t.equal(transfer.status?.phase, 'Restoring');
  t.match(transfer.status?.message, /^rolling back: step return-/);
  t.match(conditionOf(transfer, 'RolledBack'), 'Unknown InProgress');
  t.equal(conditionOf(transfer, 'Reconciling'), 'True RollingBack');
  t.equal(transfer.status?.canRollback, false);
  t.ok((transfer.status?.progressPercent ?? 100) < 100);
});

void t.test('what cannot be rolled back is refused with its reason, and nothing is touched', async (t) => {
  await t.test('before it is over; and it stays so until it is asked for again', async (t) => {
    const world = await rollbackWorld(t, undefined, { rollback: { data: 'Sync' } });
    const transfer = await world.ended('Completed');
    t.equal(conditionOf(transfer, 'RolledBack'), 'False NotCompleted');
    t.equal(conditionOf(transfer, 'Stalled'), 'True NotCompleted');
    await world.clock.advance(60_000);
    t.match(world.model, moved);
    t.equal((await eventsOf(world)).filter((reason) => reason === 'RollbackRefused').length, 1, 'said once');
    await world.wish({ rollback: null });
    await world.until('forgotten', (one) => conditionOf(one, 'RolledBack') === 'Unknown NotAskedFor');
    await world.wish({ rollback: { data: 'Sync' } });
    await world.ended('RolledBack');
    t.match(world.model, back);
  });
  await t.test('when the window is over', async (t) => {
    const world = await rollbackWorld(t, undefined, { rollbackWindow: '30s' });
    await world.ended('Completed');
    await world.clock.advance(31_000);
    await world.wish({ rollback: { data: 'Sync' } });
    const transfer = await world.until('the refusal', (one) => conditionOf(one, 'RolledBack') === 'False WindowOver');
    t.equal(transfer.status?.phase, 'Completed');
    t.equal(transfer.status?.rollback, undefined);
    t.match(world.model, moved);
    t.ok((await eventsOf(world)).includes('RollbackRefused'));
  });
  await t.test('twice', async (t) => {
    for (const again of [{ rollback: { data: 'Discard' } }, { retryToken: 'again' }] as const) {
      const world = await rollbackWorld(t);
      await world.ended('Completed');
      await world.wish({ rollback: { data: 'Sync' } });
      await world.ended('RolledBack');
      const steps = world.model.history.length;
      await world.wish(again);
      const said = await world.until(
        'the refusal',
        (one) => conditionOf(one, 'RolledBack') === 'True AlreadyRolledBack',
      );
      t.equal(said.status?.phase, 'RolledBack');
      t.equal(world.model.history.length, steps);
      t.match(world.model, back);
    }
  });
  await t.test('when it never moved', async (t) => {
    const world = await rollbackWorld(t, failing('start-target/apply/before', broken));
    await world.ended('Failed');
    await world.wish({ rollback: { data: 'Sync' } });
    await world.until('the refusal', (one) => conditionOf(one, 'RolledBack') === 'False NotMoved');
    t.match(world.model, back);
    t.equal((await world.get()).status?.canRollback, undefined);
  });
  await t.test('when another transfer has moved it on, or is about to', async (t) => {
    const world = await rollbackWorld(t);
    await world.ended('Completed');
    await world.client.create(ManagedServers, onlineServer('gamma'));
    const other = transferOf('on', {
      sourceServerRef: { name: 'beta' },
      targetServerRef: { name: 'gamma' },
      suspend: true,
    });
    const created = await world.client.create(Transfers, other);
    const status = { sourceServer: 'beta', startTime: new Date(world.clock.now()).toISOString() };
    const active = await world.client.updateStatus(Transfers, { ...created, status: { ...status, steps: [] } });
    await world.until('active', (one) => conditionOf(one, 'CanRollback') === 'False TransferActive');
    const latest = await world.client.get(Transfers, { namespace: 'default', name: active.metadata.name });
    const succeeded = {
      type: 'Succeeded',
      status: 'True' as const,
      reason: 'Completed',
      message: '',
      lastTransitionTime: status.startTime,
    };
    await world.client.updateStatus(Transfers, {
      ...latest,
      status: { ...status, committedAt: new Date(world.clock.now()).toISOString(), conditions: [succeeded] },
    });
    const gone = await world.until('moved on', (one) => conditionOf(one, 'CanRollback') === 'False MovedOn');
    t.equal(gone.status?.canRollback, false);
    await world.wish({ rollback: { data: 'Sync' } });
    await world.until('the refusal', (one) => conditionOf(one, 'RolledBack') === 'False MovedOn');
    t.match(world.model, moved);
  });
  await t.test('when the stopped source is not as it was left', async (t) => {
    const world = await rollbackWorld(t);
    await world.ended('Completed');
    world.stopped.found = 'SourceGone';
    const seen = await world.until('a look', (one) => conditionOf(one, 'CanRollback') === 'False SourceGone', 900_000);
    t.equal(seen.status?.canRollback, false);
    await world.wish({ rollback: { data: 'Sync' } });
    await world.until('the refusal', (one) => conditionOf(one, 'RolledBack') === 'False SourceGone');
    world.stopped.found = 'AsLeft';
    await world.ended('RolledBack');
    t.match(world.model, back, 'what was put right is seen');
  });
});

void t.test('canRollback turns false when the window ends, whoever is there to see it', async (t) => {
  const world = await rollbackWorld(t, undefined, { rollbackWindow: '1h' });
  t.equal((await world.ended('Completed')).status?.canRollback, true);
  await world.clock.advance(1_800_000);
  world.restart();
  await world.clock.advance(1_700_000);
  t.equal((await world.get()).status?.canRollback, true);
  await world.clock.advance(120_000);
  const over = await world.get();
  t.equal(over.status?.canRollback, false);
  t.equal(conditionOf(over, 'CanRollback'), 'False WindowOver');
});

void t.test('a server that is away is waited for, within the window', async (t) => {
  const world = await rollbackWorld(t);
  await world.ended('Completed');
  const server = await world.client.get(ManagedServers, { namespace: 'default', name: 'alpha' });
  await world.client.updateStatus(ManagedServers, { ...server, status: { phase: 'Offline' } } as never);
  await world.until('offline', ({ status }) => status?.canRollback === false);
  await world.wish({ rollback: { data: 'Sync' } });
  const waiting = await world.until('refused', (one) => conditionOf(one, 'RolledBack') === 'False ServerNotOnline');
  t.equal(conditionOf(waiting, 'Reconciling'), 'True ServerNotOnline');
  const again = await world.client.get(ManagedServers, { namespace: 'default', name: 'alpha' });
  await world.client.updateStatus(ManagedServers, { ...again, status: { phase: 'Online' } } as never);
  await world.ended('RolledBack');
  t.match(world.model, back);
});

void t.test('a rollback that fails is taken back: the service runs on at the target', async (t) => {
  for (const step of [
    'return-preflight',
    'return-precopy',
    'return-quiesce',
    'return-final-delta',
    'return-start',
    'return-health',
    'return-dns',
  ]) {
    const world = await rollbackWorld(t, failing(`${step}/apply/after`, broken, 1));
    await world.ended('Completed');
    clientWrites(world.model);
    await world.wish({ rollback: { data: 'Sync' } });
    const transfer = await world.until('the end', (one) => conditionOf(one, 'RolledBack') === 'False Failed');
    t.equal(transfer.status?.phase, 'Completed', step);
    t.match(world.model, moved, step);
    t.same(world.model.violations, []);
    t.equal(world.model.targetWrites, world.model.acknowledged);
    t.match(transfer.status?.rollback, { outcome: 'Failed', failure: { step, code: 'GF_TEST_BROKEN' } });
    t.equal(transfer.status?.failure, undefined, 'the move itself did not fail');
    t.equal(conditionOf(transfer, 'Stalled'), 'True Failed');
    t.same((await world.client.list(Leases)).items, []);
    const steps = world.model.history.length;
    const later = await world.until('canRollback', ({ status }) => status?.canRollback === true);
    await world.clock.advance(120_000);
    t.equal(world.model.history.length, steps, 'it is not begun again by itself');
    t.equal(later.status?.phase, 'Completed');
    await world.wish({ retryToken: `again ${step}` });
    await world.ended('RolledBack');
    t.match(world.model, back);
  }
});

void t.test('a rollback that failed is begun again when it is asked for again', async (t) => {
  const world = await rollbackWorld(t, failing('return-quiesce/apply/before', broken, 2));
  await world.ended('Completed');
  await world.wish({ rollback: { data: 'Sync' } });
  await world.until('failed', (one) => conditionOf(one, 'RolledBack') === 'False Failed');
  await world.wish({ rollback: { data: 'Discard' } });
  const refused = await world.until('refused', (one) => conditionOf(one, 'RolledBack') === 'False SourceOverwritten');
  t.match(findCondition(refused.status?.conditions, 'RolledBack')?.message, /only Sync is possible/);
  await world.wish({ rollback: null });
  const forgotten = await world.until('forgotten', ({ status }) => status?.rollback === undefined);
  t.notOk(forgotten.status?.steps?.some(({ name }) => name.startsWith('return-')));
  await world.wish({ rollback: { data: 'Sync' } });
  await world.until('failed again', (one) => conditionOf(one, 'RolledBack') === 'False Failed');
  await world.wish({ rollback: null });
  await world.until('forgotten again', ({ status }) => status?.rollback === undefined);
  await world.wish({ rollback: { data: 'Sync' } });
  await world.ended('RolledBack');
  t.match(world.model, back);
});

void t.test('once the name leads to the source again, a failure no longer takes it back', async (t) => {
  const world = await rollbackWorld(t, failing('return-clean-target/apply/before', broken));
  await world.ended('Completed');
  await world.wish({ rollback: { data: 'Sync' } });
  const transfer = await world.ended('RolledBack');
  t.match(world.model, { source: 'running', dns: 'source', target: 'created', locked: false });
  t.match(transfer.status?.message, /Step return-clean-target failed: .*it is broken/);
  t.equal(transfer.status?.rollback?.outcome, 'RolledBack');
});

void t.test('cancel, or taking the wish back, ends a rollback before its commit point', async (t) => {
  for (const wish of [{ cancel: true }, { rollback: null }, { rollback: { data: 'Discard' as const } }]) {
    let hold = true;
    const world = await rollbackWorld(t, async (point, context) => {
      if (hold && point === 'return-health/apply/before') await takesTime(3_600_000, context);
    });
    await world.ended('Completed');
    clientWrites(world.model);
    await world.wish({ rollback: { data: 'Sync' } });
    await world.until('the start', isRunning('return-health'));
    hold = false;
    await world.wish(wish);
    const transfer = await world.ended('Completed');
    t.match(world.model, moved, JSON.stringify(wish));
    t.same(world.model.violations, []);
    t.equal(world.model.targetWrites, world.model.acknowledged);
    t.not(transfer.status?.rollback?.outcome, 'RolledBack');
    if (!('cancel' in wish)) continue;
    t.equal(conditionOf(transfer, 'RolledBack'), 'False Cancelled');
    await world.wish({ cancel: false });
    await world.clock.advance(60_000);
    t.match(world.model, moved, 'it is not begun again by itself');
  }
});

void t.test('after its commit point a rollback is finished, cancelled or not', async (t) => {
  const world = await rollbackWorld(t, holding('return-clean-target/apply/before'));
  await world.ended('Completed');
  await world.wish({ rollback: { data: 'Sync' } });
  await world.until('the commit point', ({ status }) => status?.rollback?.committedAt !== undefined);
  await world.wish({ cancel: true });
  await world.clock.advance(3_700_000);
  t.equal((await world.ended('RolledBack')).status?.phase, 'RolledBack');
  t.match(world.model, back);
});

void t.test('a suspended rollback takes no step until it goes on', async (t) => {
  const world = await rollbackWorld(t, async (point, context) => {
    if (point === 'return-precopy/apply/before') await takesTime(2_000, context);
  });
  await world.ended('Completed');
  await world.wish({ rollback: { data: 'Sync' } });
  await world.until('the copy', isRunning('return-precopy'));
  await world.wish({ suspend: true });
  const waiting = await world.until('suspended', (one) => conditionOf(one, 'Succeeded') === 'Unknown Suspended');
  t.match(waiting.status?.message, /^rolling back: suspended before step return-quiesce/);
  await world.clock.advance(60_000);
  t.equal(world.model.target, 'running');
  await world.wish({ suspend: false });
  await world.ended('RolledBack');
});

void t.test('a transfer that is deleted while it is rolled back is rolled back, and then gone', async (t) => {
  const world = await rollbackWorld(t, async (point, context) => {
    if (point === 'return-final-delta/apply/before') await takesTime(2_000, context);
  });
  await world.ended('Completed');
  await world.wish({ rollback: { data: 'Sync' } });
  await world.until('the delta', isRunning('return-final-delta'));
  await world.client.delete(Transfers, { namespace: 'default', name: 'move' });
  await world.clock.advance(30_000);
  t.ok(
    await world.get().then(
      () => false,
      (error: unknown) => isReason(error, 'NotFound'),
    ),
  );
  t.match(world.model, back);
});

void t.test('a process that dies at any instant of a rollback takes nothing with it', async (t) => {
  const steps = [
    'return-preflight',
    'return-lock',
    'return-precopy',
    'return-quiesce',
    'return-final-delta',
    'return-start',
    'return-health',
    'return-dns',
    'return-clean-target',
    'return-release',
  ];
  const points = steps.flatMap((step) => ['before', 'after'].map((side) => `${step}/apply/${side}`));
  for (const point of points) {
    let died = false;
    const world: RollbackWorld = await rollbackWorld(t, async (passed) => {
      if (passed !== point || died) return;
      died = true;
      world.restart();
      await new Promise(() => undefined);
    });
    await world.ended('Completed');
    clientWrites(world.model);
    await world.wish({ rollback: { data: 'Sync' } });
    await world.ended('RolledBack');
    t.ok(died, point);
    t.match(world.model, back, point);
    t.equal(world.model.sourceWrites, world.model.acknowledged);
    t.same(world.model.violations, []);
  }
});

void t.test('and neither does one that dies while a rollback is taken back', async (t) => {
  for (const point of [
    'return-start/undo/before',
    'return-start/undo/after',
    'return-final-delta/undo/after',
    'return-quiesce/undo/before',
    'return-quiesce/undo/after',
    'return-lock/undo/after',
  ]) {
    let died = false;
    const world: RollbackWorld = await rollbackWorld(t, async (passed) => {
      if (passed === 'return-health/apply/before') throw broken;
      if (passed !== point || died) return;
      died = true;
      world.restart();
      await new Promise(() => undefined);
    });
    await world.ended('Completed');
    clientWrites(world.model);
    await world.wish({ rollback: { data: 'Sync' } });
    await world.until('the end', (one) => conditionOf(one, 'RolledBack') === 'False Failed');
    t.ok(died, point);
    t.match(world.model, moved, point);
    t.equal(world.model.targetWrites, world.model.acknowledged);
    t.same(world.model.violations, []);
  }
});

void t.test('an undo of a rollback that fails is tried again, and says so', async (t) => {
  let fails = true;
  const world = await rollbackWorld(t, (point) => {
    if (point === 'return-health/apply/before') throw broken;
    if (point === 'return-start/undo/before' && fails) throw busy;
  });
  await world.ended('Completed');
  await world.wish({ rollback: { data: 'Sync' } });
  const stuck = await world.until('stuck', (one) => conditionOf(one, 'RolledBack') === 'False UndoFailed');
  t.equal(conditionOf(stuck, 'Reconciling'), 'True Undoing');
  t.match(world.model, { source: 'running', target: 'created' }, 'the target is not started beside it');
  fails = false;
  await world.until('the end', (one) => conditionOf(one, 'RolledBack') === 'False Failed');
  t.match(world.model, moved);
});

void t.test('a transfer that failed after the commit point can be rolled back as well', async (t) => {
  const world = await rollbackWorld(t, failing('check-public-health/apply/before', broken));
  const failed = await world.ended('Failed');
  t.equal(failed.status?.canRollback, true);
  clientWrites(world.model);
  await world.wish({ rollback: { data: 'Sync' } });
  await world.ended('RolledBack');
  t.match(world.model, back);
  t.equal(world.model.sourceWrites, world.model.acknowledged);
});

void t.test('a service that fails after the cutover returns by itself, with its data, if that is wanted', async (t) => {
  const world = await rollbackWorld(
    t,
    (point) => {
      if (point !== 'check-public-health/apply/before') return;
      clientWrites(world.model);
      throw broken;
    },
    { onSoakFailure: 'Rollback' },
  );
  const transfer = await world.ended('RolledBack');
  t.match(world.model, back);
  t.equal(world.model.sourceWrites, world.model.acknowledged);
  t.match(transfer.status?.rollback, { cause: 'SoakFailure', data: 'Sync', outcome: 'RolledBack' });
  t.equal(conditionOf(transfer, 'Stalled'), 'True RolledBack', 'the move is not as the spec says');
  t.match(transfer.status?.message, /runs on server alpha again\. It failed after the cutover: .*it is broken/);
  t.same((await world.client.list(Leases)).items, []);
});

void t.test('when that return fails, too, the service stays at the target and the move is finished', async (t) => {
  const world = await rollbackWorld(
    t,
    (point) => {
      if (point === 'check-public-health/apply/before' || point === 'return-health/apply/before') throw broken;
    },
    { onSoakFailure: 'Rollback' },
  );
  const transfer = await world.ended('Failed');
  t.match(world.model, moved);
  t.same(world.model.violations, []);
  t.equal(transfer.status?.steps?.find(({ name }) => name === 'release')?.state, 'Done');
  t.match(transfer.status?.failure, { step: 'check-public-health' });
  t.match(transfer.status?.rollback, { outcome: 'Failed', failure: { step: 'return-health' } });
  await world.until('canRollback', ({ status }) => status?.canRollback === true);
});

void t.test('a transfer under way whose server object is deleted says so, and goes on when it is back', async (t) => {
  const world = await rollbackWorld(t, async (point, context) => {
    if (point === 'create-containers/apply/before') await takesTime(2_000, context);
  });
  await world.until('a step', isRunning('create-containers'));
  const server = { namespace: 'default', name: 'beta' };
  await world.client.delete(ManagedServers, server);
  const stalled = await world.until('stalled', (one) => conditionOf(one, 'Stalled') === 'True ServerNotFound');
  t.match(stalled.status?.message, /ManagedServer beta does not exist/);
  await world.clock.advance(60_000);
  t.equal(world.model.source, 'running');
  await world.client.create(ManagedServers, onlineServer('beta'));
  const transfer = await world.ended('Completed');
  t.equal(conditionOf(transfer, 'Accepted'), 'True Accepted');
  t.match(world.model, moved);
});

void t.test('retention', async (t) => {
  const spec = { rollbackWindow: '1h', retention: { source: 'DeleteAfterWindow' as const } };
  await t.test('deletes the stopped source once the window is over, also by another process', async (t) => {
    const world = await rollbackWorld(t, undefined, spec);
    await world.ended('Completed');
    await world.until('the mark', (one) => conditionOf(one, 'SourceRetained') === 'True UntilWindowOver');
    t.ok(world.stopped.marked);
    await world.clock.advance(3_000_000);
    t.notOk(world.stopped.deleted);
    world.restart();
    await world.clock.advance(1_200_000);
    t.ok(world.stopped.deleted);
    const transfer = await world.get();
    t.ok(transfer.status?.sourceDeletedAt);
    t.equal(conditionOf(transfer, 'SourceRetained'), 'False Deleted');
    t.equal(conditionOf(transfer, 'CanRollback'), 'False SourceDeleted');
  });
  await t.test('keeps a source that somebody has touched since', async (t) => {
    const world = await rollbackWorld(t, undefined, spec);
    await world.ended('Completed');
    await world.until('the mark', () => world.stopped.marked);
    world.stopped.found = 'SourceChanged';
    await world.clock.advance(4_000_000);
    t.notOk(world.stopped.deleted);
    t.equal(conditionOf(await world.get(), 'SourceRetained'), 'True Changed');
  });
  await t.test('keeps it when the transfer is deleted before, or wants to keep it after all', async (t) => {
    const world = await rollbackWorld(t, undefined, spec);
    await world.ended('Completed');
    await world.until('the mark', () => world.stopped.marked);
    await world.wish({ retention: { source: 'Keep' } });
    await world.until('no mark', () => !world.stopped.marked);
    await world.wish({ retention: { source: 'DeleteAfterWindow' } });
    await world.until('the mark', () => world.stopped.marked);
    await world.client.delete(Transfers, { namespace: 'default', name: 'move' });
    await world.clock.advance(10_000);
    t.ok(
      await world.get().then(
        () => false,
        (error: unknown) => isReason(error, 'NotFound'),
      ),
    );
    t.match(world.stopped, { marked: false, deleted: false });
  });
});

/** One rollback with deaths, faults, lost answers and a user who changes their mind; all of it stops after a while. */
async function runSchedule(seed: number): Promise<{ readonly end: string; readonly problems: readonly string[] }> {
  const random = seededRandom(seed);
  const client = createFakeClient();
  const clock = createVirtualClock();
  const model = newModel();
  await createServers(client);
  await client.create(Transfers, transferOf('move'));
  const chance = (share: number): boolean => random() < share;
  const limits = { deaths: Math.floor(random() * 6), faults: Math.floor(random() * 10) };
  const failureRate = random() * 0.25;
  let calm = true;
  let life: Life | undefined;
  const die = async (of: Life): Promise<void> => {
    if (of.dead) return new Promise(() => undefined);
    if (calm || limits.deaths === 0 || !chance(0.08)) return;
    limits.deaths--;
    of.kill();
    await new Promise(() => undefined);
  };
  const hook =
    (of: Life): Hook =>
    async (point, context) => {
      await die(of);
      if (!calm && chance(0.3)) await takesTime(random() * 1500, context);
      await die(of);
      if (calm || limits.faults === 0 || !chance(failureRate)) return;
      limits.faults--;
      throw chance(0.3) && !point.includes('/undo/') ? broken : busy;
    };
  const onWrite = async (point: string, of: Life): Promise<void> => {
    await die(of);
    if (calm || limits.faults === 0 || !chance(0.05)) return;
    limits.faults--;
    throw new ApiError(point.endsWith('before') ? 'ServiceUnavailable' : 'Timeout', 'the API does not answer');
  };
  const start = (): TestProcess =>
    startProcess({
      client,
      clock,
      random,
      plan: (of) => {
        life = of;
        return modelPlan(model, hook(of));
      },
      wayBack: (of) => modelWayBack(model, hook(of)),
      chores: modelChores({ found: 'AsLeft', marked: false, deleted: false }),
      onWrite,
    });
  const read = (): Promise<Transfer | undefined> =>
    client.get(Transfers, { namespace: 'default', name: 'move' }).catch((error: unknown) => {
      if (!isReason(error, 'NotFound')) throw error;
      return undefined;
    });
  let current = start();
  for (let turn = 0; turn < 200 && (await read())?.status?.phase !== 'Completed'; turn++) await clock.advance(100);
  calm = false;
  const data = chance(0.2) ? 'Discard' : 'Sync';
  await changeSpec(client, 'move', { rollback: { data } });
  const wish = random();
  const at = Math.floor(random() * 60);
  let transfer: Transfer | undefined;
  for (let turn = 0; ; turn++) {
    clientWrites(model);
    if (turn === at) {
      if (wish < 0.2) await changeSpec(client, 'move', { cancel: true });
      else if (wish < 0.35) await changeSpec(client, 'move', { rollback: null as never });
      else if (wish < 0.45) await client.delete(Transfers, { namespace: 'default', name: 'move' });
      else if (wish < 0.55) await changeSpec(client, 'move', { suspend: true });
    }
    if (turn === at + 20 && wish >= 0.45 && wish < 0.55) await changeSpec(client, 'move', { suspend: false });
    await clock.advance(200);
    if (life?.dead === true) current = start();
    transfer = await read();
    const over = transfer === undefined || (transfer.status?.completionTime !== undefined && turn > at + 21);
    if (!over && turn < 3000) continue;
    current.kill();
    if (!over) return { end: 'never', problems: [`it does not end: ${JSON.stringify(transfer?.status, null, 1)}`] };
    break;
  }
  const problems: string[] = [...model.violations];
  const isBack = model.source === 'running';
  const phase = transfer?.status?.phase ?? 'gone';
  // Tidying up after the commit point is a step like any other: when it fails for good, what it was for stays.
  const untidy = isBack && (transfer === undefined || transfer.status?.rollback?.failure !== undefined);
  const target = data === 'Sync' ? 'absent' : 'created';
  const wanted = isBack ? { ...back, target } : moved;
  const { source, dns } = model;
  const state = { source, target: model.target, dns, locked: model.locked };
  if (untidy ? model.target === 'running' || dns !== 'source' : JSON.stringify(state) !== JSON.stringify(wanted)) {
    problems.push(`left as ${JSON.stringify(state)}`);
  }
  if (transfer !== undefined && (phase === 'RolledBack') !== isBack)
    problems.push(`${phase}, but ${JSON.stringify(state)}`);
  const stored = isBack ? model.sourceWrites : model.targetWrites;
  if (data === 'Sync' && stored < model.acknowledged) problems.push(`lost ${model.acknowledged - stored} writes`);
  if ((await client.list(Leases)).items.length > 0) problems.push('a lock is left');
  if (problems.length > 0)
    problems.push(model.history.slice(-40).join(', '), JSON.stringify(transfer?.status?.conditions));
  return { end: `${phase} ${isBack ? 'at the source' : 'at the target'}`, problems };
}

void t.test('whatever happens to a rollback, one side runs and nothing acknowledged is lost', async (t) => {
  const ends = new Map<string, number>();
  const seeds = Number(process.env['GRIDFERRY_TEST_SCHEDULES'] ?? 150);
  for (let seed = 1; seed <= seeds; seed++) {
    const { end, problems } = await runSchedule(seed);
    ends.set(end, (ends.get(end) ?? 0) + 1);
    if (problems.length > 0) t.fail(`seed ${seed}: ${problems.join('; ')}`);
  }
  t.comment(JSON.stringify(Object.fromEntries(ends)));
  t.ok(ends.size >= 4, 'the schedules end in every way there is');
});

import t from 'tap';
import type { TransferStatus } from '../../../../src/api/resources.ts';
import { describeStep } from '../../../../controllers/transfer/planning/plan-steps.ts';
import { startFirst, stopFirst } from '../../../../controllers/transfer/plan.ts';
import { deriveReadiness } from '../../../../controllers/transfer/readiness.ts';
import { derivePercent, derivePhase, isTerminal } from '../../../../controllers/transfer/status.ts';
import { ManagedServers, Transfers } from '../../../../src/api/resources.ts';
import type { Transfer } from '../../../../src/api/resources.ts';
import { findCondition } from '../../../../src/runtime/conditions.ts';
import { temporaryHome } from '../../../support/local-home.ts';
import {
  changeSpec,
  createServers,
  modelPlan,
  newModel,
  onlineServer,
  startProcess,
  transferOf,
} from '../../../support/transfer-world.ts';
import { createVirtualClock } from '../../../support/virtual-clock.ts';

const key = { namespace: 'default', name: 'move' };

void t.test('a plan is a phase of its own, which is neither a success nor a failure of a move', async (t) => {
  const plan = { blockers: [] } as unknown as NonNullable<TransferStatus['plan']>;
  for (const [value, reason] of [
    ['True', 'Planned'],
    ['False', 'Blocked'],
  ] as const) {
    const conditions = [
      { type: 'Succeeded', status: value, reason, message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ];
    const status = { plan, conditions } as TransferStatus;
    t.equal(derivePhase(status), 'Planned');
    t.equal(derivePercent(status), 0);
    t.match(deriveReadiness(status, { suspend: false }), { state: 'Ready', reason: 'Planned' });
  }
  t.notOk(isTerminal('Planned'), 'a change of the spec leads on from it');
  const moved = {
    plan,
    conditions: [{ type: 'Succeeded', status: 'True', reason: 'Completed', message: '', lastTransitionTime: '' }],
  };
  t.equal(derivePhase(moved as TransferStatus), 'Completed', 'a plan of earlier does not hide a move');
});

void t.test('every step of a move says what it would do', async (t) => {
  const context = {
    transfer: transferOf('move', { soak: { duration: '5s', failureThreshold: 3 }, cutover: 'Auto', verify: 'Changed' }),
    sourceServer: onlineServer('alpha'),
    targetServer: onlineServer('beta'),
    service: undefined,
    platform: undefined,
  };
  const facts = { context, parts: [], data: [], strategy: 'StopFirst' };
  for (const { name } of [...stopFirst, ...startFirst]) t.ok(describeStep(name, facts), name);
});

async function until(
  home: ReturnType<typeof temporaryHome>,
  clock: ReturnType<typeof createVirtualClock>,
  condition: (transfer: Transfer) => boolean,
): Promise<Transfer> {
  for (let turn = 0; turn < 300; turn++) {
    const transfer = await home.get(Transfers, key);
    if (condition(transfer)) return transfer;
    await clock.advance(100);
  }
  throw new Error(JSON.stringify((await home.get(Transfers, key)).status, null, 1));
}

void t.test('what stands in the way is named without a look at a server, and Apply begins the move', async (t) => {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const model = newModel();
  const { kill } = startProcess({
    client: home,
    clock,
    random: () => 0.5,
    plan: () => modelPlan(model, () => undefined),
  });
  t.teardown(kill);
  await home.create(Transfers, transferOf('move', { mode: 'Plan' }));
  const blocked = await until(home, clock, ({ status }) => status?.phase === 'Planned');
  t.match(blocked.status?.plan?.blockers, [
    { code: 'GF_SERVER_NOT_FOUND', message: /ManagedServer alpha does not exist/ },
  ]);
  t.match(findCondition(blocked.status?.conditions, 'Succeeded'), { status: 'False', reason: 'Blocked' });
  t.notOk(blocked.metadata.finalizers?.length);
  t.equal(blocked.status?.steps, undefined);

  await createServers(home);
  const beta = await home.get(ManagedServers, { ...key, name: 'beta' });
  await home.updateStatus(ManagedServers, { ...beta, status: {} });
  const waiting = await until(home, clock, ({ status }) => /first look/.test(status?.message ?? ''));
  t.equal(waiting.status?.phase, 'Pending', 'a server that nobody has looked at yet is no blocker');
  await home.updateStatus(ManagedServers, {
    ...(await home.get(ManagedServers, { ...key, name: 'beta' })),
    status: { phase: 'Online' },
  });

  await changeSpec(home, 'move', { mode: 'Apply' });
  const moved = await until(home, clock, ({ status }) => status?.phase === 'Completed');
  t.equal(model.target, 'running');
  t.same(model.violations, []);
  t.equal(moved.status?.plan?.blockers.length, 1, 'the plan of before can still be read');
});

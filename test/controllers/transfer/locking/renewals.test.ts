import t from 'tap';
import type { Test } from 'tap';
import { RENEW_EVERY_MS } from '../../../../controllers/transfer/locking/renewals.ts';
import type { Step } from '../../../../controllers/transfer/step.ts';
import { Leases } from '../../../../src/api/core.ts';
import { Transfers } from '../../../../src/api/resources.ts';
import type { Transfer, TransferSpec } from '../../../../src/api/resources.ts';
import { GridferryError } from '../../../../src/errors.ts';
import type { LocalHome } from '../../../../src/home/local-client.ts';
import { temporaryHome } from '../../../support/local-home.ts';
import {
  changeSpec,
  createServers,
  modelPlan,
  newModel,
  startProcess,
  takesTime,
  transferOf,
} from '../../../support/transfer-world.ts';
import type { Hook, Model, TestProcess } from '../../../support/transfer-world.ts';
import { createVirtualClock } from '../../../support/virtual-clock.ts';
import type { VirtualClock } from '../../../support/virtual-clock.ts';

/** Of the mark on the servers, in this file: whether it is there, whether another has it, and how often it was renewed. */
interface Mark {
  renewals: number;
  lost: boolean;
}

interface World {
  readonly home: LocalHome;
  readonly clock: VirtualClock;
  readonly model: Model;
  readonly mark: Mark;
  start(): TestProcess;
  until(condition: (transfer: Transfer) => boolean): Promise<Transfer>;
}

async function openWorld(t: Test, hook: Hook, spec: Partial<TransferSpec> = {}): Promise<World> {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const model = newModel();
  const mark: Mark = { renewals: 0, lost: false };
  const plan = (): readonly Step[] =>
    modelPlan(model, hook).map((step) => {
      if (step.name === 'release') return { ...step, releases: true };
      if (step.name !== 'lock-servers') return step;
      return {
        ...step,
        renew: () => {
          mark.renewals++;
          if (!model.locked) model.violations.push('a mark was renewed that was given back');
          const error = new GridferryError('GF_TRANSFER_SERVER_LOCKED', 'it is theirs', { class: 'retryable' });
          return mark.lost ? Promise.reject(error) : Promise.resolve();
        },
      };
    });
  await createServers(home);
  await home.create(Transfers, transferOf('move', spec));
  return {
    home,
    clock,
    model,
    mark,
    start() {
      const process = startProcess({ client: home, clock, random: () => 0.5, plan });
      t.teardown(() => process.kill());
      return process;
    },
    async until(condition) {
      for (let turn = 0; turn < 3000; turn++) {
        const transfer = await home.get(Transfers, { namespace: 'default', name: 'move' });
        if (condition(transfer)) return transfer;
        await clock.advance(500);
      }
      throw new Error(JSON.stringify((await home.get(Transfers, { namespace: 'default', name: 'move' })).status));
    },
  };
}

const LONG_MS = 4 * RENEW_EVERY_MS;

/** One step that takes its time. */
const slow: Hook = (point, context) =>
  point === 'create-containers/apply/before' ? takesTime(LONG_MS, context) : undefined;

void t.test('a mark is renewed beside a step that takes its time, and no more once it is given back', async (t) => {
  const { model, mark, start, until, clock } = await openWorld(t, slow);
  start();
  await until(({ status }) => status?.phase === 'Completed');
  t.ok(mark.renewals >= 3 && mark.renewals <= 6, `${String(mark.renewals)} renewals`);
  const { renewals } = mark;
  await clock.advance(5 * RENEW_EVERY_MS);
  t.equal(mark.renewals, renewals);
  t.same(model.violations, []);
});

void t.test('a suspended transfer, which nobody visits, keeps its mark and its locks', async (t) => {
  let suspend = (): Promise<unknown> => Promise.resolve();
  const world = await openWorld(t, (point) => (point === 'lock-servers/apply/after' ? suspend() : undefined));
  const { home, clock, mark, start, until } = world;
  suspend = () => changeSpec(home, 'move', { suspend: true });
  start();
  await until(({ status }) => status?.message?.startsWith('suspended') === true);
  const { renewals } = mark;
  const before = await home.list(Leases);
  for (let second = 0; second <= 500; second += 2) await clock.advance(2_000);
  t.ok(mark.renewals - renewals >= 4, `${String(mark.renewals - renewals)} renewals`);
  const after = await home.list(Leases);
  t.equal(after.items.length, before.items.length);
  t.ok(
    after.items.every(
      ({ metadata }, index) => metadata.resourceVersion !== before.items[index]?.metadata.resourceVersion,
    ),
  );
});

void t.test('when another has taken the mark, nothing goes on until it is free', async (t) => {
  const { clock, model, mark, start, until } = await openWorld(t, slow);
  start();
  await until(({ status }) => status?.currentStep === 'create-containers');
  mark.lost = true;
  await clock.advance(RENEW_EVERY_MS + 1000);
  await until(({ status }) => status?.message === 'it is theirs');
  await clock.advance(2 * LONG_MS);
  t.equal(model.target, 'absent', 'the step was ended, and none was begun');
  mark.lost = false;
  await until(({ status }) => status?.phase === 'Completed');
  t.same(model.violations, []);
});

void t.test('a process that begins asks first whether the mark is still its own', async (t) => {
  const { clock, model, mark, start, until } = await openWorld(t, slow);
  const first = start();
  await until(({ status }) => status?.currentStep === 'create-containers');
  first.kill();
  mark.lost = true;
  start();
  await clock.advance(2 * LONG_MS);
  t.equal(model.target, 'absent');
  await until(({ status }) => status?.message === 'it is theirs');
});

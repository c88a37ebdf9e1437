import type { Test } from 'tap';
import type { Chores } from '../../controllers/transfer/aftercare.ts';
import type { TransferContext } from '../../controllers/transfer/context.ts';
import { wasReached } from '../../controllers/transfer/itinerary.ts';
import type { Step } from '../../controllers/transfer/step.ts';
import { Transfers } from '../../src/api/resources.ts';
import type { Transfer, TransferSpec, TransferStatus } from '../../src/api/resources.ts';
import { GridferryError } from '../../src/errors.ts';
import { createFakeClient } from './fake-client.ts';
import type { FakeClient } from './fake-client.ts';
import { seededRandom } from './seeded-random.ts';
import { createServers, modelPlan, modelStep, newModel, startProcess, transferOf } from './transfer-world.ts';
import type { Hook, Model, TestProcess } from './transfer-world.ts';
import { createVirtualClock } from './virtual-clock.ts';
import type { VirtualClock } from './virtual-clock.ts';

const key = { namespace: 'default', name: 'move' };

/** The names, phases and promises of the real way back, on the model. */
export function modelWayBack(model: Model, hook: Hook): readonly Step[] {
  const step = modelStep(model, hook);
  const syncs = ({ status }: TransferContext): boolean => status.rollback?.data === 'Sync';
  const needsStopped = (side: 'source' | 'target'): void => {
    if (model[side] === 'running') throw new GridferryError('GF_TEST_RUNNING', `the ${side} runs`);
  };
  const preflight = step('return-preflight', 'Preparing', () => undefined);
  return [
    {
      ...preflight,
      apply: async (context) => {
        const running = model.target === 'running';
        await preflight.apply(context);
        return {
          record({ rollback, restore }: TransferStatus) {
            if (rollback === undefined || restore === undefined) return;
            rollback.containers ??= [{ id: 't1', name: 'web', running, restartPolicy: 'always' }];
            if (rollback.data === 'Sync') restore.overwrittenSince ??= '2026-01-01T00:00:00Z';
          },
        };
      },
    },
    step(
      'return-lock',
      'Preparing',
      () => void (model.locked = true),
      () => void (model.locked = false),
    ),
    step('return-precopy', 'Uploading', (context) => {
      if (syncs(context)) model.sourceWrites = model.targetWrites;
    }),
    step(
      'return-quiesce',
      'Restoring',
      (context) => {
        if (context.status.rollback?.containers === undefined)
          model.violations.push('stopped before it was written down');
        if (model.target === 'running') model.target = 'created';
      },
      ({ status }) => {
        if (wasReached(status.steps, 'return-start')) needsStopped('source');
        if (status.rollback?.containers?.[0]?.running === true) model.target = 'running';
      },
    ),
    step(
      'return-final-delta',
      'Restoring',
      (context) => {
        needsStopped('target');
        if (syncs(context)) model.sourceWrites = model.targetWrites;
      },
      (context) => {
        if (syncs(context) && wasReached(context.status.steps, 'return-dns')) model.targetWrites = model.sourceWrites;
      },
      { undoFirst: true },
    ),
    step(
      'return-start',
      'Restoring',
      () => {
        needsStopped('target');
        model.source = 'running';
      },
      () => void (model.source = 'stopped'),
      { undoFirst: true },
    ),
    step('return-health', 'Restoring', () => undefined),
    step(
      'return-dns',
      'DNSCutover',
      () => void (model.dns = 'source'),
      () => void (model.dns = 'target'),
      { commitPoint: true },
    ),
    step('return-clean-target', 'Completed', (context) => {
      if (model.target === 'running') model.violations.push('the running target was removed');
      if (syncs(context)) model.target = 'absent';
    }),
    step('return-release', 'Completed', () => void (model.locked = false)),
  ];
}

/** The stopped source, as far as its looks and its deletion are concerned. */
export interface Stopped {
  found: 'AsLeft' | 'SourceGone' | 'SourceChanged';
  marked: boolean;
  deleted: boolean;
}

export function modelChores(stopped: Stopped): Chores {
  const chore = (name: string, apply: (context: TransferContext) => Awaited<ReturnType<Step['apply']>>): Step => ({
    name,
    phase: 'Completed',
    apply: (context) => Promise.resolve(apply(context)),
  });
  return {
    tidy: chore('tidy-forward', () => ({})),
    look: chore('look-at-source', () => ({
      record(_status, condition) {
        if (stopped.found === 'AsLeft') condition('CanRollback', 'True', 'WithinWindow', 'as it was left');
        else condition('CanRollback', 'False', stopped.found, 'it is not as it was left');
      },
    })),
    mark: chore('mark-source', () => {
      stopped.marked = true;
      return { record: (_status, condition) => condition('SourceRetained', 'True', 'UntilWindowOver', 'marked') };
    }),
    unmark: chore('unmark-source', () => {
      stopped.marked = false;
      return { record: (_status, condition) => condition('SourceRetained', 'True', 'Kept', 'kept') };
    }),
    scrub: chore('scrub-credentials', () => ({
      record: (status) => void Reflect.deleteProperty(status, 'credentials'),
    })),
    deleteSource: chore('delete-source', () => {
      if (stopped.found !== 'AsLeft') {
        stopped.marked = false;
        return {
          record: (_status, condition) => condition('SourceRetained', 'True', 'Changed', 'kept: it was started'),
        };
      }
      stopped.marked = false;
      stopped.deleted = true;
      return {
        record(status, condition) {
          status.sourceDeletedAt ??= '2026-01-01T00:00:00Z';
          condition('SourceRetained', 'False', 'Deleted', 'deleted');
        },
      };
    }),
  };
}

export interface RollbackWorld {
  readonly client: FakeClient;
  readonly clock: VirtualClock;
  readonly model: Model;
  readonly stopped: Stopped;
  get(): Promise<Transfer>;
  /** Lets time pass until it is so. */
  until(what: string, condition: (transfer: Transfer) => boolean, limitMs?: number): Promise<Transfer>;
  /** The same, until it is in that phase and over. */
  ended(phase: NonNullable<TransferStatus['phase']>): Promise<Transfer>;
  /** Changes the spec as its user does; `null` takes a field away. */
  wish(spec: { readonly [Name in keyof TransferSpec]?: TransferSpec[Name] | null }): Promise<void>;
  /** The process dies, and another one starts. */
  restart(): void;
}

/** A world in which a transfer is made, with its way back. */
export async function rollbackWorld(
  t: Pick<Test, 'teardown'>,
  hook: Hook = () => undefined,
  spec: Partial<TransferSpec> = {},
): Promise<RollbackWorld> {
  const client = createFakeClient();
  const clock = createVirtualClock();
  const model = newModel();
  const stopped: Stopped = { found: 'AsLeft', marked: false, deleted: false };
  await createServers(client);
  await client.create(Transfers, transferOf('move', spec));
  const start = (): TestProcess =>
    startProcess({
      client,
      clock,
      random: seededRandom(1),
      plan: () => modelPlan(model, hook),
      wayBack: () => modelWayBack(model, hook),
      chores: modelChores(stopped),
    });
  let process = start();
  t.teardown(() => process.kill());
  const get = (): Promise<Transfer> => client.get(Transfers, key);
  const world: RollbackWorld = {
    client,
    clock,
    model,
    stopped,
    get,
    async until(what, condition, limitMs = 300_000) {
      const step = limitMs > 600_000 ? 5_000 : 50;
      for (let waited = 0; waited <= limitMs; waited += step) {
        const transfer = await get();
        if (condition(transfer)) return transfer;
        await clock.advance(step);
      }
      throw new Error(`${what} was not reached: ${JSON.stringify((await get()).status, null, 1)}`);
    },
    ended: (phase) =>
      world.until(phase, ({ status }) => status?.phase === phase && status.completionTime !== undefined),
    async wish(wanted) {
      await client.patch(Transfers, key, { type: 'merge', body: { spec: wanted } });
    },
    restart() {
      process.kill();
      process = start();
    },
  };
  return world;
}

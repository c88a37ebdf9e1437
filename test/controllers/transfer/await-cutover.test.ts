import t from 'tap';
import type { Test } from 'tap';
import type { TransferContext } from '../../../controllers/transfer/context.ts';
import type { Step } from '../../../controllers/transfer/step.ts';
import { awaitCutover } from '../../../controllers/transfer/steps/await-cutover.ts';
import { Transfers } from '../../../src/api/resources.ts';
import type { Transfer, TransferSpec, TransferStatus } from '../../../src/api/resources.ts';
import { findCondition } from '../../../src/runtime/conditions.ts';
import { sleep } from '../../../src/runtime/clock.ts';
import { createFakeClient } from '../../support/fake-client.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { changeSpec, createServers, startProcess, transferOf } from '../../support/transfer-world.ts';
import type { TestProcess } from '../../support/transfer-world.ts';
import { createVirtualClock } from '../../support/virtual-clock.ts';

const MIB = 1 << 20;
const key = { namespace: 'default', name: 'move' };

/** A service with one volume of 1 GiB over a link of 100 MiB/s, of which the first copy was just made. */
interface World {
  /** When rounds began, in ms since the start. */
  readonly rounds: number[];
  /** What the service changes, in bytes per second. */
  dirty: number;
  stoppedAt: number | undefined;
  now(): number;
  change(spec: Partial<TransferSpec>): Promise<unknown>;
  get(): Promise<Transfer>;
  pass(ms: number): Promise<void>;
  until(what: string, condition: (transfer: Transfer) => boolean, limitMs?: number): Promise<Transfer>;
  restart(): void;
}

async function world(t: Test, spec: Partial<TransferSpec>, dirty = MIB): Promise<World> {
  const client = createFakeClient();
  const clock = createVirtualClock();
  await createServers(client);
  const base = clock.now();
  let lastRound = clock.monotonic();

  const copyTree = async ({ signal }: { readonly signal: AbortSignal }) => {
    made.rounds.push(clock.now() - base);
    const since = clock.monotonic() - lastRound;
    lastRound = clock.monotonic();
    const changedBytes = Math.min(1024 * MIB, (made.dirty * since) / 1000);
    const durationMs = 100 + (changedBytes / (100 * MIB)) * 1000;
    await sleep(clock, durationMs, signal);
    return { tool: 'rsync', bytesOnWire: changedBytes, changedBytes, durationMs, filesTransferred: 1 };
  };
  const bench = { pathOf: () => '/data', tools: {} };
  const item = { name: 'data', location: { kind: 'volume', name: 'data' }, writable: true };
  const faked = (context: TransferContext): TransferContext =>
    ({
      ...context,
      session: {
        ...context.session,
        data: () => Promise.resolve([item]),
        sourceBench: () => Promise.resolve(bench),
        targetBench: () => Promise.resolve(bench),
        route: { open: () => Promise.resolve({ mode: 'Relay' }) },
      },
      dataPlane: { ...context.dataPlane, copyTree },
    }) as unknown as TransferContext;
  const step = (name: string, apply: Step['apply']): Step => ({ name, phase: 'Uploading', apply });
  const plan: readonly Step[] = [
    step('upload', () => {
      lastRound = clock.monotonic();
      const precopy = {
        ...{ rounds: 1, bytesPerSecond: 100 * MIB, dirtyBytesPerSecond: made.dirty, scanMs: 100, checkMs: 0 },
        // The last round began a while ago.
        lastSyncTime: new Date(clock.now() - 2_000).toISOString(),
      };
      return Promise.resolve({
        record: (status: TransferStatus) => void Object.assign(status, { precopy, volumes: [{ name: 'data' }] }),
      });
    }),
    { ...awaitCutover, apply: (context) => awaitCutover.apply(faked(context)) },
    step('quiesce-source', () => {
      made.stoppedAt = clock.now() - base;
      return Promise.resolve({});
    }),
  ];
  const start = (): TestProcess => startProcess({ client, clock, random: seededRandom(1), plan: () => plan });
  const made: World = {
    rounds: [],
    dirty,
    stoppedAt: undefined,
    now: () => clock.now() - base,
    change: (change) => changeSpec(client, 'move', change),
    get: () => client.get(Transfers, key),
    pass: (ms) => clock.advance(ms),
    async until(what, condition, limitMs = 600_000) {
      for (let waited = 0; waited <= limitMs; waited += 50) {
        const transfer = await made.get();
        if (condition(transfer)) return transfer;
        await clock.advance(50);
      }
      throw new Error(`${what} was not reached: ${JSON.stringify((await made.get()).status, null, 1)}`);
    },
    restart() {
      process.kill();
      process = start();
    },
  };
  const defaults = { verify: 'Metadata', maxDowntime: '5s', onNoConvergence: 'Proceed', cutover: 'Auto' } as const;
  const given = typeof spec.cutover === 'string' && /^\+/.test(spec.cutover);
  const time = new Date(base + Number(given ? spec.cutover : 0)).toISOString();
  await client.create(
    Transfers,
    transferOf('move', { ...defaults, cutoverNow: false, ...spec, ...(given ? { cutover: time } : {}) }),
  );
  let process = start();
  t.teardown(() => process.kill());
  return made;
}

function conditionOf({ status }: Transfer, type: string): string {
  const found = findCondition(status?.conditions, type);
  return `${found?.status ?? ''} ${found?.reason ?? ''}`;
}
const isHeld = (transfer: Transfer): boolean => conditionOf(transfer, 'ReadyToCutOver') === 'True Fresh';
const isOver = ({ status }: Transfer): boolean => status?.completionTime !== undefined;
const stepOf = ({ status }: Transfer) => status?.steps?.find(({ name }) => name === 'await-cutover');

void t.test('Auto goes on at once with a fresh copy', async (t) => {
  const { until, rounds } = await world(t, {});
  const { status } = await until('the end', isOver);
  t.equal(status?.phase, 'Completed');
  t.same(rounds, []);
});

void t.test('Manual holds for as long as it takes, with a copy that is never old', async (t) => {
  const made = await world(t, { cutover: 'Manual' });
  await made.until('the hold', isHeld);
  await made.pass(3_600_000);
  const held = await made.get();
  t.equal(made.stoppedAt, undefined);
  t.match(held.status?.message, /set spec\.cutoverNow to true/);
  t.match(stepOf(held), { state: 'Running', reason: 'Holding', attempts: 1 });
  const gaps = made.rounds.map((at, index) => at - (made.rounds[index - 1] ?? 0));
  t.ok(Math.max(...gaps) <= 10_000, `${String(Math.max(...gaps))} ms between two rounds`);
  t.ok(made.rounds.length <= 3600 / 5 + 1, `${String(made.rounds.length)} rounds`);
  t.ok((held.status?.volumes?.[0]?.passes?.length ?? 0) <= 20);

  await made.change({ cutoverNow: true });
  const { status } = await made.until('the end', isOver, 5_000);
  t.equal(status?.phase, 'Completed');
  t.ok((made.stoppedAt ?? 0) - (made.rounds.at(-1) ?? 0) <= 5_500, 'a round was made just before the stop');
});

void t.test('cutoverNow that is set while a round runs is seen when the round ends', async (t) => {
  const made = await world(t, { cutover: 'Manual' });
  made.dirty = 60 * MIB;
  await made.until('the hold', isHeld);
  const before = made.rounds.length;
  await made.until('a round', () => made.rounds.length > before);
  await made.change({ cutoverNow: true });
  await made.until('the end', isOver, 10_000);
});

void t.test('a time is kept, with a round just before it', async (t) => {
  const made = await world(t, { cutover: '+120000' });
  await made.until('the end', isOver);
  t.ok((made.stoppedAt ?? 0) >= 120_000, `stopped after ${String(made.stoppedAt)} ms`);
  t.ok((made.stoppedAt ?? 0) <= 123_000, `stopped after ${String(made.stoppedAt)} ms`);
  t.ok((made.stoppedAt ?? 0) - (made.rounds.at(-1) ?? 0) <= 6_000, `rounds at ${made.rounds.join(', ')}`);
});

void t.test('a time that is past is no reason to wait', async (t) => {
  const made = await world(t, { cutover: '2001-01-01T00:00:00Z' });
  await made.until('the end', isOver, 5_000);
});

void t.test('a suspended hold makes no rounds, and goes on holding afterwards', async (t) => {
  const made = await world(t, { cutover: 'Manual' });
  await made.until('the hold', isHeld);
  await made.change({ suspend: true });
  await made.until('the suspension', (transfer) => conditionOf(transfer, 'Succeeded') === 'Unknown Suspended', 5_000);
  const rounds = made.rounds.length;
  await made.pass(3_600_000);
  t.equal(made.rounds.length, rounds);
  await made.change({ suspend: false });
  await made.until('a round', () => made.rounds.length > rounds, 2_000);
  t.equal(made.stoppedAt, undefined);
});

void t.test('another process goes on holding', async (t) => {
  const made = await world(t, { cutover: 'Manual' });
  await made.until('the hold', isHeld);
  for (let i = 0; i < 5; i++) {
    made.restart();
    await made.pass(20_000);
  }
  t.equal(made.stoppedAt, undefined);
  t.equal(stepOf(await made.get())?.reason, 'Holding');
  await made.change({ cutoverNow: true });
  t.equal((await made.until('the end', isOver, 10_000)).status?.phase, 'Completed');
});

void t.test('a held transfer is cancelled like any other', async (t) => {
  const made = await world(t, { cutover: 'Manual' });
  await made.until('the hold', isHeld);
  await made.change({ cancel: true });
  const { status } = await made.until('the end', isOver, 10_000);
  t.equal(status?.phase, 'Cancelled');
  t.equal(made.stoppedAt, undefined);
});

const tooFast = { maxDowntime: '2s' } as const;

void t.test('Proceed stops a service that writes too fast all the same', async (t) => {
  const made = await world(t, { ...tooFast, onNoConvergence: 'Proceed' }, 500 * MIB);
  const transfer = await made.until('the end', isOver);
  t.equal(transfer.status?.phase, 'Completed');
  t.equal(transfer.status?.precopy?.converged, false);
});

void t.test('Fail ends it before the service is stopped', async (t) => {
  const made = await world(t, { ...tooFast, onNoConvergence: 'Fail' }, 500 * MIB);
  const { status } = await made.until('the end', isOver);
  t.match(status, { phase: 'Failed', failure: { code: 'GF_TRANSFER_NOT_CONVERGING' } });
  t.equal(made.stoppedAt, undefined);
});

void t.test('Wait goes on with rounds and says so, until it fits', async (t) => {
  const made = await world(t, { ...tooFast, onNoConvergence: 'Wait' }, 500 * MIB);
  const waits = (transfer: Transfer): boolean =>
    conditionOf(transfer, 'ReadyToCutOver') === 'False NotConverging' && stepOf(transfer)?.reason === 'Holding';
  const waiting = await made.until('the wait', waits);
  t.match(waiting.status?.message, /further rounds do not help: .*can be copied.*spec\.cutoverNow/);
  const rounds = made.rounds.length;
  await made.pass(600_000);
  t.ok(made.rounds.length > rounds + 5, `${String(made.rounds.length)} rounds`);
  t.equal(made.stoppedAt, undefined);
  made.dirty = MIB;
  t.equal((await made.until('the end', isOver)).status?.precopy?.converged, true);
});

void t.test('cutoverNow ends the wait', async (t) => {
  const made = await world(t, { ...tooFast, onNoConvergence: 'Wait' }, 500 * MIB);
  await made.until('the wait', (transfer) => conditionOf(transfer, 'ReadyToCutOver') === 'False NotConverging');
  await made.change({ cutoverNow: true });
  t.equal((await made.until('the end', isOver)).status?.phase, 'Completed');
});

import t from 'tap';
import {
  decide,
  learn,
  predict,
  refreshIntervalMs,
  STOP_AND_START_MS,
  untaught,
} from '../../../../controllers/transfer/copying/precopy-model.ts';
import type { PrecopyModel, Round, Verdict } from '../../../../controllers/transfer/copying/precopy-model.ts';
import { seededRandom } from '../../../support/seeded-random.ts';

const MIB = 1 << 20;

/** A service that writes at some rate into a tree of some size, a link, and what a pass over it costs. */
interface World {
  readonly treeBytes: number;
  readonly bytesPerSecond: number;
  readonly dirtyBytesPerSecond: (round: number) => number;
  readonly scanMs: number;
  readonly checkMs: number;
}

interface Outcome {
  readonly verdict: Verdict;
  readonly model: PrecopyModel;
  readonly ageMs: number;
}

/** Makes rounds for as long as the model wants another one. */
function run(world: World, maxDowntimeMs: number, mostRounds = 500): Outcome {
  const pass = (changedBytes: number, sinceMs: number | undefined): Round => ({
    durationMs: world.scanMs + (changedBytes / world.bytesPerSecond) * 1000,
    bytesSent: changedBytes,
    changedBytes,
    checkMs: world.checkMs,
    treeBytes: world.treeBytes,
    ...(sinceMs === undefined ? {} : { sinceMs }),
  });
  const first = pass(world.treeBytes, undefined);
  let model = learn(untaught, first);
  let ageMs = first.durationMs + first.checkMs;
  for (let round = 1; round <= mostRounds; round++) {
    const verdict = decide(model, ageMs, maxDowntimeMs);
    if (verdict.kind !== 'AnotherRound') return { verdict, model, ageMs };
    const dirty = Math.min(world.treeBytes, (world.dirtyBytesPerSecond(round) * ageMs) / 1000);
    const next = pass(dirty, ageMs);
    model = learn(model, next);
    ageMs = next.durationMs + next.checkMs;
  }
  throw new Error(`no end within ${String(mostRounds)} rounds`);
}

const quiet: World = {
  treeBytes: 1000 * MIB,
  bytesPerSecond: 100 * MIB,
  dirtyBytesPerSecond: () => MIB,
  scanMs: 100,
  checkMs: 50,
};

void t.test('what is measured is what there is', (t) => {
  const { verdict, model } = run({ ...quiet, dirtyBytesPerSecond: () => 10 * MIB }, 1_400);
  t.equal(verdict.kind, 'Ready');
  const within = (found: number | undefined, wanted: number): boolean =>
    found !== undefined && Math.abs(found - wanted) <= wanted * 0.02;
  t.ok(within(model.dirtyBytesPerSecond, 10 * MIB), `${String(model.dirtyBytesPerSecond)} bytes per second`);
  t.ok(within(model.bytesPerSecond, 100 * MIB * (10_000 / 10_100)), `${String(model.bytesPerSecond)} bytes per second`);
  t.equal(model.checkMs, 50);
  t.ok((model.scanMs ?? Infinity) <= 110, `${String(model.scanMs)} ms`);
  t.end();
});

void t.test('before anything was copied nothing is known, and a copy is wanted', (t) => {
  t.equal(predict(untaught, 1000), undefined);
  t.same(decide(untaught, 0, 1e9), { kind: 'AnotherRound', predictedMs: undefined });
  t.end();
});

void t.test('a first copy that was short needs no round; a long one does, however long the downtime may be', (t) => {
  const short = learn(untaught, { durationMs: 300, bytesSent: 9, changedBytes: 9, checkMs: 50, treeBytes: 9 });
  t.same(decide(short, 350, 5_000), { kind: 'Ready', predictedMs: STOP_AND_START_MS + 350 });
  t.equal(decide(short, 350, 1_000).kind, 'AnotherRound');
  const long = learn(untaught, { durationMs: 60_000, bytesSent: 9, changedBytes: 9, checkMs: 0, treeBytes: 9 });
  t.equal(decide(long, 60_000, 3_600_000).kind, 'AnotherRound');
  t.end();
});

void t.test('a first copy that found most of the data there already says nothing about the link', (t) => {
  const resumed = learn(untaught, {
    durationMs: 10_000,
    bytesSent: 2 * MIB,
    changedBytes: MIB,
    checkMs: 0,
    treeBytes: 1000 * MIB,
  });
  t.equal(resumed.bytesPerSecond, undefined);
  const round = { durationMs: 10_000, bytesSent: MIB, changedBytes: MIB / 2, checkMs: 0, treeBytes: 1000 * MIB };
  const next = learn(resumed, { ...round, sinceMs: 10_000 });
  t.not(decide(next, 10_000, 5_000).kind, 'NotConverging', 'a slow scan is not taken for a slow link');
  t.end();
});

void t.test('the copy ages: what fits now need not fit later', (t) => {
  const { model, ageMs } = run({ ...quiet, dirtyBytesPerSecond: () => 20 * MIB }, 3_000);
  t.equal(decide(model, ageMs, 3_000).kind, 'Ready');
  t.not(decide(model, 60_000, 3_000).kind, 'Ready');
  t.end();
});

void t.test('a service that writes faster than the link carries is named as that', (t) => {
  const { verdict } = run({ ...quiet, dirtyBytesPerSecond: () => 150 * MIB, treeBytes: 1e12 }, 5_000);
  t.match(verdict, { kind: 'NotConverging', why: 'WritesTooFast' });
  t.end();
});

void t.test('a scan that is longer than the downtime may be is named as that', (t) => {
  const { verdict } = run({ ...quiet, scanMs: 20_000 }, 5_000);
  t.match(verdict, { kind: 'NotConverging', why: 'FixedCost' });
  t.end();
});

void t.test('the same pages written again and again make rounds that do not shrink', (t) => {
  const { verdict } = run({ ...quiet, treeBytes: 200 * MIB, dirtyBytesPerSecond: () => 99 * MIB }, 1_500);
  t.match(verdict, { kind: 'NotConverging' });
  t.end();
});

void t.test('one burst does not end it', (t) => {
  const burst = (round: number): number => (round === 2 ? 60 * MIB : MIB);
  t.equal(run({ ...quiet, dirtyBytesPerSecond: burst }, 1_200).verdict.kind, 'Ready');
  t.end();
});

void t.test('it always ends, and is only ready when the prediction fits', (t) => {
  const random = seededRandom(20_261_121);
  const between = (least: number, most: number): number => least * (most / least) ** random();
  for (let i = 0; i < 5_000; i++) {
    const rate = between(1e4, 2e9);
    const isSteady = random() < 0.5;
    const world: World = {
      treeBytes: between(1, 1e13),
      bytesPerSecond: between(1e4, 2e9),
      dirtyBytesPerSecond: () => (isSteady ? rate : between(1, rate)),
      scanMs: between(1, 1e6),
      checkMs: between(1, 1e6),
    };
    const max = between(1, 1e7);
    const { verdict, model, ageMs } = run(world, max);
    const { predictedMs = NaN } = verdict;
    if (verdict.kind === 'Ready' && !(predictedMs <= max))
      t.fail(`ready with ${String(predictedMs)} above ${String(max)}`);
    if (verdict.kind === 'NotConverging' && !(predictedMs > max)) t.fail(`gave up with ${String(predictedMs)}`);
    if (predict(model, ageMs) !== predictedMs) t.fail('the verdict names another prediction');
    const all = [predictedMs, model.scanMs ?? 0, model.bytesPerSecond ?? 0, model.dirtyBytesPerSecond ?? 0];
    if (!all.every((number) => Number.isFinite(number) && number >= 0)) t.fail(`not a number: ${all.join(' ')}`);
    if (isSteady && rate >= world.bytesPerSecond && world.treeBytes / world.bytesPerSecond > 10 * max) {
      if (verdict.kind !== 'NotConverging') t.fail(`ready, with ${JSON.stringify({ ...world, rate, max })}`);
    }
  }
  t.pass();
  t.end();
});

void t.test('a copy is kept fresh at a tenth of its cost, neither all the time nor hardly ever', (t) => {
  t.equal(refreshIntervalMs({ ...untaught, costMs: 10 }), 5_000);
  t.equal(refreshIntervalMs({ ...untaught, costMs: 2_000 }), 18_000);
  t.equal(refreshIntervalMs({ ...untaught, costMs: 3_600_000 }), 300_000);
  t.equal(refreshIntervalMs(untaught), 5_000);
  t.end();
});

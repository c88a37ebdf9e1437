import t from 'tap';
import { nextStep, recordOf, recordsOf, stepsToUndo, wasReached } from '../../../controllers/transfer/itinerary.ts';
import type { StepRecord } from '../../../controllers/transfer/itinerary.ts';
import { stopFirst as plan } from '../../../controllers/transfer/plan.ts';
import { delayBefore, maxAttempts } from '../../../controllers/transfer/retries.ts';
import type { Step } from '../../../controllers/transfer/step.ts';
import { GridferryError } from '../../../src/errors.ts';

const step = (name: string, undoable = true): Step => ({
  name,
  phase: 'Preparing',
  apply: async () => ({}),
  ...(undoable ? { undo: async () => undefined } : {}),
});
const steps = [step('a'), step('b'), step('c', false), step('d'), step('e')];

/** `a:Done` is a step that was begun once; `a:Pending` one that was not. */
function records(...states: string[]): StepRecord[] {
  return recordsOf(
    steps,
    states.map((text): StepRecord => {
      const [name = '', state = '', attempts = state === 'Pending' ? '0' : '1'] = text.split(':');
      return { name, phase: 'Preparing', state: state as StepRecord['state'], attempts: Number(attempts) };
    }),
  );
}

const namesOf = (list: readonly Step[]): string[] => list.map(({ name }) => name);

void t.test('the next step is the first that is not over, whatever process took the others', async (t) => {
  t.equal(nextStep(steps, records())?.name, 'a');
  t.equal(nextStep(steps, records('a:Done', 'b:Skipped'))?.name, 'c');
  t.equal(nextStep(steps, records('a:Done', 'b:Running'))?.name, 'b');
  t.equal(nextStep(steps, records('a:Done', 'b:Failed'))?.name, 'c', 'a failure that was passed is over');
  t.equal(nextStep(steps, records('a:Done', 'b:Done', 'c:Done', 'd:Done', 'e:Done')), undefined);
});

void t.test('records are kept, and made for steps that a newer version of the plan has', async (t) => {
  const made = records('d:Done:3');
  t.same(
    made.map(({ name, state, attempts }) => `${name} ${state} ${attempts}`),
    ['a Pending 0', 'b Pending 0', 'c Pending 0', 'd Done 3', 'e Pending 0'],
  );
  t.throws(() => recordOf(made, { name: 'unknown' }), /without a record/);
});

void t.test('undoing goes backwards through everything that was begun', async (t) => {
  t.same(namesOf(stepsToUndo(steps, records())), []);
  t.same(namesOf(stepsToUndo(steps, records('a:Done', 'b:Done', 'c:Done', 'd:Failed'))), ['d', 'b', 'a']);
  t.same(namesOf(stepsToUndo(steps, records('a:Done', 'b:Running'))), ['b', 'a'], 'half done is done, too');
  t.same(namesOf(stepsToUndo(steps, records('a:Done', 'b:Undone:2', 'c:Done', 'd:Undone'))), ['a']);
  t.same(namesOf(stepsToUndo(steps, records('a:Undone', 'b:Undone'))), []);
});

void t.test('a skipped step is undone: an unrecorded run of it may have left it nothing to do', async (t) => {
  t.same(namesOf(stepsToUndo(steps, records('a:Done', 'b:Skipped'))), ['b', 'a']);
});

void t.test('the step after the last recorded one is undone once it is marked as begun', async (t) => {
  t.same(namesOf(stepsToUndo(steps, records('a:Done', 'b:Failed:1', 'c:Pending'))), ['b', 'a']);
  t.same(namesOf(stepsToUndo(steps, records('a:Done', 'b:Pending:1'))), ['b', 'a'], 'an attempt is enough');
  t.ok(wasReached(records('a:Done:0'), 'a'), 'so is a state, when the count of attempts was lost');
  t.notOk(wasReached(records('a:Done'), 'b'));
  t.notOk(wasReached(undefined, 'a'));
});

void t.test('the plan of a move keeps its promises', async (t) => {
  const names = namesOf(plan);
  const before = (first: string, second: string): void => {
    t.ok(names.includes(first) && names.indexOf(first) < names.indexOf(second), `${first} before ${second}`);
  };
  t.equal(new Set(names).size, names.length, 'no name twice: records are found by it');
  t.equal(plan.filter((one) => one.commitPoint).length, 1);
  before('preflight', 'upload');
  before('plan-dns', 'lower-dns-ttl');
  before('quiesce-source', 'copy-final-delta');
  before('copy-final-delta', 'verify-data');
  before('verify-data', 'start-target');
  before('check-local-health', 'cut-over-dns');
  t.same(
    namesOf(plan.filter((one) => one.undoFirst)),
    ['copy-final-delta', 'copy-writable-layer', 'start-target', 'forward-old-address'],
    'these stand between the target and a source that starts again',
  );
  t.ok(plan.find(({ name }) => name === 'quiesce-source')?.undo);
});

void t.test('patience depends on whether the service is stopped', async (t) => {
  t.ok(maxAttempts({ phase: 'Restoring' }) < maxAttempts({ phase: 'Uploading' }));
});

void t.test('pauses grow to a cap, with jitter, and give way to a longer Retry-After', async (t) => {
  const pause = (attempt: number, random: number, error: unknown = new Error('x')): number =>
    delayBefore(attempt, { phase: 'Preparing' }, error, () => random);
  t.equal(pause(2, 0), 500);
  t.equal(pause(2, 0.5), 750);
  t.equal(pause(3, 0), 1000);
  t.equal(pause(50, 0), 10_000);
  t.ok(pause(1000, 0.999) <= 20_000);
  const slow = new GridferryError('GF_TEST', 'x', { class: 'retryable', retryAfterMs: 60_000 });
  t.equal(pause(2, 0, slow), 60_000);
  t.ok(delayBefore(9, { phase: 'Restoring' }, new Error('x'), () => 0.999) <= 4000, 'short while it is stopped');
});

import t from 'tap';
import { knownConditions } from '../../../controllers/transfer/status.ts';
import { openVisit } from '../../../controllers/transfer/visit.ts';
import type { Transfer, TransferStatus } from '../../../src/api/resources.ts';
import { findCondition } from '../../../src/runtime/conditions.ts';
import { createRedactor } from '../../../src/security/redact.ts';
import { transferOf } from '../../support/transfer-world.ts';
import { createVirtualClock } from '../../support/virtual-clock.ts';

const redactor = createRedactor();
redactor.add('correct-horse');
const clock = createVirtualClock();

function visitOf(status?: TransferStatus) {
  const transfer = transferOf('move');
  transfer.metadata.generation = 7;
  return openVisit({ ...transfer, ...(status === undefined ? {} : { status }) } as Transfer, clock, redactor);
}

void t.test('on the first visit every known condition is there, as Unknown', async (t) => {
  const { status } = visitOf();
  t.same(
    status.conditions?.map(({ type, status: value }) => `${type} ${value}`),
    knownConditions.map((type) => `${type} Unknown`),
  );
});

void t.test('what is shared is not changed', async (t) => {
  const before: TransferStatus = Object.freeze({ logs: Object.freeze(['one']) as unknown as string[] });
  const visit = visitOf(before);
  visit.log('two');
  t.same(before.logs, ['one']);
  t.equal(visit.status.logs?.length, 2);
});

void t.test('no secret gets into a condition, a log line or the message', async (t) => {
  const visit = visitOf();
  visit.condition('Accepted', 'False', 'Why', 'login with correct-horse failed');
  visit.log('tried correct-horse');
  visit.status.message = 'the password is correct-horse';
  t.notMatch(JSON.stringify(visit.finish()), 'correct-horse');
});

void t.test('of the log the last 100 lines are kept, none longer than 500 characters', async (t) => {
  const visit = visitOf();
  for (let line = 1; line <= 250; line++) visit.log(`line ${line} ${'x'.repeat(1000)}`);
  t.equal(visit.status.logs?.length, 100);
  t.match(visit.status.logs?.at(-1), /line 250 /);
  t.match(visit.status.logs?.[0], /line 151 /);
  t.ok(visit.status.logs?.every((line) => line.length <= 500));
});

void t.test('the time of a transition moves only with the status of the condition', async (t) => {
  const visit = visitOf();
  visit.condition('Accepted', 'True', 'Accepted', 'yes');
  const first = findCondition(visit.status.conditions, 'Accepted');
  await clock.advance(5000);
  visit.condition('Accepted', 'True', 'Accepted', 'still');
  const second = findCondition(visit.status.conditions, 'Accepted');
  t.equal(second?.lastTransitionTime, first?.lastTransitionTime);
  t.match(second, { message: 'still', observedGeneration: 7 });
});

void t.test('what follows from the rest is computed at the end, and a stale phase is not believed', async (t) => {
  const visit = visitOf({ phase: 'Completed', progressPercent: 100, currentStep: 'release' });
  const status = visit.finish();
  t.match(status, { phase: 'Pending', observedGeneration: 7 });
  t.equal(status.currentStep, undefined);
});

void t.test('another attempt forgets all but what is kept, and the conditions are Unknown again', async (t) => {
  const visit = visitOf({ outcome: 'Failed', failure: { step: 'a', code: 'GF_X', message: '' }, committedAt: 'x' });
  visit.condition('Succeeded', 'False', 'Failed', 'no');
  visit.restart({ logs: ['kept'] });
  t.same(Object.keys(visit.status).sort(), ['conditions', 'logs']);
  t.equal(findCondition(visit.status.conditions, 'Succeeded')?.status, 'Unknown');
});

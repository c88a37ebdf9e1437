import t from 'tap';
import { recordsOf } from '../../../controllers/transfer/itinerary.ts';
import type { StepRecord } from '../../../controllers/transfer/itinerary.ts';
import { stopFirst as plan } from '../../../controllers/transfer/plan.ts';
import {
  currentRecord,
  derivePercent,
  derivePhase,
  hasEnded,
  isTerminal,
} from '../../../controllers/transfer/status.ts';
import type { TransferPhase } from '../../../controllers/transfer/status.ts';
import type { Condition } from '../../../src/api/meta.ts';
import type { Transfer, TransferStatus } from '../../../src/api/resources.ts';

const condition = (type: string, status: Condition['status'], reason = 'X'): Condition => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});
const locked = condition('LockAcquired', 'True');

/** All steps before the named one are done. */
function reached(name: string | undefined, state: StepRecord['state'] = 'Running'): StepRecord[] {
  const records = recordsOf(plan);
  for (const record of records) {
    record.attempts = 1;
    record.state = 'Done';
    if (record.name !== name) continue;
    record.state = state;
    break;
  }
  return records;
}

void t.test('without an end, the phase is that of the step under way', async (t) => {
  t.equal(derivePhase({}), 'Pending');
  t.equal(derivePhase({ steps: reached('upload') }), 'Pending', 'nothing counts before the lock is there');
  t.equal(derivePhase({ conditions: [condition('LockAcquired', 'False')] }), 'Pending');
  t.equal(derivePhase({ conditions: [locked] }), 'Preparing');
  for (const { name, phase } of plan) {
    const shown = phase === 'Completed' ? 'Verifying' : phase;
    for (const state of ['Pending', 'Running'] as const) {
      t.equal(derivePhase({ conditions: [locked], steps: reached(name, state) }), shown, `${name} ${state}`);
    }
  }
});

void t.test('every combination of verdict, outcome and lock has one phase', async (t) => {
  const verdicts = [
    undefined,
    condition('Succeeded', 'Unknown', 'Progressing'),
    condition('Succeeded', 'True', 'Completed'),
    condition('Succeeded', 'False', 'Undoing'),
    condition('Succeeded', 'False', 'Failed'),
    condition('Succeeded', 'False', 'Cancelled'),
    condition('Succeeded', 'False', 'VerificationFailed'),
  ];
  for (const verdict of verdicts) {
    for (const outcome of [undefined, 'Failed', 'Cancelled'] as const) {
      for (const lock of [undefined, locked]) {
        for (const at of ['capture-source', 'copy-final-delta', 'soak', undefined]) {
          const status: TransferStatus = {
            conditions: [verdict, lock].filter((one) => one !== undefined),
            steps: reached(at),
            ...(outcome === undefined ? {} : { outcome }),
          };
          let expected: TransferPhase;
          if (verdict?.status === 'True') expected = 'Completed';
          else if (verdict?.status === 'False' && verdict.reason !== 'Undoing') {
            expected = outcome === 'Cancelled' ? 'Cancelled' : 'Failed';
          } else if (lock === undefined) expected = 'Pending';
          else if (at === 'capture-source') expected = 'Preparing';
          else expected = at === 'copy-final-delta' ? 'Restoring' : 'Verifying';
          const what = `${verdict?.status ?? '-'} ${verdict?.reason ?? ''} ${outcome ?? '-'} ${at ?? 'end'}`;
          t.equal(derivePhase(status), expected, what);
          const over = verdict !== undefined && verdict.status !== 'Unknown' && verdict.reason !== 'Undoing';
          t.equal(isTerminal(derivePhase(status)), over, what);
          t.equal(hasEnded({ status } as Transfer), over);
        }
      }
    }
  }
  t.equal(hasEnded({} as Transfer), false);
  t.equal(isTerminal(undefined), false);
});

void t.test('while it is undone the phase stays where it failed', async (t) => {
  const steps = reached('copy-final-delta', 'Undone');
  t.equal(currentRecord({ steps, outcome: 'Failed' })?.name, 'copy-final-delta');
  const status: TransferStatus = {
    outcome: 'Failed',
    conditions: [locked, condition('Succeeded', 'False', 'Undoing')],
    steps,
  };
  t.equal(derivePhase(status), 'Restoring');
  t.equal(currentRecord({}), undefined);
  const failed = reached('check-local-health', 'Failed');
  t.equal(currentRecord({ steps: failed, outcome: 'Failed' })?.phase, 'Restoring', 'also before the first undo');
  t.equal(currentRecord({ steps: failed })?.phase, 'DNSCutover', 'after the commit point it is passed');
});

void t.test('the percentage never falls on the way to the end', async (t) => {
  const status: TransferStatus = { conditions: [locked], steps: recordsOf(plan), bytesTotal: 1000, bytesDone: 0 };
  let last = derivePercent(status);
  t.equal(last, 0);
  const look = (what: string): void => {
    const now = derivePercent(status);
    t.ok(now >= last && now <= 99 && Number.isInteger(now), `${what}: ${last} → ${now}`);
    last = now;
  };
  for (const record of status.steps ?? []) {
    record.state = 'Running';
    record.attempts = 1;
    look(record.name);
    if (record.name === 'upload') {
      for (const done of [10, 400, 999, 1000]) {
        status.bytesDone = done;
        look(`${done} bytes`);
      }
    }
    record.state = record.name.includes('dns') ? 'Skipped' : 'Done';
    look(`${record.name} over`);
  }
  status.conditions = [condition('Succeeded', 'True')];
  t.equal(derivePercent(status), 100);
});

void t.test('without any bytes the steps themselves count', async (t) => {
  const status = { conditions: [locked], steps: reached('upload'), bytesTotal: 0 };
  const percent = derivePercent(status);
  t.ok(percent > 10 && percent < 80, `${percent}`);
  t.equal(derivePercent({}), 0, 'nothing is known yet');
});

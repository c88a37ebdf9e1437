import type { TransferStatus } from '../../src/api/resources.ts';
import type { Step } from './step.ts';

/**
 * Where a transfer stands in its plan, read from the recorded steps alone. Resuming after a crash is nothing special: it
 * is the same question asked by another process.
 */

export type StepRecord = NonNullable<TransferStatus['steps']>[number];

/** The records of a plan, with those already there kept. */
export function recordsOf(plan: readonly Step[], existing: readonly StepRecord[] = []): StepRecord[] {
  return plan.map(
    (step) =>
      existing.find((record) => record.name === step.name) ?? {
        name: step.name,
        phase: step.phase,
        state: 'Pending',
        attempts: 0,
      },
  );
}

/** Whether nothing more is to be done for a step on the way forward. After the commit point a failed step is passed. */
export function isOver(record: StepRecord): boolean {
  return record.state === 'Done' || record.state === 'Skipped' || record.state === 'Failed';
}

/** The next step to take, or `undefined` when all are over. */
export function nextStep(plan: readonly Step[], records: readonly StepRecord[]): Step | undefined {
  return plan.find((step) => !isOver(recordOf(records, step)));
}

/** Whether a step has been begun, whatever became of it. */
export function wasReached(records: readonly StepRecord[] | undefined, name: string): boolean {
  const record = records?.find((candidate) => candidate.name === name);
  return record !== undefined && (record.attempts > 0 || record.state !== 'Pending');
}

/**
 * What has to be undone, last first: everything that was begun. A skipped step counts, too: it may have found nothing to
 * do because a run of it that was never recorded had done it.
 */
export function stepsToUndo(plan: readonly Step[], records: readonly StepRecord[]): Step[] {
  return plan
    .filter(
      (step) => step.undo !== undefined && wasReached(records, step.name) && recordOf(records, step).state !== 'Undone',
    )
    .reverse();
}

export function recordOf(records: readonly StepRecord[], step: Pick<Step, 'name'>): StepRecord {
  const record = records.find((candidate) => candidate.name === step.name);
  if (record === undefined) throw new Error(`the plan has a step ${step.name} without a record`);
  return record;
}

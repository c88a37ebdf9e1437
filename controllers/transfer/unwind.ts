import { GridferryError } from '../../src/errors.ts';
import { requeueAfter } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import { recordDone } from './advance.ts';
import { courseOf, noteFailure, saying, undoCondition } from './course.ts';
import { finish } from './finish.ts';
import { nextStep, recordOf, stepsToUndo } from './itinerary.ts';
import type { References } from './references.ts';
import { delayBefore } from './retries.ts';
import type { RunName } from './step-runs.ts';
import type { Step } from './step.ts';
import {
  eventReason,
  failureOf,
  generationOf,
  isDeleting,
  PROGRESS_MS,
  startRun,
  STEP_WAIT_MS,
  uidOf,
  wasBegun,
} from './work.ts';
import type { Work } from './work.ts';

const UNDO_FAILED = 'undo failed';

/**
 * Ends what runs because the user no longer wants the transfer. That it will be undone, and from where, is written before
 * the undoing begins.
 */
export async function interrupt(work: Work): Promise<Result> {
  const { visit, runs, context, plan } = work;
  const { status } = visit;
  const uid = uidOf(work);
  const who = isDeleting(work) ? 'deleted' : 'cancelled';
  visit.log(`${who} by the user: undoing`);
  context.event('Normal', 'Cancelling', 'undoing what was done, as the user asked');
  const step = wasBegun(work) ? nextStep(plan, status.steps ?? []) : undefined;
  if (step !== undefined) {
    const run: RunName = `do ${step.name}`;
    const before = runs.peek(uid, run);
    if (before?.state === 'running') before.progress?.(status, visit.condition);
    await runs.abort(uid, new GridferryError('GF_TRANSFER_CANCELLED', `${who} by the user`));
    const after = runs.peek(uid, run);
    context.afterWrite(() => runs.forget(uid, run));
    if (after?.state === 'succeeded' && after.result.again === undefined) recordDone(work, step, after.result);
    else {
      // Begun or not: a process may have died after its effect and before its record.
      const record = recordOf(status.steps ?? [], step);
      record.attempts = Math.max(1, record.attempts);
      record.state = 'Failed';
      record.reason = 'Interrupted';
      record.message = `${who} by the user`;
      record.endTime = visit.now();
    }
  }
  if (courseOf(status) === 'Return') {
    const code = 'GF_TRANSFER_CANCELLED';
    noteFailure(status, { step: step?.name ?? '', code, message: `${code}: the rollback was ${who} by the user` });
  } else {
    status.outcome = 'Cancelled';
    delete status.failure;
  }
  visit.condition('Succeeded', 'False', 'Undoing', `${who} by the user`);
  return requeueAfter(0, 'undo');
}

/** Puts everything back, last step first. */
export async function unwind(work: Work, references: References): Promise<Result> {
  const { visit, runs, context, dependencies } = work;
  const { status } = visit;
  const uid = uidOf(work);
  const step = wasBegun(work) ? nextToUndo(work) : undefined;
  if (step === undefined) return finish(work);
  const returning = courseOf(status) === 'UndoReturn';
  const why = returning ? status.rollback?.failure : status.failure;
  visit.condition('Succeeded', 'False', 'Undoing', why?.message ?? 'cancelled by the user');

  const run: RunName = `undo ${step.name}`;
  const record = recordOf(status.steps ?? [], step);
  if (runs.peek(uid, run) === undefined) {
    const wait = runs.pausedFor(uid, generationOf(work), step.name);
    if (wait > 0) return requeueAfter(wait, `retry of the undo of step ${step.name}`);
    record.state = 'Undoing';
    delete record.message;
    startRun(work, references, step, run, async (stepContext) => {
      const change = await step.undo?.(stepContext);
      return change === undefined ? {} : { record: change };
    });
  }
  status.message = saying(status, `undoing step ${step.name}`);
  await runs.race(uid, STEP_WAIT_MS);
  const job = runs.peek(uid, run);
  if (job === undefined || job.state === 'running') {
    job?.progress?.(status, visit.condition);
    return requeueAfter(PROGRESS_MS, `undo of step ${step.name} runs`);
  }
  context.afterWrite(() => runs.forget(uid, run));
  if (job.state === 'succeeded') {
    job.result.record?.(status, visit.condition);
    record.state = 'Undone';
    record.endTime = visit.now();
    visit.log(`${step.name} undone`);
    context.event('Normal', eventReason(step, 'Undone'), `step ${step.name} undone`);
    return requeueAfter(0, 'next undo');
  }
  const failure = failureOf(step, job.error, dependencies);
  // Counted in the record, so that the pace of the retries survives a restart.
  record.attempts++;
  record.reason = failure.code;
  record.message = `${UNDO_FAILED}: ${failure.message}`;
  visit.log(`undo of ${step.name} failed: ${failure.message}`);
  visit.condition(undoCondition(status), 'False', 'UndoFailed', `undo of step ${step.name}: ${failure.message}`);
  context.event('Warning', eventReason(step, 'UndoFailed'), failure.message);
  status.message = saying(status, `undo of step ${step.name} failed and is tried again: ${failure.message}`);
  const ms = delayBefore(record.attempts + 1, step, job.error, dependencies.random);
  runs.pause(uid, generationOf(work), step.name, ms);
  // Others need not wait for this one; when there are none, its own pause is waited for.
  return requeueAfter(0, 'next undo');
}

/**
 * The next step to undo. One whose undo failed steps aside for the others, unless it guards "never two writers": then
 * nothing before it may be touched.
 */
function nextToUndo(work: Work): Step | undefined {
  const records = work.visit.status.steps ?? [];
  const open = stepsToUndo(work.plan, records);
  const failed = (step: Step): boolean => recordOf(records, step).message?.startsWith(UNDO_FAILED) === true;
  const running = open.find((step) => recordOf(records, step).state === 'Undoing' && !failed(step));
  if (running !== undefined) return running;
  const guard = open.findIndex((step) => step.undoFirst === true && failed(step));
  const allowed = guard === -1 ? open : open.slice(0, guard + 1);
  const wait = (step: Step): number => work.runs.pausedFor(uidOf(work), generationOf(work), step.name);
  return allowed.find((step) => !failed(step)) ?? allowed.toSorted((a, b) => wait(a) - wait(b))[0];
}

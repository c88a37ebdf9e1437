import { classOf } from '../../src/errors.ts';
import { requeueAfter, done } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import { accept, acceptReturn } from './accept.ts';
import type { TransferContext } from './context.ts';
import { awaitsReturn, commit, courseOf, isCommitted, noteFailure, saying } from './course.ts';
import { finish } from './finish.ts';
import { nextStep, recordOf } from './itinerary.ts';
import type { References } from './references.ts';
import { beginRollback } from './rollback/rollback.ts';
import { delayBefore, maxAttempts } from './retries.ts';
import type { RunName } from './step-runs.ts';
import type { Step, StepResult } from './step.ts';
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
import type { StepFailure, Work } from './work.ts';

/** The steps after the cutover that say whether the service itself works. */
const WATCHES: ReadonlySet<string> = new Set(['check-public-health', 'soak']);

/** Why a step that runs is at rest. */
const HOLDING = 'Holding';

/** Takes the next step, or looks how the present one is doing. */
export async function advance(work: Work, references: References): Promise<Result> {
  const { transfer, visit, context, runs, plan } = work;
  const { status } = visit;
  const uid = uidOf(work);
  const step = nextStep(plan, status.steps ?? []);
  if (step === undefined) return finish(work);

  const run: RunName = `do ${step.name}`;
  if (runs.peek(uid, run) === undefined) {
    // A deletion is not held up: nobody can take the suspension back once the object is gone from its file.
    if (transfer.spec.suspend && !isDeleting(work)) {
      status.message = saying(status, `suspended before step ${step.name}: set spec.suspend to false to go on`);
      visit.condition('Succeeded', 'Unknown', 'Suspended', status.message);
      return done;
    }
    if (!wasBegun(work)) return accept(work, references);
    if (awaitsReturn(status)) return acceptReturn(work, references);
    const wait = runs.pausedFor(uid, generationOf(work), step.name);
    if (wait > 0) return requeueAfter(wait, `next run of step ${step.name}`);
    const record = recordOf(status.steps ?? [], step);
    record.state = 'Running';
    if (record.reason === HOLDING) delete record.reason;
    else record.attempts++;
    record.startTime ??= visit.now();
    startRun(work, references, step, run, (stepContext) => forward(step, stepContext));
  }
  const progressing = courseOf(status) === 'Return' ? 'RollingBack' : 'Progressing';
  visit.condition('Succeeded', 'Unknown', progressing, saying(status, `step ${step.name}`));
  await runs.race(uid, STEP_WAIT_MS);
  const job = runs.peek(uid, run);
  if (job === undefined || job.state === 'running') {
    status.message = saying(status, `step ${step.name}`);
    job?.progress?.(status, visit.condition);
    return requeueAfter(PROGRESS_MS, `step ${step.name} runs`);
  }
  context.afterWrite(() => runs.forget(uid, run));
  if (job.state === 'failed') return stepFailed(work, step, job.error);
  if (job.result.again !== undefined) return hold(work, step, job.result, job.result.again);
  recordDone(work, step, job.result);
  return requeueAfter(0, 'next step');
}

async function forward(step: Step, context: TransferContext): Promise<StepResult> {
  const observed = await step.observe?.(context);
  return observed ?? step.apply(context);
}

/** Writes down that a step is over, and what it found out. */
export function recordDone(work: Work, step: Step, result: StepResult): void {
  const { visit, context, dependencies } = work;
  const record = recordOf(visit.status.steps ?? [], step);
  result.record?.(visit.status, visit.condition);
  record.state = result.skipped === true ? 'Skipped' : 'Done';
  // The write that said it was begun may have been lost to a conflict.
  record.attempts = Math.max(1, record.attempts);
  record.endTime = visit.now();
  delete record.reason;
  const message = result.message === undefined ? undefined : dependencies.redactor.redact(result.message);
  if (message === undefined) delete record.message;
  else record.message = message;
  if (step.commitPoint === true) commit(visit.status, visit.now());
  delete visit.status.bytesPerSecond;
  delete visit.status.etaSeconds;
  const said = message === undefined ? '' : `: ${message}`;
  visit.log(`${step.name} ${record.state === 'Done' ? 'done' : 'skipped'}${said}`);
  context.event('Normal', eventReason(step, record.state), `step ${step.name} ${record.state.toLowerCase()}${said}`);
  if (result.warning === undefined) return;
  const warning = dependencies.redactor.redact(result.warning);
  visit.log(`${step.name}: ${warning}`);
  context.event('Warning', eventReason(step, 'Warning'), warning);
}

/** The step waits for its time, or for its user. That it did so well makes up for attempts that failed before. */
function hold(work: Work, step: Step, result: StepResult, again: NonNullable<StepResult['again']>): Result {
  const { visit, context, runs, dependencies } = work;
  const { status } = visit;
  const record = recordOf(status.steps ?? [], step);
  result.record?.(status, visit.condition);
  record.attempts = 1;
  record.reason = HOLDING;
  status.message = dependencies.redactor.redact(result.message ?? `step ${step.name} waits`);
  if (record.message === undefined) {
    visit.log(`${step.name} waits: ${status.message}`);
    context.event('Normal', eventReason(step, HOLDING), status.message);
  }
  record.message = status.message;
  delete status.bytesPerSecond;
  delete status.etaSeconds;
  runs.pause(uidOf(work), again.generation, step.name, again.afterMs);
  const ms = runs.pausedFor(uidOf(work), generationOf(work), step.name);
  return requeueAfter(ms, `step ${step.name} waits`);
}

function stepFailed(work: Work, step: Step, error: unknown): Result {
  const { visit, context, dependencies, runs } = work;
  const { status } = visit;
  const record = recordOf(status.steps ?? [], step);
  record.attempts = Math.max(1, record.attempts);
  const failure = explained(step, failureOf(step, error, dependencies));
  record.reason = failure.code;
  record.message = failure.message;
  const endless = step.untilDone !== undefined && isCommitted(status);
  const again = classOf(error) !== 'terminal' && (endless || record.attempts < maxAttempts(step));
  visit.log(`${step.name} failed (attempt ${record.attempts}): ${failure.message}`);
  context.event('Warning', eventReason(step, 'Failed'), failure.message);
  context.log.warn({ step: step.name, code: failure.code, attempts: record.attempts, again }, failure.message);
  if (again) {
    const ms = delayBefore(record.attempts + 1, step, error, dependencies.random);
    runs.pause(uidOf(work), generationOf(work), step.name, ms);
    status.message = saying(status, `step ${step.name} failed and is tried again: ${failure.message}`);
    visit.condition('Succeeded', 'Unknown', 'Retrying', status.message);
    return requeueAfter(ms, `retry of step ${step.name}`);
  }
  record.state = 'Failed';
  record.endTime = visit.now();
  if (isCommitted(status)) {
    // Clients may have written where the service is by now: going on is the only way that loses nothing.
    noteFailure(status, failure);
    if (courseOf(status) === 'Return') return requeueAfter(0, 'next step');
    visit.condition('Verified', 'False', 'VerificationFailed', failure.message);
    const bringsBack = WATCHES.has(step.name) && work.transfer.spec.onSoakFailure === 'Rollback';
    if (bringsBack && status.rollback === undefined) beginRollback(work, 'Sync', 'SoakFailure');
    return requeueAfter(0, 'next step');
  }
  noteFailure(status, failure);
  if (courseOf(status) === 'UndoReturn') return requeueAfter(0, 'undo the rollback');
  status.outcome = 'Failed';
  visit.condition('Succeeded', 'False', 'Undoing', `step ${step.name} failed, undoing: ${failure.message}`);
  if (step.name === 'preflight') visit.condition('PreflightPassed', 'False', 'Blocked', failure.message);
  return requeueAfter(0, 'undo');
}

function explained({ untilDone }: Step, failure: StepFailure): StepFailure {
  return untilDone === undefined ? failure : { ...failure, message: `${failure.message} (${untilDone})` };
}

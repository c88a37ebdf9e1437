import { classOf } from '../../src/errors.ts';
import { requeueAfter, done } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import type { TransferContext } from './context.ts';
import { finish } from './finish.ts';
import { nextStep, recordOf } from './itinerary.ts';
import { acquireLocks, locksOf } from './locks.ts';
import { refusal } from './references.ts';
import type { References } from './references.ts';
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
import type { Work } from './work.ts';

/** How often a waiting transfer asks for its locks, in ms. */
const LOCK_RETRY_MS = 1000;

/** Takes the next step, or looks how the present one is doing. */
export async function advance(work: Work, references: References): Promise<Result> {
  const { transfer, visit, context, runs, plan } = work;
  const { status } = visit;
  const uid = uidOf(work);
  const step = nextStep(plan, status.steps ?? []);
  if (step === undefined) return finish(work, references);

  const run: RunName = `do ${step.name}`;
  if (runs.peek(uid, run) === undefined) {
    // A deletion is not held up: nobody can take the suspension back once the object is gone from its file.
    if (transfer.spec.suspend && !isDeleting(work)) {
      status.message = `suspended before step ${step.name}: set spec.suspend to false to go on`;
      visit.condition('Succeeded', 'Unknown', 'Suspended', status.message);
      return done;
    }
    if (!wasBegun(work)) return accept(work, references);
    const wait = runs.pausedFor(uid, generationOf(work), step.name);
    if (wait > 0) return requeueAfter(wait, `retry of step ${step.name}`);
    const record = recordOf(status.steps ?? [], step);
    record.state = 'Running';
    record.attempts++;
    record.startTime ??= visit.now();
    startRun(work, references, step, run, (stepContext) => forward(step, stepContext));
  }
  visit.condition('Succeeded', 'Unknown', 'Progressing', `step ${step.name}`);
  await runs.race(uid, STEP_WAIT_MS);
  const job = runs.peek(uid, run);
  if (job === undefined || job.state === 'running') {
    job?.progress?.(status, visit.condition);
    status.message = `step ${step.name}`;
    return requeueAfter(PROGRESS_MS, `step ${step.name} runs`);
  }
  context.afterWrite(() => runs.forget(uid, run));
  if (job.state === 'failed') return stepFailed(work, step, job.error);
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
  if (step.commitPoint === true) visit.status.committedAt = visit.now();
  delete visit.status.bytesPerSecond;
  delete visit.status.etaSeconds;
  const said = message === undefined ? '' : `: ${message}`;
  visit.log(`${step.name} ${record.state === 'Done' ? 'done' : 'skipped'}${said}`);
  context.event('Normal', eventReason(step, record.state), `step ${step.name} ${record.state.toLowerCase()}${said}`);
}

function stepFailed(work: Work, step: Step, error: unknown): Result {
  const { visit, context, dependencies, runs } = work;
  const { status } = visit;
  const record = recordOf(status.steps ?? [], step);
  record.attempts = Math.max(1, record.attempts);
  const failure = failureOf(step, error, dependencies);
  record.reason = failure.code;
  record.message = failure.message;
  const again = classOf(error) !== 'terminal' && record.attempts < maxAttempts(step);
  visit.log(`${step.name} failed (attempt ${record.attempts}): ${failure.message}`);
  context.event('Warning', eventReason(step, 'Failed'), failure.message);
  context.log.warn({ step: step.name, code: failure.code, attempts: record.attempts, again }, failure.message);
  if (again) {
    const ms = delayBefore(record.attempts + 1, step, error, dependencies.random);
    runs.pause(uidOf(work), generationOf(work), step.name, ms);
    status.message = `step ${step.name} failed and is tried again: ${failure.message}`;
    visit.condition('Succeeded', 'Unknown', 'Retrying', status.message);
    return requeueAfter(ms, `retry of step ${step.name}`);
  }
  record.state = 'Failed';
  record.endTime = visit.now();
  if (status.committedAt !== undefined) {
    // The service is at the target and clients may have written there: going on is the only way that loses nothing. Of
    // several failures the first is told: it is the likeliest cause of the others.
    status.failure ??= failure;
    visit.condition('Verified', 'False', 'VerificationFailed', failure.message);
    return requeueAfter(0, 'next step');
  }
  status.failure = failure;
  status.outcome = 'Failed';
  visit.condition('Succeeded', 'False', 'Undoing', `step ${step.name} failed, undoing: ${failure.message}`);
  if (step.name === 'preflight') visit.condition('PreflightPassed', 'False', 'Blocked', failure.message);
  return requeueAfter(0, 'undo');
}

/** Whether the servers can take part, and nobody else is at it. That it was accepted is written before any step begins. */
async function accept(work: Work, references: References): Promise<Result> {
  const { transfer, visit, context, dependencies } = work;
  const { status } = visit;
  const refused = refusal(references);
  if (refused !== undefined) {
    visit.condition('Accepted', 'False', refused.reason, refused.message);
    status.message = refused.message;
    return done;
  }
  visit.condition('Accepted', 'True', 'Accepted', 'the objects it refers to exist and the servers are online');
  const names = locksOf(transfer, references.source, references.target);
  const lock = await acquireLocks(context.client, transfer, names, visit.now());
  if (!lock.acquired) {
    visit.condition('LockAcquired', 'False', 'Waiting', lock.message);
    status.queuePosition = lock.position;
    status.message = lock.message;
    return requeueAfter(LOCK_RETRY_MS + dependencies.random() * 200, 'waits for a lock');
  }
  delete status.queuePosition;
  visit.condition('LockAcquired', 'True', 'Acquired', names.map((name) => name.what).join(', '));
  status.sourceServer = references.source.metadata.name;
  status.startTime = visit.now();
  const way = `from server ${status.sourceServer} to server ${transfer.spec.targetServerRef.name}`;
  status.message = `accepted: ${way}`;
  visit.log(status.message);
  context.event('Normal', 'Accepted', way);
  return requeueAfter(0, 'first step');
}

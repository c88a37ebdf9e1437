import { ManagedServers, PlatformConfigs, Services, Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { keyOf, keyString } from '../../src/api/meta.ts';
import type { KubeObject, ObjectKey } from '../../src/api/meta.ts';
import { classOf, GridferryError, messageOf } from '../../src/errors.ts';
import { createJobs } from '../../src/runtime/jobs.ts';
import type { Jobs } from '../../src/runtime/jobs.ts';
import type { ControllerDefinition, ReconcileContext, Reconciler } from '../../src/runtime/reconciler.ts';
import { done, requeueAfter } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import type { ControllerDependencies } from '../dependencies.ts';
import type { TransferContext } from './context.ts';
import { nextStep, recordOf, recordsOf, stepsToUndo } from './itinerary.ts';
import { acquireLocks, locksOf, releaseLocks } from './locks.ts';
import { plan } from './plan.ts';
import { findReferences, refusal } from './references.ts';
import type { References } from './references.ts';
import { delayBefore, maxAttempts } from './retries.ts';
import { createSession } from './session.ts';
import type { TransferSession } from './session.ts';
import { derivePhase, isTerminal } from './status.ts';
import type { Step, StepResult, StatusChange } from './step.ts';
import { openVisit } from './visit.ts';
import type { Visit } from './visit.ts';

/** Keeps the object until what the transfer did is finished or undone. */
const FINALIZER = 'gridferry.io/transfer';

/** How long one reconcile waits for a step, so that a short one needs no second reconcile, in ms. */
const STEP_WAIT_MS = 250;

/** How often the progress of a long step is written, in ms. */
const PROGRESS_MS = 500;

/** How often a waiting transfer asks for its locks, in ms. */
const LOCK_RETRY_MS = 1000;

type Context = ReconcileContext<Transfer>;
type StepJobs = Jobs<StatusChange, StepResult>;

/** The Transfer controller: its reconciler, and what wakes it. */
export function transferController(dependencies: ControllerDependencies): {
  readonly definition: ControllerDefinition<Transfer>;
  close(): Promise<void>;
} {
  const jobs: StepJobs = createJobs({ clock: dependencies.clock });
  const sessions = new Map<string, TransferSession>();
  // What waits for another object is found by its reference, so that it goes on as soon as that changes.
  const references = new Map<string, ReadonlySet<string>>();

  const reconciler: Reconciler<Transfer> = {
    name: 'transfer',
    type: Transfers,
    async reconcile(transfer, context) {
      references.set(keyString(context.key), referencesOf(transfer));
      const visit = openVisit(transfer, dependencies.clock, dependencies.redactor);
      const result = await reconcile({ transfer, context, visit, dependencies, jobs, sessions });
      context.setStatus(visit.finish());
      return result;
    },
    forget(key) {
      references.delete(keyString(key));
    },
  };

  const toKeys = (object: KubeObject): ObjectKey[] => {
    const reference = `${object.kind}/${keyString(keyOf(object))}`;
    return [...references]
      .filter(([, wanted]) => wanted.has(reference))
      .map(([key]) => {
        const [namespace = '', name = ''] = key.split('/');
        return { namespace, name };
      });
  };

  return {
    definition: {
      reconciler,
      watches: [ManagedServers, Services, PlatformConfigs].map((type) => ({ type, toKeys })) as never,
      concurrency: 16,
    },
    async close() {
      await jobs.abortAll();
      await Promise.allSettled([...sessions.values()].map((session) => session.close()));
    },
  };
}

function referencesOf({ metadata, spec, status }: Readonly<Transfer>): ReadonlySet<string> {
  const namespace = metadata.namespace ?? 'default';
  const servers = [spec.sourceServerRef?.name, status?.sourceServer, spec.targetServerRef.name];
  return new Set([
    ...servers.filter((name) => name !== undefined).map((name) => `ManagedServer/${namespace}/${name}`),
    ...(spec.serviceRef === undefined ? [] : [`Service/${namespace}/${spec.serviceRef.name}`]),
    `PlatformConfig/${namespace}/default`,
  ]);
}

interface Work {
  readonly transfer: Readonly<Transfer>;
  readonly context: Context;
  readonly visit: Visit;
  readonly dependencies: ControllerDependencies;
  readonly jobs: StepJobs;
  readonly sessions: Map<string, TransferSession>;
}

async function reconcile(work: Work): Promise<Result> {
  const { transfer, visit } = work;
  const { status } = visit;
  const deleting = transfer.metadata.deletionTimestamp !== undefined;

  if (isTerminal(derivePhase(status))) {
    if (!deleting && wantsRetry(work)) beginNewAttempt(work);
    else return deleting ? removeFinalizer(work) : done;
  }
  if (!deleting && !hasFinalizer(transfer)) {
    // The patched object comes back through the watch; until then nothing has been touched.
    await patchFinalizers(work, [...(transfer.metadata.finalizers ?? []), FINALIZER]);
    return done;
  }
  if (status.steps === undefined) {
    status.retryToken = transfer.spec.retryToken ?? '';
    visit.condition('Succeeded', 'Unknown', 'Waiting', 'not begun');
  }
  status.steps = recordsOf(plan, status.steps);

  // Before the commit point a deletion is a cancel. After it the service stays where it is, and the transfer is finished.
  const unwanted = transfer.spec.cancel || (deleting && status.committedAt === undefined);
  if (unwanted && status.outcome === undefined) {
    status.outcome = 'Cancelled';
    delete status.failure;
    visit.log(deleting ? 'deleted by the user: undoing' : 'cancelled by the user: undoing');
    work.context.event('Normal', 'Cancelling', 'undoing what was done, as the user asked');
    await work.jobs.abort(stepKey(work), new GridferryError('GF_TRANSFER_CANCELLED', 'cancelled by the user'));
    work.jobs.forget(stepKey(work));
  }

  const references = await findReferences(work.context.client, transfer);
  if ('reason' in references) {
    if (status.outcome !== undefined && !wasBegun(status)) return finish(work, undefined);
    visit.condition('Accepted', 'False', references.reason, references.message);
    status.message = references.message;
    return done;
  }
  if (status.outcome !== undefined) return unwind(work, references);
  return advance(work, references);
}

/** Takes the next step, or looks how the present one is doing. */
async function advance(work: Work, references: References): Promise<Result> {
  const { transfer, visit, context, jobs } = work;
  const { status } = visit;
  const step = nextStep(plan, status.steps ?? []);
  if (step === undefined) return finish(work, references);

  const running = jobs.peek(stepKey(work)) !== undefined;
  if (transfer.spec.suspend && !running) {
    status.message = `suspended before step ${step.name}: set spec.suspend to false to go on`;
    visit.condition('Succeeded', 'Unknown', 'Suspended', status.message);
    return done;
  }
  if (!wasBegun(status)) {
    const waiting = await accept(work, references);
    if (waiting !== undefined) return waiting;
  }
  visit.condition('Succeeded', 'Unknown', 'Progressing', `step ${step.name}`);

  if (!running) {
    const record = recordOf(status.steps ?? [], step);
    record.state = 'Running';
    record.attempts++;
    record.startTime ??= visit.now();
    start(work, references, step, (stepContext) => forward(step, stepContext));
  }
  await jobs.race(stepKey(work), STEP_WAIT_MS);
  const job = jobs.peek(stepKey(work));
  if (job === undefined || job.state === 'running') {
    job?.progress?.(status, visit.condition);
    status.message = `step ${step.name}`;
    return requeueAfter(PROGRESS_MS, `step ${step.name} runs`);
  }
  context.afterWrite(() => jobs.forget(stepKey(work)));
  if (job.state === 'failed') return stepFailed(work, step, job.error);
  return stepDone(work, step, job.result);
}

async function forward(step: Step, context: TransferContext): Promise<StepResult> {
  const observed = await step.observe?.(context);
  return observed ?? step.apply(context);
}

function stepDone(work: Work, step: Step, result: StepResult): Result {
  const { visit, context } = work;
  const record = recordOf(visit.status.steps ?? [], step);
  result.record?.(visit.status, visit.condition);
  record.state = result.skipped === true ? 'Skipped' : 'Done';
  record.endTime = visit.now();
  delete record.reason;
  if (result.message === undefined) delete record.message;
  else record.message = result.message;
  if (step.commitPoint === true) visit.status.committedAt = visit.now();
  delete visit.status.bytesPerSecond;
  delete visit.status.etaSeconds;
  const said = result.message === undefined ? '' : `: ${result.message}`;
  visit.log(`${step.name} ${record.state === 'Done' ? 'done' : 'skipped'}${said}`);
  context.event('Normal', eventReason(step, record.state), `step ${step.name} ${record.state.toLowerCase()}${said}`);
  return requeueAfter(0, 'next step');
}

function stepFailed(work: Work, step: Step, error: unknown): Result {
  const { visit, context, dependencies } = work;
  const { status } = visit;
  const record = recordOf(status.steps ?? [], step);
  const failure = failureOf(step, error, dependencies);
  record.reason = failure.code;
  record.message = failure.message;
  const again = classOf(error) !== 'terminal' && record.attempts < maxAttempts(step);
  visit.log(`${step.name} failed (attempt ${record.attempts}): ${failure.message}`);
  context.event('Warning', eventReason(step, 'Failed'), failure.message);
  context.log.warn({ step: step.name, code: failure.code, attempts: record.attempts, again }, failure.message);
  if (again) {
    const ms = delayBefore(record.attempts + 1, step, error, dependencies.random);
    status.message = `step ${step.name} failed and is tried again: ${failure.message}`;
    visit.condition('Succeeded', 'Unknown', 'Retrying', status.message);
    return requeueAfter(ms, `retry of step ${step.name}`);
  }
  status.failure = failure;
  record.state = 'Failed';
  record.endTime = visit.now();
  if (status.committedAt !== undefined) {
    // The service is at the target and clients may have written there: going on is the only way that loses nothing.
    visit.condition('Verified', 'False', 'VerificationFailed', failure.message);
    return requeueAfter(0, 'next step');
  }
  status.outcome = 'Failed';
  visit.condition('Succeeded', 'False', 'Undoing', `step ${step.name} failed, undoing: ${failure.message}`);
  if (step.name === 'preflight') visit.condition('PreflightPassed', 'False', 'Blocked', failure.message);
  return requeueAfter(0, 'undo');
}

/** Puts everything back, last step first. */
async function unwind(work: Work, references: References): Promise<Result> {
  const { visit, jobs, context, dependencies } = work;
  const { status } = visit;
  const records = status.steps ?? [];
  const step = wasBegun(status) ? nextToUndo(work) : undefined;
  if (step === undefined) return finish(work, references);
  visit.condition('Succeeded', 'False', 'Undoing', status.failure?.message ?? 'cancelled by the user');
  status.message = `undoing step ${step.name}`;

  const key = stepKey(work);
  const record = recordOf(records, step);
  if (jobs.peek(key) === undefined) {
    record.state = 'Undoing';
    // Whether the last try failed is read from the message: see nextToUndo.
    delete record.message;
    start(work, references, step, async (stepContext) => {
      const change = await step.undo?.(stepContext);
      return typeof change === 'function' ? { record: change } : {};
    });
  }
  await jobs.race(key, STEP_WAIT_MS);
  const job = jobs.peek(key);
  if (job === undefined || job.state === 'running') {
    job?.progress?.(status, visit.condition);
    return requeueAfter(PROGRESS_MS, `undo of step ${step.name} runs`);
  }
  context.afterWrite(() => jobs.forget(key));
  if (job.state === 'succeeded') {
    job.result.record?.(status, visit.condition);
    record.state = 'Undone';
    visit.log(`${step.name} undone`);
    context.event('Normal', eventReason(step, 'Undone'), `step ${step.name} undone`);
    return requeueAfter(0, 'next undo');
  }
  const failure = failureOf(step, job.error, dependencies);
  // Counted in the record, so that the pace of the retries survives a restart.
  record.attempts++;
  record.reason = failure.code;
  record.message = `undo failed: ${failure.message}`;
  visit.log(`undo of ${step.name} failed: ${failure.message}`);
  visit.condition('SourceRestored', 'False', 'UndoFailed', `undo of step ${step.name}: ${failure.message}`);
  context.event('Warning', eventReason(step, 'UndoFailed'), failure.message);
  status.message = `undo of step ${step.name} failed and is tried again: ${failure.message}`;
  return requeueAfter(delayBefore(record.attempts + 1, step, job.error, dependencies.random), 'retry of the undo');
}

/**
 * The next step to undo. One whose undo failed steps aside for the others, unless it guards "never two writers": then
 * nothing before it may be touched.
 */
function nextToUndo({ visit: { status } }: Work): Step | undefined {
  const open = stepsToUndo(plan, status.steps ?? []);
  const failed = (step: Step): boolean => recordOf(status.steps ?? [], step).message?.startsWith('undo failed') === true;
  const running = open.find((step) => recordOf(status.steps ?? [], step).state === 'Undoing' && !failed(step));
  if (running !== undefined) return running;
  const guard = open.findIndex((step) => step.undoFirst === true && failed(step));
  const allowed = guard === -1 ? open : open.slice(0, guard + 1);
  const attempts = (step: Step): number => recordOf(status.steps ?? [], step).attempts;
  return allowed.find((step) => !failed(step)) ?? allowed.toSorted((a, b) => attempts(a) - attempts(b))[0];
}

/** Everything that was to be done, forwards or backwards, is done. */
async function finish(work: Work, references: References | undefined): Promise<Result> {
  const { transfer, visit, context, sessions } = work;
  const { status } = visit;
  const uid = transfer.metadata.uid ?? '';
  if (references !== undefined) {
    await releaseLocks(context.client, transfer, locksOf(transfer, references.source, references.target));
  }
  await sessions.get(uid)?.close();
  sessions.delete(uid);
  status.completionTime = visit.now();
  delete status.queuePosition;
  visit.condition('CredentialsScrubbed', 'True', 'NoneMade', 'this transfer made no credentials of its own');
  if (status.outcome === undefined && status.failure === undefined) {
    visit.condition('Succeeded', 'True', 'Completed', `the service runs on server ${transfer.spec.targetServerRef.name}`);
    status.message = `the service runs on server ${transfer.spec.targetServerRef.name}`;
    context.event('Normal', 'Completed', status.message);
  } else if (status.outcome === undefined) {
    status.message =
      `the service runs on server ${transfer.spec.targetServerRef.name}, but step ${status.failure?.step ?? ''} ` +
      `failed: ${status.failure?.message ?? ''} Check it there; the stopped source is kept.`;
    visit.condition('Succeeded', 'False', 'VerificationFailed', status.message);
    context.event('Warning', 'VerificationFailed', status.message);
  } else {
    const why = status.failure?.message ?? 'cancelled by the user';
    visit.condition('SourceRestored', 'True', 'AsBefore', 'the source is as it was before the transfer');
    visit.condition('Succeeded', 'False', status.outcome, why);
    status.message = `${why}${/[.!?]$/.test(why) ? '' : '.'} The source is as it was.`;
    context.event(status.outcome === 'Failed' ? 'Warning' : 'Normal', status.outcome, status.message);
  }
  visit.log(status.message);
  return transfer.metadata.deletionTimestamp === undefined ? done : requeueAfter(0, 'remove the finalizer');
}

/** Whether the servers can take part, and nobody else is at it. */
async function accept(work: Work, references: References): Promise<Result | undefined> {
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
  visit.log(`accepted: from server ${status.sourceServer} to server ${transfer.spec.targetServerRef.name}`);
  context.event('Normal', 'Accepted', `from server ${status.sourceServer} to server ${transfer.spec.targetServerRef.name}`);
  return undefined;
}

function start(
  work: Work,
  references: References,
  step: Step,
  run: (context: TransferContext) => Promise<StepResult>,
): void {
  const { transfer, visit, context, dependencies, jobs, sessions } = work;
  const uid = transfer.metadata.uid ?? '';
  let session = sessions.get(uid);
  if (session === undefined) sessions.set(uid, (session = createSession()));
  const stepContext = {
    transfer,
    status: structuredClone(visit.status),
    sourceServer: references.source,
    targetServer: references.target,
    service: references.service,
    platform: references.platform,
    session,
    dependencies,
    clock: dependencies.clock,
    log: context.log.child({ step: step.name }),
  };
  jobs.start(stepKey(work), (signal, report) => run({ ...stepContext, signal, report }), context.wake);
}

function stepKey({ transfer }: Pick<Work, 'transfer'>): string {
  return transfer.metadata.uid ?? keyString(keyOf(transfer));
}

function failureOf(
  step: Step,
  error: unknown,
  { redactor }: ControllerDependencies,
): { step: string; code: string; message: string } {
  const code = error instanceof GridferryError ? error.code : 'GF_UNEXPECTED';
  return { step: step.name, code, message: `${code}: ${redactor.redact(messageOf(error))}`.slice(0, 2000) };
}

/** Such as `CopyImagesDone`. */
function eventReason(step: Step, what: string): string {
  const words = step.name.split('-').map((word) => word[0]!.toUpperCase() + word.slice(1));
  return `${words.join('')}${what}`;
}

function wasBegun(status: Visit['status']): boolean {
  return status.startTime !== undefined;
}

function wantsRetry({ transfer, visit: { status } }: Work): boolean {
  const token = transfer.spec.retryToken ?? '';
  return derivePhase(status) !== 'Completed' && token !== (status.retryToken ?? '') && !transfer.spec.cancel;
}

/** Everything but the history starts anew: the source is as it was, and the servers are asked again. */
function beginNewAttempt({ transfer, visit }: Work): void {
  const { status } = visit;
  const past = {
    ...(status.startTime === undefined ? {} : { startTime: status.startTime }),
    ...(status.completionTime === undefined ? {} : { endTime: status.completionTime }),
    phase: derivePhase(status),
    message: status.message ?? '',
  };
  visit.restart({ attempts: [...(status.attempts ?? []), past].slice(-5), logs: status.logs ?? [] });
  status.retryToken = transfer.spec.retryToken ?? '';
  visit.log('started again by retryToken');
}

function hasFinalizer({ metadata }: Readonly<Transfer>): boolean {
  return metadata.finalizers?.includes(FINALIZER) === true;
}

async function removeFinalizer(work: Work): Promise<Result> {
  if (hasFinalizer(work.transfer)) {
    await patchFinalizers(
      work,
      (work.transfer.metadata.finalizers ?? []).filter((name) => name !== FINALIZER),
    );
  }
  return done;
}

async function patchFinalizers({ transfer, context }: Work, finalizers: readonly string[]): Promise<void> {
  await context.client.patch(Transfers, context.key, {
    type: 'merge',
    body: { metadata: { finalizers, resourceVersion: transfer.metadata.resourceVersion } },
  });
}

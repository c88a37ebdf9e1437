import type { Transfer } from '../../src/api/resources.ts';
import { keyOf, keyString } from '../../src/api/meta.ts';
import { GridferryError, messageOf } from '../../src/errors.ts';
import type { ReconcileContext } from '../../src/runtime/reconciler.ts';
import { plainCopy } from '../../src/runtime/structural.ts';
import type { ControllerDependencies } from '../dependencies.ts';
import type { Chores } from './aftercare.ts';
import type { TransferContext } from './context.ts';
import type { DataPlane } from './copying/data-plane.ts';
import type { TransferLocks } from './locking/locks.ts';
import type { References } from './references.ts';
import type { Renewals } from './locking/renewals.ts';
import type { RunName, StepRuns } from './step-runs.ts';
import type { TransferSession } from './session.ts';
import type { StatusChange, Step, StepResult } from './step.ts';
import type { Visit } from './visit.ts';

/** How long one reconcile waits for a step, so that a short one needs no second reconcile, in ms. */
export const STEP_WAIT_MS = 250;

/** How often the progress of a long step is written, in ms. */
export const PROGRESS_MS = 500;

/** One reconcile of one transfer. */
export interface Work {
  readonly transfer: Readonly<Transfer>;
  readonly context: ReconcileContext<Transfer>;
  readonly visit: Visit;
  readonly dependencies: ControllerDependencies;
  readonly plan: readonly Step[];
  readonly dataPlane: DataPlane;
  readonly runs: StepRuns;
  readonly locks: TransferLocks;
  readonly renewals: Renewals;
  readonly chores: Chores;
}

export interface StepFailure {
  readonly step: string;
  readonly code: string;
  readonly message: string;
}

export function uidOf({ transfer }: Pick<Work, 'transfer'>): string {
  return transfer.metadata.uid ?? keyString(keyOf(transfer));
}

export function generationOf({ transfer }: Pick<Work, 'transfer'>): number {
  return transfer.metadata.generation ?? 0;
}

export function isDeleting({ transfer }: Pick<Work, 'transfer'>): boolean {
  return transfer.metadata.deletionTimestamp !== undefined;
}

/** Whether it was accepted, so that its steps may have touched a server. */
export function wasBegun({ visit: { status } }: Pick<Work, 'visit'>): boolean {
  return status.startTime !== undefined;
}

/** Sets a step to work, forwards or backwards. */
export function startRun(
  work: Work,
  references: References,
  step: Step,
  run: RunName,
  take: (context: TransferContext) => Promise<StepResult>,
): void {
  const stepContext = contextOf(work, references, step);
  work.runs.start(
    uidOf(work),
    run,
    (signal, report) =>
      tellingRoute(stepContext.session, report, (tell) => take({ ...stepContext, signal, report: tell })),
    work.context.wake,
  );
}

/** What happens on the way that the data take is told with everything a step reports, and with its result. */
async function tellingRoute(
  { route }: TransferSession,
  report: (change: StatusChange) => void,
  take: (report: (change: StatusChange) => void) => Promise<StepResult>,
): Promise<StepResult> {
  const withNews =
    (change: StatusChange | undefined): StatusChange =>
    (status, condition) => {
      change?.(status, condition);
      route.tell(status);
    };
  const result = await take((change) => report(withNews(change)));
  return { ...result, record: withNews(result.record) };
}

/** What a step works with, but for what belongs to one run of it. */
export function contextOf(
  work: Work,
  references: References,
  step: Pick<Step, 'name'>,
): Omit<TransferContext, 'signal' | 'report'> {
  const { transfer, visit, context, dependencies, runs } = work;
  return {
    transfer,
    status: plainCopy(visit.status),
    sourceServer: references.source,
    targetServer: references.target,
    service: references.service,
    platform: references.platform,
    session: runs.session(uidOf(work)),
    dependencies,
    dataPlane: work.dataPlane,
    clock: dependencies.clock,
    log: context.log.child({ step: step.name }),
  };
}

export function failureOf(step: Step, error: unknown, { redactor }: ControllerDependencies): StepFailure {
  const code = error instanceof GridferryError ? error.code : 'GF_UNEXPECTED';
  return { step: step.name, code, message: `${code}: ${redactor.redact(messageOf(error))}`.slice(0, 2000) };
}

/** Such as `CaptureSourceDone`. */
export function eventReason(step: Step, what: string): string {
  const words = step.name.split('-').map((word) => word[0]!.toUpperCase() + word.slice(1));
  return `${words.join('')}${what}`;
}

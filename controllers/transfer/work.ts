import type { Transfer } from '../../src/api/resources.ts';
import { keyOf, keyString } from '../../src/api/meta.ts';
import { GridferryError, messageOf } from '../../src/errors.ts';
import type { ReconcileContext } from '../../src/runtime/reconciler.ts';
import type { ControllerDependencies } from '../dependencies.ts';
import type { TransferContext } from './context.ts';
import type { References } from './references.ts';
import type { RunName, StepRuns } from './step-runs.ts';
import type { Step, StepResult } from './step.ts';
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
  readonly runs: StepRuns;
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
  const { transfer, visit, context, dependencies, runs } = work;
  const stepContext = {
    transfer,
    status: structuredClone(visit.status),
    sourceServer: references.source,
    targetServer: references.target,
    service: references.service,
    platform: references.platform,
    session: runs.session(uidOf(work)),
    dependencies,
    clock: dependencies.clock,
    log: context.log.child({ step: step.name }),
  };
  runs.start(uidOf(work), run, (signal, report) => take({ ...stepContext, signal, report }), context.wake);
}

export function failureOf(step: Step, error: unknown, { redactor }: ControllerDependencies): StepFailure {
  const code = error instanceof GridferryError ? error.code : 'GF_UNEXPECTED';
  return { step: step.name, code, message: `${code}: ${redactor.redact(messageOf(error))}`.slice(0, 2000) };
}

/** Such as `CopyImagesDone`. */
export function eventReason(step: Step, what: string): string {
  const words = step.name.split('-').map((word) => word[0]!.toUpperCase() + word.slice(1));
  return `${words.join('')}${what}`;
}

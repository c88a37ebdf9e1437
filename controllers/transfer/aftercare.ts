import { ManagedServers, PlatformConfigs, Services, Transfers } from '../../src/api/resources.ts';
import { messageOf } from '../../src/errors.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { done, requeueAfter } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import { tidyForward } from './cutover/forwarding.ts';
import type { References } from './references.ts';
import { deleteSource, lookAtSource, markSource, unmarkSource } from './rollback/retention.ts';
import { hasLeavings, scrubLeavings, settleLeavings } from './leavings.ts';
import { judgeWish } from './rollback/rollback.ts';
import { lookRefusals, outlookOf, rollbackDeadlineOf } from './rollback/rollback-outlook.ts';
import type { Outlook } from './rollback/rollback-outlook.ts';
import type { RunName } from './step-runs.ts';
import type { Step } from './step.ts';
import { eventReason, generationOf, PROGRESS_MS, startRun, STEP_WAIT_MS, uidOf } from './work.ts';
import type { Work } from './work.ts';

/** What is done for a transfer that is over: there may be a way back for a while, and something to delete after it. */
export interface Chores {
  readonly look: Step;
  readonly mark: Step;
  readonly unmark: Step;
  readonly deleteSource: Step;
  readonly scrub: Step;
  readonly tidy: Step;
}

export const realChores: Chores = {
  look: lookAtSource,
  mark: markSource,
  unmark: unmarkSource,
  deleteSource,
  scrub: scrubLeavings,
  tidy: tidyForward,
};

/** How often the stopped source is looked at, and how soon again when something was wrong, in ms. */
const LOOK_EVERY_MS = 600_000;
const RETRY_MS = 60_000;

/** Says whether there is a way back, begins it when the user asks for it, and sees to the stopped source. */
export async function afterwards(work: Work): Promise<Result> {
  return noLaterThan(forwardEndsIn(work), await seeTo(work));
}

async function seeTo(work: Work): Promise<Result> {
  const { status } = work.visit;
  const references = knownReferences(work);
  const outlook = outlookNow(work, references);
  const deadline = rollbackDeadlineOf(status, work.transfer.spec);
  if (deadline !== undefined) showOutlook(work, outlook);
  const scrubbing = await scrubFirst(work, references);
  if (scrubbing !== undefined) return scrubbing;
  const tidying = await tidyForwardInTime(work, references);
  if (tidying !== undefined) return tidying;
  const online = references !== undefined && [references.source, references.target].every(isOnline);
  // What was found last may have been put right since: a new wish is not refused before another look.
  if (isFromLook(outlook) && online && waitFor(work, work.chores.look) === 0) {
    return attend(work, references, work.chores.look);
  }
  if (judgeWish(work, outlook)) return requeueAfter(0, 'roll back');
  if (deadline === undefined || status.rollback?.outcome === 'RolledBack' || status.sourceDeletedAt !== undefined) {
    return done;
  }
  const left = deadline - work.dependencies.clock.now();
  const chore = choreNow(work, left);
  if (chore === undefined) return left > 0 ? requeueAfter(Math.min(left, LOOK_EVERY_MS), 'rollbackWindow') : done;
  if (!online)
    return requeueAfter(left > 0 ? Math.min(RETRY_MS, left) : RETRY_MS, `${chore.name} waits for the servers`);
  const wait = waitFor(work, chore);
  if (wait > 0) return requeueAfter(left > 0 ? Math.min(wait, left) : wait, chore.name);
  return attend(work, references, chore);
}

/** As long as something of the transfer may be on a server, credentials above all, nothing is more urgent. */
async function scrubFirst(work: Work, references: References | undefined): Promise<Result | undefined> {
  const { scrub } = work.chores;
  if (!hasLeavings(work.visit.status) || references === undefined) return undefined;
  const wait = waitFor(work, scrub);
  return wait > 0 ? requeueAfter(wait, scrub.name) : attend(work, references, scrub);
}

/** In ms; not above 0 once it has ended, undefined when nothing is passed on. */
function forwardEndsIn({ visit, dependencies }: Work): number | undefined {
  const { state, until } = visit.status.forward ?? {};
  return state === 'Active' && until !== undefined ? Date.parse(until) - dependencies.clock.now() : undefined;
}

/** The forward ends by itself; what a restart of dockerd made it leave behind does not. */
async function tidyForwardInTime(work: Work, references: References | undefined): Promise<Result | undefined> {
  const left = forwardEndsIn(work);
  const { tidy } = work.chores;
  if (left === undefined || left > 0 || references === undefined || !isOnline(references.source)) return undefined;
  return waitFor(work, tidy) > 0 ? undefined : attend(work, references, tidy);
}

function noLaterThan(ms: number | undefined, result: Result): Result {
  if (ms === undefined || ms <= 0 || !(result.kind === 'done' || (result.kind === 'requeueAfter' && result.ms > ms))) {
    return result;
  }
  return requeueAfter(ms, 'the forward of the old address ends');
}

/** Takes away, before the object goes, what it left on a server. Answers `undefined` when there is nothing (any more). */
export async function leave(work: Work): Promise<Result | undefined> {
  const references = knownReferences(work);
  const scrubbing = await scrubFirst(work, references);
  if (scrubbing !== undefined) return scrubbing;
  if (!isMarked(work)) return undefined;
  const { unmark } = work.chores;
  const failed = waitFor(work, unmark) > 0;
  if (references !== undefined && !failed) return attend(work, references, unmark);
  const name = `gridferry-kept-${work.transfer.metadata.uid ?? ''}`;
  const message = `the mark on server ${work.visit.status.sourceServer ?? ''} could not be taken away: docker volume rm ${name}`;
  work.context.event('Warning', 'MarkLeft', message);
  return undefined;
}

function outlookNow({ transfer, visit, context, dependencies }: Work, references: References | undefined): Outlook {
  return outlookOf({
    transfer,
    status: visit.status,
    source: references?.source,
    target: references?.target,
    service: references?.service,
    transfers: context.cache(Transfers).list(context.key.namespace),
    now: dependencies.clock.now(),
  });
}

/** For the moment in which a move is over; from then on `afterwards` keeps it true. */
export function tellOutlook(work: Work): void {
  showOutlook(work, outlookNow(work, knownReferences(work)));
}

function isFromLook(outlook: Outlook): boolean {
  return !outlook.possible && lookRefusals.some((reason) => reason === outlook.reason);
}

/** How long this is still put off, in ms. A change of the spec ends the wait. */
function waitFor(work: Work, chore: Step): number {
  return work.runs.pausedFor(uidOf(work), generationOf(work), chore.name);
}

function showOutlook({ visit }: Work, outlook: Outlook): void {
  visit.status.canRollback = outlook.possible;
  if (outlook.possible) visit.condition('CanRollback', 'True', 'WithinWindow', outlook.message);
  else visit.condition('CanRollback', 'False', outlook.reason, outlook.message);
}

/** What is to be done next, `undefined` when nothing is; it may have to wait for its time. */
function choreNow({ transfer, visit, chores }: Work, left: number): Chores[keyof Chores] | undefined {
  const said = findCondition(visit.status.conditions, 'SourceRetained')?.reason;
  const settled = said === 'Changed' || said === 'MarkGone';
  if (transfer.spec.retention.source === 'DeleteAfterWindow' && !settled) {
    if (said === undefined || said === 'Kept') return chores.mark;
    if (left <= 0) return chores.deleteSource;
  } else if (isMarked({ visit })) {
    return chores.unmark;
  }
  return left > 0 ? chores.look : undefined;
}

function isMarked({ visit: { status } }: Pick<Work, 'visit'>): boolean {
  const said = findCondition(status.conditions, 'SourceRetained')?.reason;
  return (said === 'UntilWindowOver' || said === 'Deleting') && status.sourceDeletedAt === undefined;
}

/** Runs a chore in the background, as steps are run. */
async function attend(work: Work, references: References, chore: Step): Promise<Result> {
  const { visit, runs, context, dependencies } = work;
  const uid = uidOf(work);
  const run: RunName = `do ${chore.name}`;
  if (runs.peek(uid, run) === undefined) {
    startRun(work, references, chore, run, (choreContext) => chore.apply(choreContext));
  }
  await runs.race(uid, STEP_WAIT_MS);
  const job = runs.peek(uid, run);
  if (job === undefined || job.state === 'running') return requeueAfter(PROGRESS_MS, `${chore.name} runs`);
  context.afterWrite(() => runs.forget(uid, run));
  if (job.state === 'failed') {
    const message = dependencies.redactor.redact(messageOf(job.error));
    context.log.warn({ chore: chore.name }, message);
    if (chore !== work.chores.look) context.event('Warning', eventReason(chore, 'Failed'), message);
    runs.pause(uid, generationOf(work), chore.name, RETRY_MS);
    return requeueAfter(RETRY_MS, `${chore.name} failed`);
  }
  const couldRollBack = visit.status.canRollback;
  job.result.record?.(visit.status, visit.condition);
  if (chore === work.chores.scrub) settleLeavings(visit.status);
  if (job.result.message !== undefined) {
    const message = dependencies.redactor.redact(job.result.message);
    visit.log(message);
    context.event('Normal', eventReason(chore, 'Done'), message);
  }
  const outlook = outlookNow(work, references);
  showOutlook(work, outlook);
  if (chore === work.chores.look) {
    runs.pause(uid, generationOf(work), chore.name, isFromLook(outlook) ? RETRY_MS : LOOK_EVERY_MS);
  }
  if (couldRollBack === true && !outlook.possible) context.event('Warning', 'RollbackImpossible', outlook.message);
  return requeueAfter(0, 'what was found');
}

/** From what is known here: this is asked for often, and decides nothing that a look does not see once more. */
function knownReferences({ transfer, visit: { status }, context }: Work): References | undefined {
  const { namespace } = context.key;
  const find = (name: string | undefined) =>
    name === undefined ? undefined : context.cache(ManagedServers).get({ namespace, name });
  const source = find(status.sourceServer);
  const target = find(transfer.spec.targetServerRef.name);
  if (source === undefined || target === undefined) return undefined;
  const { serviceRef } = transfer.spec;
  return {
    source,
    target,
    service: serviceRef && context.cache(Services).get({ namespace, name: serviceRef.name }),
    platform: context.cache(PlatformConfigs).get({ namespace, name: 'default' }),
  };
}

function isOnline({ status }: References['source']): boolean {
  return status?.phase === 'Online';
}

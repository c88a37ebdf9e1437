import { GridferryError } from '../../../src/errors.ts';
import { findCondition } from '../../../src/runtime/conditions.ts';
import { done, requeueAfter } from '../../../src/runtime/result.ts';
import type { Result } from '../../../src/runtime/result.ts';
import { formatBytes } from '../../format-bytes.ts';
import type { PlanOf } from '../plan.ts';
import { planMove } from './planned-move.ts';
import type { Outlook, PlannedMove } from './planned-move.ts';
import { findReferences, isUnprobed, refusals } from '../references.ts';
import type { NotAccepted, References } from '../references.ts';
import { isPlanned } from '../status.ts';
import type { RunName } from '../step-runs.ts';
import type { Step } from '../step.ts';
import { generationOf, isDeleting, PROGRESS_MS, startRun, STEP_WAIT_MS, uidOf, wasBegun } from '../work.ts';
import type { Work } from '../work.ts';

/** Whether the user wants to know what a move would do. One that was begun is past that. */
export function wantsPlan(work: Work): boolean {
  const { spec } = work.transfer;
  const { status } = work.visit;
  return spec.mode === 'Plan' && !spec.cancel && !isDeleting(work) && !wasBegun(work) && status.outcome === undefined;
}

/** Makes the plan, or leaves it as it is when it still answers the spec. Nothing is locked, and there is no finalizer. */
export async function planAhead(work: Work, planOf: PlanOf): Promise<Result> {
  const { transfer, visit, context, runs } = work;
  const { status } = visit;
  const uid = uidOf(work);
  const run: RunName = `do plan@${String(generationOf(work))}`;
  const references = await findReferences(context.client, transfer);
  const refused = 'reason' in references ? [references] : refusals(references);
  if (isUpToDate(work, refused)) return done;

  if ('reason' in references) return record(work, nothingKnown(visit.now(), references), refused);
  const unprobed = [references.source, references.target].find(isUnprobed);
  if (unprobed !== undefined) {
    status.message = `waits for the first look at server ${unprobed.metadata.name}`;
    visit.condition('Succeeded', 'Unknown', 'Planning', status.message);
    return done;
  }
  if (runs.peek(uid, run) === undefined) {
    startRun(work, references, planStep(planOf, references, refused), run, (stepContext) =>
      planStep(planOf, references, refused).apply(stepContext),
    );
  }
  status.message = 'planning';
  visit.condition('Succeeded', 'Unknown', 'Planning', 'reading both servers');
  await runs.race(uid, STEP_WAIT_MS);
  const job = runs.peek(uid, run);
  if (job === undefined || job.state === 'running') return requeueAfter(PROGRESS_MS, 'planning');
  if (job.state === 'failed') throw job.error;
  job.result.record?.(status, visit.condition);
  // The next plan is to look anew.
  await runs.drop(uid, new GridferryError('GF_TRANSFER_CANCELLED', 'the plan is made'));
  return status.plan === undefined ? done : record(work, status.plan, refused);
}

/** Once the user has decided to move, the plan stays to be read, and what is recorded begins anew. */
export async function leavePlan(work: Work): Promise<void> {
  const { visit, runs } = work;
  const isPlanning = findCondition(visit.status.conditions, 'Succeeded')?.reason === 'Planning';
  if (!isPlanning && !isPlanned(visit.status)) return;
  await runs.drop(uidOf(work), new GridferryError('GF_TRANSFER_CANCELLED', 'no plan is wanted any more'));
  const { plan, logs } = visit.status;
  visit.restart({ ...(plan === undefined ? {} : { plan }), ...(logs === undefined ? {} : { logs }) });
}

/** A plan that says that a server is away, or closed, holds only as long as that is so. */
function isUpToDate({ transfer, visit: { status } }: Work, refused: readonly NotAccepted[]): boolean {
  if (!isPlanned(status) || status.plan === undefined) return false;
  const succeeded = findCondition(status.conditions, 'Succeeded');
  const accepted = findCondition(status.conditions, 'Accepted');
  return (
    succeeded?.observedGeneration === transfer.metadata.generation &&
    (accepted?.status === 'False' ? accepted.message : '') === refused.map(({ message }) => message).join('; ')
  );
}

/** Planning, as the session's other work: beside the visits, and ended when nobody wants it any more. */
function planStep(planOf: PlanOf, references: References, refused: readonly NotAccepted[]): Step {
  const isOnline = ({ status }: References['source']): boolean => status?.phase === 'Online';
  const outlook: Outlook = {
    blockers: refused,
    sourceOnline: isOnline(references.source),
    targetOnline: isOnline(references.target),
  };
  return {
    name: 'plan',
    phase: 'Preparing',
    async apply(context) {
      const plan = await planMove(context, planOf, outlook);
      return { record: (status) => void (status.plan = plan) };
    },
  };
}

function record(work: Work, plan: PlannedMove, refused: readonly NotAccepted[]): Result {
  const { visit, context } = work;
  const { status } = visit;
  status.plan = plan;
  const [first] = plan.blockers;
  const why = refused.map(({ message }) => message).join('; ');
  if (refused[0] === undefined) visit.condition('Accepted', 'True', 'Accepted', 'it could begin');
  else visit.condition('Accepted', 'False', refused[0].reason, why);
  if (first === undefined) {
    const eta = plan.etaSeconds === undefined ? '' : ` in about ${String(plan.etaSeconds)} s`;
    const down = plan.predictedDowntimeSeconds ?? 0;
    status.message = `nothing stands in the way: ${formatBytes(plan.bytesTotal)}${eta}, down for about ${String(down)} s`;
    visit.condition('Succeeded', 'True', 'Planned', status.message);
  } else {
    const more = plan.blockers.length === 1 ? '' : ` (and ${String(plan.blockers.length - 1)} more)`;
    status.message = `blocked by ${first.code}: ${first.message}${more}`;
    visit.condition('Succeeded', 'False', 'Blocked', status.message);
  }
  visit.log(`planned: ${status.message}`);
  context.event(
    first === undefined ? 'Normal' : 'Warning',
    first === undefined ? 'Planned' : 'Blocked',
    status.message,
  );
  return done;
}

/** Without the servers there is nothing to read. */
function nothingKnown(time: string, { code, message }: NotAccepted): PlannedMove {
  const unknown = 'not known yet';
  return {
    time,
    strategy: unknown,
    transport: unknown,
    steps: [],
    parts: [],
    bytesTotal: 0,
    blockers: [{ code, message }],
    warnings: [],
  };
}

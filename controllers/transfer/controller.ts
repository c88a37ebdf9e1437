import { ManagedServers, PlatformConfigs, Services, Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { keyOf, keyString } from '../../src/api/meta.ts';
import type { KubeObject, ObjectKey } from '../../src/api/meta.ts';
import { GridferryError } from '../../src/errors.ts';
import { isReason } from '../../src/home/api-error.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import type { ControllerDefinition, ReconcileContext, Reconciler } from '../../src/runtime/reconciler.ts';
import { done, requeueAfter } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import type { ControllerDependencies } from '../dependencies.ts';
import { keepLocks } from './accept.ts';
import { advance } from './advance.ts';
import { afterwards, leave, realChores } from './aftercare.ts';
import type { Chores } from './aftercare.ts';
import { courseOf, currentRollback, followed, isCommitted, isUndoing, undoCondition } from './course.ts';
import { realDataPlane } from './copying/data-plane.ts';
import { subjectOf } from './context.ts';
import type { DataPlane } from './copying/data-plane.ts';
import { finish } from './finish.ts';
import { recordsOf, wasReached } from './itinerary.ts';
import { createTransferLocks } from './locking/locks.ts';
import { planOf } from './plan.ts';
import type { PlanOf } from './plan.ts';
import { leavePlan, planAhead, wantsPlan } from './planning/plan-mode.ts';
import { findReferences } from './references.ts';
import { createRenewals } from './locking/renewals.ts';
import { refuseEarlyWish } from './rollback/rollback.ts';
import { derivePhase, isTerminal } from './status.ts';
import type { Step } from './step.ts';
import { createStepRuns } from './step-runs.ts';
import { interrupt, unwind } from './unwind.ts';
import { openVisit } from './visit.ts';
import { isDeleting, uidOf, wasBegun } from './work.ts';
import type { Work } from './work.ts';

/** Keeps the object until what the transfer did is finished or undone. */
const FINALIZER = 'gridferry.io/transfer';

/** How soon to look again when the cache has not seen what the API has, in ms. */
const CACHE_LAG_MS = 200;

export interface TransferControllerOptions {
  /** The steps it takes. Default: those of a real move. */
  readonly planOf?: PlanOf;
  /** What moves the bytes. Default: the real thing. */
  readonly dataPlane?: DataPlane;
  /** What is done for transfers that are over. Default: the real thing. */
  readonly chores?: Chores;
}

/** The Transfer controller: its reconciler, and what wakes it. */
export function transferController(
  dependencies: ControllerDependencies,
  options: TransferControllerOptions = {},
): {
  readonly definition: ControllerDefinition<Transfer>;
  close(): Promise<void>;
} {
  const { dataPlane = realDataPlane, chores = realChores } = options;
  const runs = createStepRuns(dependencies.clock);
  const locks = createTransferLocks(dependencies);
  const renewals = createRenewals(dependencies.clock);
  // What waits for another object is found by its reference, so that it goes on as soon as that changes.
  const references = new Map<string, ReadonlySet<string>>();
  const uids = new Map<string, string>();
  /** Transfers whose state was seen to be the API's own, since when every change of it is this process's. */
  const current = new Set<string>();

  /**
   * A replica that has just been elected may not have heard yet how far the last leader came: a step that was undone since
   * must not be taken on the word of an old status. Where nobody else writes, the cache lags behind nobody.
   */
  async function isCurrent(
    { metadata }: Readonly<Transfer>,
    { client, key }: ReconcileContext<Transfer>,
  ): Promise<boolean> {
    const uid = metadata.uid ?? '';
    if (dependencies.replica === undefined || current.has(uid)) return true;
    const stored = await client.get(Transfers, key).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    });
    if (stored?.metadata.resourceVersion !== metadata.resourceVersion) return false;
    current.add(uid);
    return true;
  }

  const reconciler: Reconciler<Transfer> = {
    name: 'transfer',
    type: Transfers,
    async reconcile(transfer, context) {
      references.set(keyString(context.key), referencesOf(transfer));
      uids.set(keyString(context.key), uidOf({ transfer }));
      if (!(await isCurrent(transfer, context))) return requeueAfter(CACHE_LAG_MS, 'the cache is behind the API');
      const visit = openVisit(transfer, dependencies.clock, dependencies.redactor);
      const plans = options.planOf ?? planOf;
      const plan = plans(visit.status);
      const shared = { dependencies, dataPlane, runs, locks, renewals, chores };
      const followedPlan = followed(plan, visit.status);
      const result = await reconcile({ transfer, context, visit, plan: followedPlan, ...shared }, plan, plans);
      context.setStatus(visit.finish());
      return result;
    },
    forget(key) {
      references.delete(keyString(key));
      const uid = uids.get(keyString(key));
      uids.delete(keyString(key));
      current.delete(uid ?? '');
      // Somebody took the finalizer away: what it still does, it must not go on doing.
      if (uid !== undefined) {
        renewals.drop(uid);
        runs
          .drop(uid, new GridferryError('GF_TRANSFER_CANCELLED', 'the transfer is gone'))
          .then(() => locks.release({ ...key, uid }))
          .catch((error: unknown) => {
            dependencies.log.warn({ err: error }, 'what a deleted transfer had open could not be closed');
          });
      }
    },
  };

  const toKeys = (object: KubeObject): ObjectKey[] => {
    const own = keyString(keyOf(object));
    const reference = object.kind === 'Transfer' ? siblingsOf(object as Transfer) : `${object.kind}/${own}`;
    return [...references]
      .filter(([key, wanted]) => wanted.has(reference) && !(object.kind === 'Transfer' && key === own))
      .map(([key]) => {
        const [namespace = '', name = ''] = key.split('/');
        return { namespace, name };
      });
  };

  return {
    definition: {
      reconciler,
      watches: [ManagedServers, Services, PlatformConfigs, Transfers].map((type) => ({ type, toKeys })),
      concurrency: 16,
    },
    async close() {
      locks.close();
      renewals.close();
      await runs.close();
    },
  };
}

function referencesOf(transfer: Readonly<Transfer>): ReadonlySet<string> {
  const { metadata, spec, status } = transfer;
  const namespace = metadata.namespace ?? 'default';
  const servers = [spec.sourceServerRef?.name, status?.sourceServer, spec.targetServerRef.name];
  return new Set([
    ...servers.filter((name) => name !== undefined).map((name) => `ManagedServer/${namespace}/${name}`),
    ...(spec.serviceRef === undefined ? [] : [`Service/${namespace}/${spec.serviceRef.name}`]),
    `PlatformConfig/${namespace}/default`,
    // Whether it can be rolled back depends on what else becomes of the service.
    ...(status?.committedAt === undefined ? [] : [siblingsOf(transfer)]),
  ]);
}

/** All transfers of the same thing. */
function siblingsOf(transfer: Readonly<Transfer>): string {
  return `Subject/${transfer.metadata.namespace ?? 'default'}/${subjectOf(transfer)}`;
}

async function reconcile(work: Work, plan: readonly Step[], plans: PlanOf): Promise<Result> {
  const { transfer, visit } = work;
  const { status } = visit;
  const deleting = isDeleting(work);

  if (isTerminal(derivePhase(status))) {
    if (deleting) return (await leave(work)) ?? removeFinalizer(work);
    if (!wantsRetry(work)) return afterwards(work);
    beginNewAttempt(work);
  }
  if (wantsPlan(work)) return planAhead(work, plans);
  await leavePlan(work);
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

  if (currentRollback(status) === undefined) refuseEarlyWish(work);
  if (isUnwanted(work)) return interrupt(work);

  const references = await findReferences(work.context.client, transfer);
  if ('reason' in references) {
    const untouched = isUndoing(status) && !wasBegun(work);
    // After the commit point only tidying up is left, and it was deleted together with what it would need for that.
    if (untouched || (deleting && !isUndoing(status))) return finish(work);
    visit.condition('Accepted', 'False', references.reason, references.message);
    status.message = references.message;
    if (isUndoing(status)) {
      status.message = `what was done cannot be undone: ${references.message}`;
      visit.condition(undoCondition(status), 'False', references.reason, status.message);
    }
    return done;
  }
  takeBackWhatWasMissing(work);
  const instead = (await keepLocks(work, references)) ?? (await work.renewals.keep(work, references));
  if (instead !== undefined) return instead;
  return isUndoing(status) ? unwind(work, references) : advance(work, references);
}

/**
 * Whether what is under way is to be undone. Before the commit point a deletion is a cancel; after it the service stays
 * where it is, and the transfer is finished. A rollback is finished as well when the object is deleted: it was asked for.
 */
function isUnwanted({ transfer: { spec, metadata }, visit: { status } }: Work): boolean {
  const deleting = metadata.deletionTimestamp !== undefined;
  const rollback = currentRollback(status);
  if (rollback === undefined) {
    // Once its marks and credentials are being given back it is over for all that could take it back: a rollback is next.
    if (status.outcome !== undefined || wasReached(status.steps, 'release')) return false;
    return spec.cancel || (deleting && status.committedAt === undefined);
  }
  if (courseOf(status) === 'UndoReturn' || isCommitted(status) || deleting) return false;
  // It goes where a cancel would lead.
  if (rollback.cause === 'SoakFailure') return spec.onSoakFailure !== 'Rollback';
  return spec.cancel || spec.rollback?.data !== rollback.data;
}

/** What a transfer that was begun had missed is there again: it goes on. */
function takeBackWhatWasMissing(work: Work): void {
  const { visit } = work;
  const { conditions } = visit.status;
  if (!wasBegun(work)) return;
  if (findCondition(conditions, 'Accepted')?.status === 'False') {
    visit.condition('Accepted', 'True', 'Accepted', 'the objects it refers to exist');
  }
  if (!isUndoing(visit.status)) return;
  const restored = undoCondition(visit.status);
  const said = findCondition(conditions, restored);
  if (said?.status === 'False' && said.reason !== 'UndoFailed') {
    visit.condition(restored, 'Unknown', 'Undoing', 'the objects it refers to exist again');
  }
}

/** One whose service is at the target has nothing to start again: another Transfer moves it on, or back. */
function wantsRetry({ transfer, visit: { status } }: Work): boolean {
  const token = transfer.spec.retryToken ?? '';
  const undone = status.outcome !== undefined;
  return undone && token !== (status.retryToken ?? '') && !transfer.spec.cancel;
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

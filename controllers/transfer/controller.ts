import { ManagedServers, PlatformConfigs, Services, Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { keyOf, keyString } from '../../src/api/meta.ts';
import type { KubeObject, ObjectKey } from '../../src/api/meta.ts';
import { GridferryError } from '../../src/errors.ts';
import { isReason } from '../../src/home/api-error.ts';
import type { ControllerDefinition, ReconcileContext, Reconciler } from '../../src/runtime/reconciler.ts';
import { done, requeueAfter } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import type { ControllerDependencies } from '../dependencies.ts';
import { advance } from './advance.ts';
import { finish } from './finish.ts';
import { recordsOf } from './itinerary.ts';
import { plan as movePlan } from './plan.ts';
import { findReferences } from './references.ts';
import { derivePhase, isTerminal } from './status.ts';
import { createStepRuns } from './step-runs.ts';
import type { Step } from './step.ts';
import { interrupt, unwind } from './unwind.ts';
import { openVisit } from './visit.ts';
import { isDeleting, uidOf, wasBegun } from './work.ts';
import type { Work } from './work.ts';

/** Keeps the object until what the transfer did is finished or undone. */
const FINALIZER = 'gridferry.io/transfer';

/** How soon to look again when the cache has not seen what the API has, in ms. */
const CACHE_LAG_MS = 200;

/** The Transfer controller: its reconciler, and what wakes it. `plan` are the steps it takes. */
export function transferController(
  dependencies: ControllerDependencies,
  plan: readonly Step[] = movePlan,
): {
  readonly definition: ControllerDefinition<Transfer>;
  close(): Promise<void>;
} {
  const runs = createStepRuns(dependencies.clock);
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
      const result = await reconcile({ transfer, context, visit, dependencies, plan, runs });
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
        runs.drop(uid, new GridferryError('GF_TRANSFER_CANCELLED', 'the transfer is gone')).catch((error: unknown) => {
          dependencies.log.warn({ err: error }, 'what a deleted transfer had open could not be closed');
        });
      }
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
      watches: [ManagedServers, Services, PlatformConfigs].map((type) => ({ type, toKeys })),
      concurrency: 16,
    },
    close: () => runs.close(),
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

async function reconcile(work: Work): Promise<Result> {
  const { transfer, visit, plan } = work;
  const { status } = visit;
  const deleting = isDeleting(work);

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
  if (unwanted && status.outcome === undefined) return interrupt(work);

  const references = await findReferences(work.context.client, transfer);
  if ('reason' in references) {
    const untouched = status.outcome !== undefined && !wasBegun(work);
    // After the commit point only tidying up is left, and it was deleted together with what it would need for that.
    if (untouched || (deleting && status.outcome === undefined)) return finish(work, undefined);
    visit.condition('Accepted', 'False', references.reason, references.message);
    status.message = references.message;
    if (status.outcome !== undefined) {
      status.message = `what was done cannot be undone: ${references.message}`;
      visit.condition('SourceRestored', 'False', references.reason, status.message);
    }
    return done;
  }
  return status.outcome === undefined ? advance(work, references) : unwind(work, references);
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

import { keyString } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { classOf, GridferryError } from '../errors.ts';
import type { Client } from '../home/client.ts';
import type { EventRecorder } from './event-recorder.ts';
import type { Reconciler } from './reconciler.ts';
import { retry } from './result.ts';
import type { Result } from './result.ts';
import type { Run } from './run.ts';
import type { ControllerStats } from './stats.ts';
import { writeStatus } from './status-writer.ts';

/** How the queue is to go on after a reconcile: a `Result`, or one of the ends that a reconcile does not choose itself. */
export type Verdict =
  | Result
  /** Somebody else was faster: again, from what there is now. Not a failure. */
  | { readonly kind: 'conflict'; readonly error: unknown }
  /** It was told to stop, and did. */
  | { readonly kind: 'interrupted' }
  /** The object was deleted meanwhile. */
  | { readonly kind: 'gone' };

/** Lets the reconciler speak: a value, whatever it does. */
export async function answer<T extends KubeObject>(
  reconciler: Reconciler<T>,
  run: Run<T>,
  stats: ControllerStats,
): Promise<Verdict> {
  let result: Result;
  try {
    result = await reconciler.reconcile(run.object, run.context);
  } catch (error) {
    // An abort that was asked for comes back as an exception of any shape, and is no bug.
    if (run.interruption === undefined && !(error instanceof GridferryError)) stats.panics++;
    result = retry(error);
  }
  if (result.kind !== 'retry') return result;
  if (run.interruption?.cause === 'deadline') {
    run.context.log.warn({ err: result.error }, 'how the reconcile ended that was aborted at its deadline');
    return retry(run.interruption.error);
  }
  if (run.interruption !== undefined) return { kind: 'interrupted' };
  return classOf(result.error) === 'conflict' ? { kind: 'conflict', error: result.error } : result;
}

export interface Conclusion<T extends KubeObject> {
  readonly verdict: Verdict;
  /** The version of the object that the write told us of. */
  readonly newest?: Readonly<T>;
}

/**
 * The one status write, and then what depends on it: events and callbacks tell only of what is recorded. A write that
 * fails outweighs whatever the reconcile answered.
 */
export async function conclude<T extends KubeObject>(
  {
    client,
    type,
    recorder,
    component,
  }: {
    readonly client: Client;
    readonly type: ResourceType<T>;
    readonly recorder: EventRecorder;
    readonly component: string;
  },
  run: Run<T>,
  verdict: Verdict,
): Promise<Conclusion<T>> {
  const { object, record, context } = run;
  let newest: Readonly<T> | undefined;
  if (record.status !== undefined) {
    try {
      const write = await writeStatus(client, type, object, record.status);
      if (write.kind === 'gone') return { verdict: { kind: 'gone' } };
      newest = write.object;
      if (write.kind === 'overtaken') return { verdict: { kind: 'conflict', error: overtaken(type, run) }, newest };
    } catch (error) {
      if (verdict.kind === 'retry' || verdict.kind === 'terminal') {
        context.log.warn({ err: verdict.error }, 'the status that tells of this failure could not be written');
      }
      return { verdict: retry(error) };
    }
  }
  for (const event of record.events) recorder.record({ object, component, ...event });
  for (const callback of record.afterWrite) {
    try {
      callback();
    } catch (error) {
      context.log.error({ err: error }, 'an afterWrite callback threw');
    }
  }
  return newest === undefined ? { verdict } : { verdict, newest };
}

function overtaken<T extends KubeObject>({ kind }: ResourceType<T>, run: Run<T>): GridferryError {
  return new GridferryError(
    'GF_STATUS_OVERTAKEN',
    `Somebody else wrote the status of ${kind} ${keyString(run.context.key)} meanwhile; it is reconciled again. ` +
      `If this goes on, look for a second Gridferry on the same home.`,
    { class: 'conflict' },
  );
}

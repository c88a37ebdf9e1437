import type { Logger } from 'pino';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import type { Client } from '../home/client.ts';
import type { Cache } from './cache.ts';
import type { Clock } from './clock.ts';
import type { Result } from './result.ts';

/** What one reconcile may use. It lives for that one call. */
export interface ReconcileContext<T extends KubeObject> {
  readonly key: ObjectKey;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** Fires when the object's spec or deletionTimestamp changes, at the deadline, and at shutdown. */
  readonly signal: AbortSignal;
  /** What is known of another kind. Only kinds that some controller reconciles or watches are known. */
  cache<O extends KubeObject>(type: ResourceType<O>): Cache<O>;
  /**
   * The status to be written when the reconcile ends: at most one write, only when it differs from the stored one, and
   * guarded by `resourceVersion`. The last call wins. It is written however the reconcile ends, a throw included.
   */
  setStatus(status: NonNullable<T['status']>): void;
  /** An Event, posted after the status write succeeded. */
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Runs after the status write succeeded (for metrics, and for forgetting what has now been recorded). */
  afterWrite(callback: () => void): void;
  /** Looks at the object again soon: what a background job calls when it has news. Stays valid after the reconcile. */
  readonly wake: () => void;
}

/** Moves one kind of object towards what its spec says. */
export interface Reconciler<T extends KubeObject> {
  readonly name: string;
  readonly type: ResourceType<T>;
  /** `object` is frozen shared state of the cache: copy before changing. `undefined` never comes: a gone object goes to `forget`. */
  reconcile(object: Readonly<T>, context: ReconcileContext<T>): Promise<Result>;
  /** The object is gone: drop whatever is held in memory for it. */
  forget?(key: ObjectKey): void;
}

/** Another kind whose changes concern this controller: maps each changed object to the keys to reconcile. */
export interface WatchedType<O extends KubeObject = KubeObject> {
  readonly type: ResourceType<O>;
  toKeys(object: Readonly<O>): readonly ObjectKey[];
}

/** A controller as the manager runs it. */
export interface ControllerDefinition<T extends KubeObject = KubeObject> {
  readonly reconciler: Reconciler<T>;
  readonly watches?: readonly WatchedType[];
  /** How many objects may be reconciled at once; one object never twice at once. Default 4. */
  readonly concurrency?: number;
  /** Every object is reconciled at least this often, in ms, unless it failed terminally. Default 10 minutes. */
  readonly resyncMs?: number;
  /** A reconcile that takes longer is aborted, in ms. Default 5 minutes. */
  readonly deadlineMs?: number;
}

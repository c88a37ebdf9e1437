import type { Logger } from 'pino';
import type { KubeObject, ObjectKey } from '../api/meta.ts';
import type { GridferryError } from '../errors.ts';
import type { Client } from '../home/client.ts';
import type { Clock } from './clock.ts';
import type { ReconcileContext } from './reconciler.ts';

/** Why a reconcile was told to stop. Only the deadline is a failure of its own. */
export interface Interruption {
  readonly cause: 'change' | 'deadline' | 'shutdown' | 'leadership';
  readonly error: GridferryError;
}

/** What a reconcile said besides its result. */
export interface RunRecord<T extends KubeObject> {
  status: NonNullable<T['status']> | undefined;
  readonly events: { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string }[];
  readonly afterWrite: (() => void)[];
}

/** One reconcile under way. */
export interface Run<T extends KubeObject> {
  readonly object: Readonly<T>;
  readonly startedAt: number;
  readonly context: ReconcileContext<T>;
  readonly record: RunRecord<T>;
  readonly interruption: Interruption | undefined;
  /** Fires the signal; the first reason stays. */
  interrupt(interruption: Interruption): void;
  /** Frees its worker's place while the reconcile itself still hangs. */
  readonly release: () => void;
}

export interface RunOptions<T extends KubeObject> {
  readonly key: ObjectKey;
  readonly object: Readonly<T>;
  readonly client: Client;
  readonly clock: Clock;
  readonly cache: ReconcileContext<T>['cache'];
  readonly log: () => Logger;
  readonly wake: () => void;
  readonly release: () => void;
}

/**
 * A class for once, because one is made for every reconcile: closures and getters of a literal cost more than a
 * reconcile that finds nothing to do. Signal and logger are made when they are first asked for, for the same reason.
 */
class ReconcileRun<T extends KubeObject> implements Run<T>, ReconcileContext<T> {
  readonly key: ObjectKey;
  readonly object: Readonly<T>;
  readonly client: Client;
  readonly clock: Clock;
  readonly cache: ReconcileContext<T>['cache'];
  readonly wake: () => void;
  readonly release: () => void;
  readonly startedAt: number;
  readonly record: RunRecord<T> = { status: undefined, events: [], afterWrite: [] };
  interruption: Interruption | undefined;
  readonly #log: () => Logger;
  #controller: AbortController | undefined;

  constructor(options: RunOptions<T>) {
    this.key = options.key;
    this.object = options.object;
    this.client = options.client;
    this.clock = options.clock;
    this.cache = options.cache;
    this.wake = options.wake;
    this.release = options.release;
    this.startedAt = options.clock.monotonic();
    this.#log = options.log;
  }

  get context(): ReconcileContext<T> {
    return this;
  }

  get log(): Logger {
    return this.#log();
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.interruption !== undefined) this.#controller.abort(this.interruption.error);
    }
    return this.#controller.signal;
  }

  setStatus(status: NonNullable<T['status']>): void {
    this.record.status = status;
  }

  event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.record.events.push({ type, reason, message });
  }

  afterWrite(callback: () => void): void {
    this.record.afterWrite.push(callback);
  }

  interrupt(interruption: Interruption): void {
    if (this.interruption !== undefined) return;
    this.interruption = interruption;
    this.#controller?.abort(interruption.error);
  }
}

export function createRun<T extends KubeObject>(options: RunOptions<T>): Run<T> {
  return new ReconcileRun(options);
}

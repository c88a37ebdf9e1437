import type { Logger } from 'pino';
import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject } from '../api/meta.ts';
import { cached, createObjectStore } from './cache.ts';
import type { Cache } from './cache.ts';
import type { Change } from './change.ts';

/** Our copy of the objects of one kind, and those who are told of its changes. */
export interface Replica<T extends KubeObject> {
  readonly cache: Cache<T>;
  /** Exceptions of handlers: each is a bug of a subscriber. */
  readonly handlerErrors: number;
  /** Called for each change, in order, after the cache has it; a late subscriber first gets what is there already. */
  subscribe(handler: (change: Change<T>) => void): void;
  /** The server has this object, in this version. */
  upsert(object: T): void;
  /** The server had this object and has it no more. */
  remove(object: T): void;
  /** Begins to read everything anew. Objects that are not among them are gone, which is known at the end only. */
  replace(): Replacement<T>;
}

export interface Replacement<T extends KubeObject> {
  upsert(object: T): void;
  remove(object: T): void;
  finish(): void;
}

export function createReplica<T extends KubeObject>(log: Logger): Replica<T> {
  const store = createObjectStore<T>();
  const handlers: ((change: Change<T>) => void)[] = [];
  let handlerErrors = 0;
  /** Once everything was read; what comes before is not news to anybody. */
  let complete = false;

  function upsert(item: T): void {
    const key = keyOf(item);
    let old = store.get(key);
    if (old !== undefined && old.metadata.uid !== item.metadata.uid) {
      drop(old);
      old = undefined;
    }
    const { resourceVersion } = item.metadata;
    if (old !== undefined && resourceVersion !== undefined && old.metadata.resourceVersion === resourceVersion) return;
    const object = cached(item);
    store.set(object);
    tell(old === undefined ? { kind: 'added', object, initial: !complete } : { kind: 'updated', old, object });
  }

  function remove(item: T): void {
    const known = store.get(keyOf(item));
    // A deletion that is repeated from before a list must not remove the successor of the same name.
    if (known !== undefined && known.metadata.uid === item.metadata.uid) drop(cached(item));
  }

  function drop(object: Readonly<T>): void {
    store.delete(keyOf(object));
    tell({ kind: 'deleted', object });
  }

  function replace(): Replacement<T> {
    // The first time there is nothing that could be gone.
    const seen = store.size === 0 ? undefined : new Set<string>();
    return {
      upsert(object) {
        seen?.add(keyString(keyOf(object)));
        upsert(object);
      },
      remove,
      finish() {
        for (const object of seen === undefined ? [] : store.list()) {
          if (!seen?.has(keyString(keyOf(object)))) drop(object);
        }
        complete = true;
      },
    };
  }

  function tell(change: Change<T>): void {
    for (const handler of handlers) tellOne(handler, change);
  }

  function tellOne(handler: (change: Change<T>) => void, change: Change<T>): void {
    try {
      handler(change);
    } catch (error) {
      handlerErrors++;
      log.error({ err: error, key: keyString(keyOf(change.object)) }, `a handler of ${change.kind} threw`);
    }
  }

  return {
    cache: store,
    get handlerErrors() {
      return handlerErrors;
    },
    subscribe(handler) {
      for (const object of store.list()) tellOne(handler, { kind: 'added', object, initial: true });
      handlers.push(handler);
    },
    upsert,
    remove,
    replace,
  };
}

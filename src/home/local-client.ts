import { randomInt, randomUUID } from 'node:crypto';
import { Events, Namespaces } from '../api/core.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { keyOf } from '../api/meta.ts';
import type { Clock } from '../runtime/clock.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Admission } from './admission.ts';
import { ApiError } from './api-error.ts';
import { badRequest, notFound, resourceName } from './api-messages.ts';
import { plainBodies } from './body-codec.ts';
import { ChangeFeed } from './change-feed.ts';
import type {
  Client,
  DeleteOptions,
  ListOptions,
  ListResult,
  Patch,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from './client.ts';
import { decodeContinue, encodeContinue } from './continue-token.ts';
import { parseFieldSelector, selectableFields } from './field-selector.ts';
import { jsonCopy } from './json.ts';
import { parseLabelSelector } from './label-selector.ts';
import { ObjectStore } from './object-store.ts';
import type { Change } from './object-store.ts';
import { ObjectWriter } from './object-writer.ts';
import type { Random } from './object-writer.ts';
import { openStoreFile } from './store-file.ts';
import { storageError } from './storage-error.ts';
import { WriteQueue } from './write-queue.ts';

const DEFAULT_CHANGE_WINDOW = 10_000;
const DEFAULT_EVENT_TTL_MS = 24 * 60 * 60 * 1000;
const EVENTS_PER_SWEEP = 1000;
/** Of a watch: how much it reads at once, and after how many changes of other objects it says where it stands. */
const WATCH_BATCH = 200;
const BOOKMARK_AFTER_CHANGES = 500;
const BOOKMARK_AFTER_MS = 60_000;

export interface LocalHomeOptions {
  readonly stateDir: string;
  /** Reads only; writes are refused with `Forbidden`. The store must be there already. */
  readonly readOnly?: boolean;
  readonly clock?: Clock;
  /** What is served. */
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly random?: Random;
  /** How many changes a watch may lag behind, and a `continue` token survive. Default 10,000. */
  readonly changeWindow?: number;
  /** How long an Event is kept after its last change, in ms. Default one day. */
  readonly eventTtlMs?: number;
  /** Fields beyond name and namespace that a field selector may name. */
  readonly selectableFields?: (type: ResourceType) => readonly string[];
}

/** The embedded API. Everything it returns is the caller's own copy. */
export interface LocalHome extends Client {
  /** Finishes queued writes, ends the watches and closes the store. */
  close(): void;
}

const systemRandom: Random = { uuid: () => randomUUID(), below: (limit) => randomInt(limit) };

/**
 * Opens the resources kept under `stateDir`. Several processes may have the same directory open; a write is durable, and
 * visible to all of them, when its promise resolves.
 *
 * @throws GridferryError `GF_HOME_NOT_FOUND`, `GF_HOME_UNAVAILABLE`, `GF_HOME_CORRUPT`, `GF_HOME_FOREIGN`,
 * `GF_HOME_NEWER`, `GF_HOME_OUTDATED`.
 */
export function openLocalHome(options: LocalHomeOptions): LocalHome {
  const { stateDir, readOnly = false, types, admission } = options;
  const clock = options.clock ?? systemClock;
  const window = options.changeWindow ?? DEFAULT_CHANGE_WINDOW;
  const store = new ObjectStore(openStoreFile(stateDir, readOnly), plainBodies, types, window);
  const writer = new ObjectWriter({ store, types, admission, clock, random: options.random ?? systemRandom });
  const feed = new ChangeFeed(() => store.externalVersion());
  const served = new Set(types.map(resourceName));
  const moreFields = options.selectableFields ?? (() => []);

  const queue = new WriteQueue({
    transaction: (body) =>
      store.transaction(() => {
        body();
        if (store.overdue) {
          store.trim();
          expireEvents();
        }
      }),
    committed: () => feed.notify(),
  });

  function expireEvents(): void {
    if (!served.has(resourceName(Events))) return;
    const before = clock.now() - (options.eventTtlMs ?? DEFAULT_EVENT_TTL_MS);
    for (const { key } of store.unchangedSince(Events, before, EVENTS_PER_SWEEP)) {
      writer.run(false, () => writer.delete(Events, key, {}));
    }
  }

  function checkServed(type: ResourceType): void {
    if (feed.closed) throw new ApiError('ServiceUnavailable', 'the local home is closed');
    if (!served.has(resourceName(type))) {
      throw new ApiError('NotFound', `the server could not find the requested resource (${resourceName(type)})`);
    }
  }

  function write<R>(type: ResourceType, dryRun: boolean | undefined, body: () => R): Promise<R> {
    checkServed(type);
    if (readOnly) {
      throw new ApiError(
        'Forbidden',
        `${stateDir} is open for reading only: open it for writing to change ${type.plural}`,
      );
    }
    return queue.add(() => writer.run(dryRun ?? false, body));
  }

  function read<R>(body: () => R): R {
    try {
      return body();
    } catch (error) {
      throw storageError(error, 'read');
    }
  }

  function matcherOf(
    type: ResourceType,
    options: ListOptions | WatchOptions,
  ): ((object: KubeObject) => boolean) | undefined {
    const { labelSelector = '', fieldSelector = '' } = options;
    if (labelSelector.trim() === '' && fieldSelector.trim() === '') return undefined;
    const labels = parseLabelSelector(labelSelector);
    const fields = parseFieldSelector(fieldSelector, selectableFields(type, moreFields(type)));
    return (object) => labels(object.metadata.labels) && fields(object);
  }

  function list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions): ListResult<T> {
    const head = store.head();
    const point = options.continue ? decodeContinue(options.continue, store.floor(), head) : undefined;
    const version = point?.version ?? head;
    const matches = matcherOf(type, options);
    const limit = options.limit !== undefined && options.limit > 0 ? options.limit : Infinity;
    const items: T[] = [];
    for (const object of store.list(type, version, namespaceOf(type, options), point?.after)) {
      if (matches !== undefined && !matches(object)) continue;
      const last = items.at(-1);
      if (items.length >= limit && last !== undefined) {
        return { items, resourceVersion: String(version), continue: encodeContinue({ version, after: keyOf(last) }) };
      }
      items.push(object as T);
    }
    return { items, resourceVersion: String(version) };
  }

  async function* watch<T extends KubeObject>(
    type: ResourceType<T>,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>> {
    checkServed(type);
    const { signal } = options;
    const matches = matcherOf(type, options);
    const namespace = namespaceOf(type, options);
    // Both may change during every `yield` and `await`.
    const ended = (): boolean => signal.aborted || feed.closed;
    let position: number;
    if (options.resourceVersion === undefined || options.resourceVersion === '' || options.resourceVersion === '0') {
      position = store.head();
      let after: ObjectKey | undefined;
      do {
        const page: KubeObject[] = read(() => pageOf(type, position, namespace, after));
        for (const object of page) {
          if (signal.aborted) return;
          if (matches === undefined || matches(object)) yield { type: 'ADDED', object: object as T };
        }
        const last = page.at(-1);
        after = last === undefined || page.length < WATCH_BATCH ? undefined : keyOf(last);
      } while (after !== undefined);
    } else {
      position = parseVersion(options.resourceVersion);
    }
    let marked = position;
    let markedAt = clock.monotonic();
    while (!ended()) {
      const { changes, upTo } = read(() => changesAfter(type, position, namespace));
      for (const change of changes) {
        const event = eventOf(type, change, matches);
        if (event !== undefined) {
          yield event as WatchEvent<T>;
          marked = change.version;
          markedAt = clock.monotonic();
          if (ended()) return;
        }
      }
      const idle = upTo === position;
      position = upTo;
      const lag = position - marked;
      if (lag >= BOOKMARK_AFTER_CHANGES || (lag > 0 && clock.monotonic() - markedAt >= BOOKMARK_AFTER_MS)) {
        yield { type: 'BOOKMARK', resourceVersion: String(position) };
        marked = position;
        markedAt = clock.monotonic();
      }
      if (idle) await feed.changed(signal);
    }
  }

  function pageOf(type: ResourceType, version: number, namespace: string | undefined, after?: ObjectKey): KubeObject[] {
    if (version < store.floor()) throw expired(version, store.floor());
    const page: KubeObject[] = [];
    for (const object of store.list(type, version, namespace, after)) {
      page.push(object);
      if (page.length === WATCH_BATCH) break;
    }
    return page;
  }

  function changesAfter(
    type: ResourceType,
    position: number,
    namespace: string | undefined,
  ): { changes: Change[]; upTo: number } {
    const head = store.head();
    const changes = position < head ? store.changes(type, position, head, namespace, WATCH_BATCH) : [];
    // Read last: if another process trims the log meanwhile, the floor tells that `changes` may have a gap. A version
    // from the future belongs to a store that was replaced: only a new list helps there.
    const floor = store.floor();
    if (position < floor || position > head) throw expired(position, floor);
    const last = changes.at(-1);
    return { changes, upTo: last !== undefined && changes.length === WATCH_BATCH ? last.version : head };
  }

  /** An object that comes into a selection is ADDED to it, and one that leaves is DELETED from it, whatever happened to it. */
  function eventOf(
    type: ResourceType,
    change: Change,
    matches: ((object: KubeObject) => boolean) | undefined,
  ): WatchEvent | undefined {
    const { event, object } = change;
    if (matches === undefined) return { type: event, object };
    const previous = change.previous === undefined ? undefined : store.revision(type, change.previous);
    const was = event !== 'ADDED' && previous !== undefined && matches(previous);
    const is = event !== 'DELETED' && matches(object);
    if (is) return { type: was ? 'MODIFIED' : 'ADDED', object };
    if (!was) return undefined;
    // As the API server does: the last state that was selected, at the version at which it left.
    return {
      type: 'DELETED',
      object: { ...previous, metadata: { ...previous.metadata, resourceVersion: String(change.version) } },
    };
  }

  if (!readOnly) {
    store.transaction(() => {
      const isServed = served.has(resourceName(Namespaces));
      if (isServed && store.get(Namespaces, { namespace: '', name: 'default' }) === undefined) {
        const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } } as const;
        writer.run(false, () => writer.create(Namespaces, object));
      }
      expireEvents();
    });
  }

  return {
    async get(type, key) {
      checkServed(type);
      const found = read(() => store.get(type, key));
      if (found === undefined) throw notFound(type, key.name);
      return Promise.resolve(found);
    },
    async list(type, options = {}) {
      checkServed(type);
      return Promise.resolve(read(() => list(type, options)));
    },
    watch,
    async create(type, object, options: WriteOptions = {}) {
      const copy = copyOf(object);
      return write(type, options.dryRun, () => writer.create(type, copy));
    },
    async update(type, object, options: WriteOptions = {}) {
      const copy = copyOf(object);
      return write(type, options.dryRun, () => writer.update(type, copy));
    },
    async updateStatus(type, object, options: WriteOptions = {}) {
      const copy = copyOf(object);
      return write(type, options.dryRun, () => writer.update(type, copy, 'status'));
    },
    async patch(type, key, patch: Patch, options: WriteOptions & { readonly subresource?: 'status' } = {}) {
      const copy = copyOf(patch);
      return write(type, options.dryRun, () => writer.patch(type, key, copy, options.subresource));
    },
    async delete(type, key, options: DeleteOptions = {}) {
      return write(type, false, () => writer.delete(type, key, options));
    },
    close() {
      if (feed.closed) return;
      queue.flush();
      feed.close();
      store.close();
    },
  };
}

function namespaceOf(type: ResourceType, options: { readonly namespace?: string }): string | undefined {
  return type.namespaced && options.namespace !== '' ? options.namespace : undefined;
}

function parseVersion(resourceVersion: string): number {
  const version = /^\d{1,15}$/.test(resourceVersion) ? Number(resourceVersion) : NaN;
  if (Number.isNaN(version)) throw badRequest(`resourceVersion: Invalid value: ${JSON.stringify(resourceVersion)}`);
  return version;
}

function expired(version: number, floor: number): ApiError {
  return new ApiError('Expired', `too old resource version: ${String(version)} (${String(floor)})`);
}

/** What the caller does to its object while the write waits for its turn must not reach the store. */
function copyOf<T>(value: T): T {
  try {
    return jsonCopy(value);
  } catch (error) {
    throw new ApiError('BadRequest', 'the object is not JSON: it has a cycle or a value that JSON lacks', {}, error);
  }
}

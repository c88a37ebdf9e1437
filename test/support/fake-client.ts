import { keyOf, keyString } from '../../src/api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../../src/api/meta.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { Client, ListResult, WatchEvent } from '../../src/home/client.ts';
import { deepEqual, plainCopy } from '../../src/runtime/structural.ts';

export type Operation = 'get' | 'list' | 'watch' | 'create' | 'update' | 'updateStatus' | 'patch' | 'delete';

/** An API in memory with true versions, conflicts, generations and watches, and with every failure to order. */
export interface FakeClient extends Client {
  readonly calls: Record<Operation, number>;
  /** The next calls of that kind are refused before anything happens. */
  failNext(operation: Operation, error: Error, times?: number): void;
  /** The next call does its work, but its answer is lost. */
  loseAnswer(operation: Operation, error: Error): void;
  /** Runs before the next call of that kind: what somebody else does in between. */
  before(operation: Operation, callback: () => unknown): void;
  /** Every open watch ends, or throws. */
  dropWatches(error?: Error): void;
  /** Forgets the history: whoever watches, or wants to watch from before, gets `Expired`. */
  compact(): void;
  /** While on, watches stay open and say nothing (a half-open connection). */
  mute(on: boolean): void;
  /** Calls are never answered. */
  hang(operation: Operation): void;
  bookmark(): void;
  readonly openWatches: number;
}

interface Change {
  readonly plural: string;
  readonly version: number;
  readonly event: WatchEvent;
}

export function createFakeClient(): FakeClient {
  const objects = new Map<string, Map<string, KubeObject>>();
  const history: Change[] = [];
  const calls = { get: 0, list: 0, watch: 0, create: 0, update: 0, updateStatus: 0, patch: 0, delete: 0 };
  const failures: { operation: Operation; error: Error; after: boolean }[] = [];
  const hooks: { operation: Operation; callback: () => unknown }[] = [];
  const hanging = new Set<Operation>();
  const watches = new Set<{ wake: () => void; end: { error?: Error } | undefined }>();
  let version = 1000;
  let compactedAt = 0;
  let muted = false;
  let uids = 0;

  const kindOf = (type: ResourceType<never>): Map<string, KubeObject> => {
    let kind = objects.get(type.plural);
    if (kind === undefined) objects.set(type.plural, (kind = new Map()));
    return kind;
  };
  const notFound = (type: ResourceType<never>, key: ObjectKey): ApiError =>
    new ApiError('NotFound', `${type.plural} "${key.name}" not found`);

  async function call<R>(operation: Operation, work: () => R): Promise<R> {
    calls[operation]++;
    if (hanging.has(operation)) await new Promise(() => {});
    const hook = hooks.findIndex((entry) => entry.operation === operation);
    if (hook !== -1) await hooks.splice(hook, 1)[0]?.callback();
    const failure = failures.findIndex((entry) => entry.operation === operation);
    const [planned] = failure === -1 ? [] : failures.splice(failure, 1);
    if (planned?.after === false) throw planned.error;
    const result = work();
    if (planned !== undefined) throw planned.error;
    return plainCopy(result);
  }

  function store(type: ResourceType<never>, object: KubeObject, event: 'ADDED' | 'MODIFIED' | 'DELETED'): KubeObject {
    const kind = kindOf(type);
    const stored = plainCopy(object);
    stored.metadata.resourceVersion = String(++version);
    if (event === 'DELETED') kind.delete(keyString(keyOf(stored)));
    else kind.set(keyString(keyOf(stored)), stored);
    // What is stored is never changed, only replaced: the history may share it.
    history.push({ plural: type.plural, version, event: { type: event, object: stored } });
    for (const watch of watches) watch.wake();
    return stored;
  }

  function existing(type: ResourceType<never>, key: ObjectKey): KubeObject {
    const object = kindOf(type).get(keyString(key));
    if (object === undefined) throw notFound(type, key);
    return object;
  }

  function guard(current: KubeObject, wanted: KubeObject): void {
    const expected = wanted.metadata.resourceVersion;
    if (expected !== undefined && expected !== current.metadata.resourceVersion) {
      throw new ApiError('Conflict', `the object ${current.metadata.name} has been modified`);
    }
  }

  function replaceSpec(type: ResourceType<never>, current: KubeObject, next: KubeObject): KubeObject {
    const content = (object: KubeObject): unknown => ({ ...object, metadata: undefined, status: undefined });
    const { uid, generation = 1, creationTimestamp, deletionTimestamp } = current.metadata;
    const metadata = {
      ...next.metadata,
      ...(uid === undefined ? {} : { uid }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      generation: generation + (deepEqual(content(current), content(next)) ? 0 : 1),
    };
    if (deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0) {
      return store(type, { ...next, metadata, status: current.status }, 'DELETED');
    }
    return store(type, { ...next, metadata, status: type.hasStatus ? current.status : next.status }, 'MODIFIED');
  }

  async function* watch(
    type: ResourceType<never>,
    options: { resourceVersion?: string; namespace?: string; signal: AbortSignal },
  ): AsyncGenerator<WatchEvent> {
    await call('watch', () => undefined);
    const from = Number(options.resourceVersion ?? 0);
    if (from < compactedAt) throw new ApiError('Expired', `too old resource version: ${from} (${compactedAt})`);
    let wake: () => void = () => {};
    const self = { wake: () => wake(), end: undefined as { error?: Error } | undefined };
    watches.add(self);
    const onAbort = (): void => wake();
    options.signal.addEventListener('abort', onAbort);
    let next = history.findIndex((change) => change.version > from);
    if (next === -1) next = history.length;
    try {
      while (!options.signal.aborted) {
        if (self.end?.error !== undefined) throw self.end.error;
        if (self.end !== undefined) return;
        const change = muted ? undefined : history[next];
        if (change === undefined) {
          await new Promise<void>((resolve) => (wake = resolve));
          continue;
        }
        next++;
        if (change.event.type === 'BOOKMARK') yield change.event;
        else if (
          change.plural === type.plural &&
          (options.namespace === undefined || change.event.object.metadata.namespace === options.namespace)
        ) {
          yield plainCopy(change.event);
        }
      }
    } finally {
      watches.delete(self);
      options.signal.removeEventListener('abort', onAbort);
    }
  }

  const client = {
    calls,
    get: (type: ResourceType<never>, key: ObjectKey) => call('get', () => existing(type, key)),
    list: (type: ResourceType<never>, options: { namespace?: string; limit?: number; continue?: string } = {}) =>
      call('list', (): ListResult<KubeObject> => {
        const all = [...kindOf(type).values()].filter(
          ({ metadata }) => options.namespace === undefined || metadata.namespace === options.namespace,
        );
        const start = Number(options.continue ?? 0);
        const end = start + (options.limit ?? all.length);
        return {
          items: all.slice(start, end),
          resourceVersion: String(version),
          ...(end < all.length ? { continue: String(end) } : {}),
        };
      }),
    watch,
    create: (type: ResourceType<never>, object: KubeObject) =>
      call('create', () => {
        if (kindOf(type).has(keyString(keyOf(object)))) {
          throw new ApiError('AlreadyExists', `${type.plural} "${object.metadata.name}" already exists`);
        }
        const metadata = { generation: 1, ...object.metadata, uid: `uid-${++uids}` };
        return store(type, { ...object, metadata }, 'ADDED');
      }),
    update: (type: ResourceType<never>, object: KubeObject) =>
      call('update', () => {
        const current = existing(type, keyOf(object));
        guard(current, object);
        return replaceSpec(type, current, object);
      }),
    updateStatus: (type: ResourceType<never>, object: KubeObject) =>
      call('updateStatus', () => {
        const current = existing(type, keyOf(object));
        guard(current, object);
        return store(type, { ...current, status: object.status }, 'MODIFIED');
      }),
    patch: (type: ResourceType<never>, key: ObjectKey, patch: { type: string; body: unknown }) =>
      call('patch', () => {
        const current = existing(type, key);
        if (patch.type !== 'merge') throw new ApiError('UnsupportedMediaType', 'the fake knows merge patches only');
        return replaceSpec(type, current, merge(plainCopy(current), patch.body) as KubeObject);
      }),
    delete: (
      type: ResourceType<never>,
      key: ObjectKey,
      options: { preconditions?: { uid?: string; resourceVersion?: string } } = {},
    ) =>
      call('delete', () => {
        const current = existing(type, key);
        const { resourceVersion, uid } = options.preconditions ?? {};
        if (
          (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion) ||
          (uid !== undefined && uid !== current.metadata.uid)
        ) {
          throw new ApiError('Conflict', 'the precondition failed');
        }
        if ((current.metadata.finalizers ?? []).length === 0) return store(type, current, 'DELETED');
        const { generation = 1 } = current.metadata;
        const metadata = {
          ...current.metadata,
          generation: generation + 1,
          deletionTimestamp: '2026-01-01T00:00:00Z',
        };
        return store(type, { ...current, metadata }, 'MODIFIED');
      }),
    failNext(operation: Operation, error: Error, times = 1) {
      for (let i = 0; i < times; i++) failures.push({ operation, error, after: false });
    },
    loseAnswer(operation: Operation, error: Error) {
      failures.push({ operation, error, after: true });
    },
    before(operation: Operation, callback: () => unknown) {
      hooks.push({ operation, callback });
    },
    dropWatches(error?: Error) {
      for (const open of watches) {
        open.end = error === undefined ? {} : { error };
        open.wake();
      }
    },
    compact() {
      compactedAt = ++version;
      history.length = 0;
      client.dropWatches(new ApiError('Expired', 'the history was compacted'));
    },
    mute(on: boolean) {
      muted = on;
      for (const open of watches) open.wake();
    },
    hang(operation: Operation) {
      hanging.add(operation);
    },
    bookmark() {
      history.push({ plural: '', version, event: { type: 'BOOKMARK', resourceVersion: String(version) } });
      for (const open of watches) open.wake();
    },
    get openWatches() {
      return watches.size;
    },
  };
  return client as unknown as FakeClient;
}

/** RFC 7386. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? (target as Record<string, unknown>) : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = merge(result[name], value);
  }
  return result;
}

import type { Logger } from 'pino';
import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { GridferryError, messageOf } from '../errors.ts';
import { isReason } from '../home/api-error.ts';
import type { Client, ListOptions, ListResult, WatchEvent } from '../home/client.ts';
import { createBackoff } from './backoff.ts';
import { cached, createObjectStore } from './cache.ts';
import type { Cache } from './cache.ts';
import type { Change } from './change.ts';
import { sleep } from './clock.ts';
import type { Clock } from './clock.ts';

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: Client;
  readonly type: ResourceType<T>;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** A watch that says nothing for so long, not even a bookmark, is taken for dead, in ms. Default 150,000. */
  readonly inactivityMs?: number;
  /** Objects per page of a list. Default 500, as kubectl's. */
  readonly pageSize?: number;
}

/** Keeps a cache of one kind true to the server, whatever happens to the connection. */
export interface Reflector<T extends KubeObject> {
  readonly type: ResourceType<T>;
  readonly cache: Cache<T>;
  readonly stats: ReflectorStats;
  start(): void;
  /** Ends the watch; resolves when nothing of it runs any more. */
  stop(): Promise<void>;
  /** Called for each change, in order, after the cache has it; a late subscriber first gets what is there already. */
  subscribe(handler: (change: Change<T>) => void): void;
  /** Whether the cache has been complete once. */
  hasSynced(): boolean;
  /** Resolves when `hasSynced`; never, if it is stopped before. */
  readonly synced: Promise<void>;
  /** When the server was last heard of (a list, an event, a bookmark) on the monotonic clock; `undefined` before that. */
  lastSyncMonotonic(): number | undefined;
}

export interface ReflectorStats {
  lists: number;
  watches: number;
  /** Exceptions of handlers: each is a bug of a subscriber. */
  handlerErrors: number;
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
/** A watch that ends by itself earlier than this, having said nothing, counts as a failure. */
const SHORT_WATCH_MS = 1_000;

export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector<T> {
  const { client, type, clock, random, inactivityMs = 150_000, pageSize = 500 } = options;
  const log = options.log.child({ watch: type.plural });
  const scope = options.namespace === undefined ? {} : { namespace: options.namespace };
  const store = createObjectStore<T>();
  const handlers: ((change: Change<T>) => void)[] = [];
  const backoff = createBackoff({ random, baseMs: FIRST_DELAY_MS, maxMs: LONGEST_DELAY_MS });
  const stopping = new AbortController();
  let onSynced: () => void;
  const synced = new Promise<void>((resolve) => (onSynced = resolve));
  const stats: ReflectorStats = { lists: 0, watches: 0, handlerErrors: 0 };
  let complete = false;
  let heardAt: number | undefined;
  /** Where the next watch starts; `undefined` asks for a list first. */
  let version: string | undefined;
  let running: Promise<void> = Promise.resolve();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        version ??= await relist();
        if ((await watchFrom(version)) === 'silent') {
          // A list proves that the server answers and heals whatever the dead watch missed.
          log.warn({ inactivityMs }, 'the watch fell silent: listing again');
          version = undefined;
        }
      } catch (error) {
        await recover(error);
      }
    }
  }

  async function recover(error: unknown): Promise<void> {
    if (stopping.signal.aborted) return;
    const expired = isReason(error, 'Expired', 'Gone');
    if (expired) version = undefined;
    const first = backoff.failures('') === 0;
    const jittered = backoff.next('');
    // One expiry is the normal end of an old version; several in a row are a server in trouble.
    if (expired && first) return;
    const waitMs = Math.max(jittered, error instanceof GridferryError ? (error.retryAfterMs ?? 0) : 0);
    log.warn({ err: error, waitMs: Math.round(waitMs) }, `the watch failed: ${messageOf(error)}`);
    await sleep(clock, waitMs, stopping.signal).catch(() => {
      // Only stop() ends the sleep early, and the loop sees that itself.
    });
  }

  /** Reads everything, page by page, and only then applies the difference. Returns the version to watch from. */
  async function relist(): Promise<string> {
    stats.lists++;
    const objects: T[] = [];
    let page = await listPage({ ...scope, limit: pageSize });
    // Later pages may be newer than the first: what is watched from the first may repeat, but nothing is missed.
    const { resourceVersion } = page;
    objects.push(...page.items);
    while (page.continue !== undefined && page.continue !== '') {
      try {
        page = await listPage({ ...scope, limit: pageSize, continue: page.continue });
      } catch (error) {
        if (!isReason(error, 'Expired', 'Gone')) throw error;
        // The list took longer than its token lives. In one piece it cannot expire.
        page = await listPage(scope);
        objects.length = 0;
        replace(page.items);
        return page.resourceVersion;
      }
      objects.push(...page.items);
    }
    replace(objects);
    return resourceVersion;
  }

  /** The port's `list` takes no signal: a call that is never answered is left behind at the deadline. */
  async function listPage(query: ListOptions): Promise<ListResult<T>> {
    const unanswered = new AbortController();
    const onStop = (): void => unanswered.abort();
    stopping.signal.addEventListener('abort', onStop);
    try {
      const page = await Promise.race([
        client.list(type, query),
        sleep(clock, inactivityMs, unanswered.signal).then(() => {
          throw new GridferryError(
            'GF_WATCH_NO_ANSWER',
            `The API did not answer a list of ${type.plural} within ${inactivityMs / 1000} s; ` +
              `check that it is reachable. It is tried again.`,
            { class: 'retryable' },
          );
        }),
      ]);
      heardAt = clock.monotonic();
      return page;
    } finally {
      stopping.signal.removeEventListener('abort', onStop);
      unanswered.abort();
    }
  }

  function replace(items: readonly T[]): void {
    if (stopping.signal.aborted) return;
    const listed = new Set(items.map((item) => keyString(keyOf(item))));
    for (const object of store.list()) if (!listed.has(keyString(keyOf(object)))) remove(object);
    const initial = !complete;
    for (const item of items) upsert(item, initial);
    if (complete) return;
    complete = true;
    onSynced();
  }

  /** Resolves when the watch ended (`ended`) or stopped being heard of (`silent`); rejects with its error. */
  function watchFrom(from: string): Promise<'ended' | 'silent'> {
    stats.watches++;
    const watch = new AbortController();
    const startedAt = clock.monotonic();
    let lastAt = startedAt;
    let heard = false;
    let cancelTimer: () => void;
    const { promise, resolve, reject } = Promise.withResolvers<'ended' | 'silent'>();
    const onStop = (): void => finish(() => resolve('ended'));

    // Whoever finishes first wins: an iterator that ignores its signal is left behind, and what it still says is not heard.
    function finish(settle: () => void): void {
      if (watch.signal.aborted) return;
      cancelTimer();
      stopping.signal.removeEventListener('abort', onStop);
      watch.abort();
      settle();
    }
    function checkSilence(): void {
      const silentFor = clock.monotonic() - lastAt;
      if (silentFor >= inactivityMs) finish(() => resolve('silent'));
      else cancelTimer = clock.after(inactivityMs - silentFor, checkSilence);
    }
    async function pump(): Promise<void> {
      for await (const event of client.watch(type, { ...scope, resourceVersion: from, signal: watch.signal })) {
        if (watch.signal.aborted) return;
        lastAt = heardAt = clock.monotonic();
        heard = true;
        backoff.reset('');
        apply(event);
      }
    }

    checkSilence();
    stopping.signal.addEventListener('abort', onStop);
    pump().then(
      () =>
        finish(() => {
          if (heard || clock.monotonic() - startedAt >= SHORT_WATCH_MS) {
            resolve('ended');
            return;
          }
          reject(
            new GridferryError(
              'GF_WATCH_CLOSED',
              `The API closed the watch of ${type.plural} at once; check the API server or the proxy before it. ` +
                `It is tried again.`,
              { class: 'retryable' },
            ),
          );
        }),
      (error: unknown) => finish(() => reject(error)),
    );
    if (stopping.signal.aborted) onStop();
    return promise;
  }

  function apply(event: WatchEvent<T>): void {
    if (event.type === 'BOOKMARK') {
      version = event.resourceVersion;
      return;
    }
    if (event.type === 'DELETED') {
      const known = store.get(keyOf(event.object));
      // A deletion that is repeated from before a list must not remove the successor of the same name.
      if (known !== undefined && known.metadata.uid === event.object.metadata.uid) remove(cached(event.object));
    } else {
      upsert(event.object, false);
    }
    version = event.object.metadata.resourceVersion ?? version;
  }

  function upsert(item: T, initial: boolean): void {
    const old = store.get(keyOf(item));
    if (old !== undefined && old.metadata.uid !== item.metadata.uid) {
      remove(old);
      upsert(item, initial);
      return;
    }
    const { resourceVersion } = item.metadata;
    if (old !== undefined && resourceVersion !== undefined && old.metadata.resourceVersion === resourceVersion) return;
    const object = cached(item);
    store.set(object);
    tell(old === undefined ? { kind: 'added', object, initial } : { kind: 'updated', old, object });
  }

  function remove(object: Readonly<T>): void {
    store.delete(keyOf(object));
    tell({ kind: 'deleted', object });
  }

  function tell(change: Change<T>): void {
    for (const handler of handlers) tellOne(handler, change);
  }

  function tellOne(handler: (change: Change<T>) => void, change: Change<T>): void {
    try {
      handler(change);
    } catch (error) {
      stats.handlerErrors++;
      log.error({ err: error, key: keyString(keyOf(change.object)) }, `a handler of ${change.kind} threw`);
    }
  }

  return {
    type,
    cache: store,
    stats,
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
    subscribe(handler) {
      for (const object of store.list()) tellOne(handler, { kind: 'added', object, initial: true });
      handlers.push(handler);
    },
    hasSynced: () => complete,
    synced,
    lastSyncMonotonic: () => heardAt,
  };
}

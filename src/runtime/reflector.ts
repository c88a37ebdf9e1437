import type { Logger } from 'pino';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { GridferryError, messageOf } from '../errors.ts';
import { isReason } from '../home/api-error.ts';
import type { Client, ListOptions, ListResult, WatchEvent } from '../home/client.ts';
import { createBackoff } from './backoff.ts';
import type { Cache } from './cache.ts';
import type { Change } from './change.ts';
import { sleep } from './clock.ts';
import type { Clock } from './clock.ts';
import { createReplica } from './replica.ts';
import type { Replacement } from './replica.ts';

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
  readonly synced: Promise<unknown>;
  /** When the server was last heard of (a list, an event, a bookmark) on the monotonic clock; `undefined` before that. */
  lastSyncMonotonic(): number | undefined;
}

export interface ReflectorStats {
  /** How often everything was read, page by page or through a watch. */
  readonly lists: number;
  readonly watches: number;
  /** Exceptions of handlers: each is a bug of a subscriber. */
  readonly handlerErrors: number;
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
/** A watch that ends by itself earlier than this, having said nothing, counts as a failure. */
const SHORT_WATCH_MS = 1_000;

export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector<T> {
  const { client, type, clock, random, inactivityMs = 150_000, pageSize = 500 } = options;
  const log = options.log.child({ watch: type.plural });
  const scope = options.namespace === undefined ? {} : { namespace: options.namespace };
  const replica = createReplica<T>(log);
  const backoff = createBackoff({ random, baseMs: FIRST_DELAY_MS, maxMs: LONGEST_DELAY_MS });
  const stopping = new AbortController();
  const { promise: synced, resolve: onSynced } = Promise.withResolvers<undefined>();
  let complete = false;
  let lists = 0;
  let watches = 0;
  let heardAt: number | undefined;
  /** Where the next watch starts; `undefined` asks for everything first. */
  let version: string | undefined;
  /** Whether everything comes through the watch itself. */
  let streaming = client.prefersStreamedLists === true;
  let running: Promise<void> = Promise.resolve();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        if (!streaming) version ??= await readAll();
        if ((await watchFrom(version)) === 'silent') {
          // Reading everything proves that the server answers and heals whatever the dead watch missed.
          log.warn({ inactivityMs }, 'the watch fell silent: reading everything again');
          // A server that never heard of streamed lists never says that one is complete.
          if (version === undefined) streaming = false;
          version = undefined;
        }
      } catch (error) {
        await recover(error);
      }
    }
  }

  async function recover(error: unknown): Promise<void> {
    if (stopping.signal.aborted) return;
    if (streaming && version === undefined && isReason(error, 'Invalid', 'BadRequest', 'Forbidden')) {
      log.info('the server does not stream lists: reading page by page');
      streaming = false;
      return;
    }
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

  /** Reads everything page by page. Returns the version to watch from. */
  async function readAll(): Promise<string> {
    lists++;
    let replacement = replica.replace();
    let page = await listPage({ ...scope, limit: pageSize });
    // Later pages may be newer than the first: what is watched from the first may repeat, but nothing is missed.
    let { resourceVersion } = page;
    for (;;) {
      const token = page.continue ?? '';
      // Asked for before this page is put away, so that the server is at work meanwhile.
      const next = token === '' ? undefined : listPage({ ...scope, limit: pageSize, continue: token });
      if (!stopping.signal.aborted) for (const item of page.items) replacement.upsert(item);
      if (next === undefined) break;
      try {
        page = await next;
      } catch (error) {
        if (!isReason(error, 'Expired', 'Gone')) throw error;
        // The list took longer than its token lives. In one piece it cannot expire.
        page = await listPage(scope);
        replacement = replica.replace();
        ({ resourceVersion } = page);
      }
    }
    finish(replacement);
    return resourceVersion;
  }

  async function listPage(query: ListOptions): Promise<ListResult<T>> {
    const unanswered = new AbortController();
    const onStop = (): void => unanswered.abort();
    stopping.signal.addEventListener('abort', onStop);
    try {
      const page = await Promise.race([
        client.list(type, { ...query, signal: unanswered.signal }),
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

  function finish(replacement: Replacement<T>): void {
    if (stopping.signal.aborted) return;
    replacement.finish();
    complete = true;
    onSynced(undefined);
  }

  /**
   * Follows the changes from a version, or reads everything first when there is none. Resolves when the watch ended
   * (`ended`) or stopped being heard of (`silent`); rejects with its error.
   */
  function watchFrom(from: string | undefined): Promise<'ended' | 'silent'> {
    watches++;
    if (from === undefined) lists++;
    let replacement = from === undefined ? replica.replace() : undefined;
    const watch = new AbortController();
    const startedAt = clock.monotonic();
    let lastAt = startedAt;
    let heard = false;
    let cancelTimer: () => void;
    const { promise, resolve, reject } = Promise.withResolvers<'ended' | 'silent'>();
    const onStop = (): void => settle(() => resolve('ended'));

    // Whoever settles first wins: an iterator that ignores its signal is left behind, and what it still says is not heard.
    function settle(how: () => void): void {
      if (watch.signal.aborted) return;
      cancelTimer();
      stopping.signal.removeEventListener('abort', onStop);
      watch.abort();
      how();
    }
    function checkSilence(): void {
      const silentFor = clock.monotonic() - lastAt;
      if (silentFor >= inactivityMs) settle(() => resolve('silent'));
      else cancelTimer = clock.after(inactivityMs - silentFor, checkSilence);
    }
    async function pump(): Promise<void> {
      const start = from === undefined ? { sendInitialEvents: true } : { resourceVersion: from };
      for await (const event of client.watch(type, { ...scope, ...start, signal: watch.signal })) {
        if (watch.signal.aborted) return;
        lastAt = heardAt = clock.monotonic();
        heard = true;
        if (event.type === 'BOOKMARK' && event.initialEventsEnd === true && replacement !== undefined) {
          finish(replacement);
          replacement = undefined;
        }
        apply(event, replacement);
      }
    }
    function endedByServer(): void {
      const usual = replacement === undefined && (heard || clock.monotonic() - startedAt >= SHORT_WATCH_MS);
      if (usual) resolve('ended');
      else reject(closedError(type));
    }

    checkSilence();
    stopping.signal.addEventListener('abort', onStop);
    pump().then(
      () => settle(endedByServer),
      (error: unknown) => settle(() => reject(error)),
    );
    if (stopping.signal.aborted) onStop();
    return promise;
  }

  /** While everything is read no version says how far that has come, and only its end is a success. */
  function apply(event: WatchEvent<T>, replacement: Replacement<T> | undefined): void {
    if (event.type === 'DELETED') (replacement ?? replica).remove(event.object);
    else if (event.type !== 'BOOKMARK') (replacement ?? replica).upsert(event.object);
    if (replacement !== undefined) return;
    backoff.reset('');
    version = event.type === 'BOOKMARK' ? event.resourceVersion : (event.object.metadata.resourceVersion ?? version);
  }

  return {
    type,
    cache: replica.cache,
    stats: {
      get lists() {
        return lists;
      },
      get watches() {
        return watches;
      },
      get handlerErrors() {
        return replica.handlerErrors;
      },
    },
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
    subscribe: (handler) => replica.subscribe(handler),
    hasSynced: () => complete,
    synced,
    lastSyncMonotonic: () => heardAt,
  };
}

function closedError(type: ResourceType): GridferryError {
  return new GridferryError(
    'GF_WATCH_CLOSED',
    `The API closed the watch of ${type.plural} at once; check the API server or the proxy before it. ` +
      `It is tried again.`,
    { class: 'retryable' },
  );
}

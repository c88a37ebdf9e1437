import { setImmediate } from 'node:timers/promises';
import type { Logger } from 'pino';
import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { GridferryError, messageOf } from '../errors.ts';
import type { Client } from '../home/client.ts';
import { createBackoff } from './backoff.ts';
import { cached } from './cache.ts';
import type { Cache } from './cache.ts';
import { desiredChanged, isNewerVersion, scopeOf } from './change.ts';
import type { Change } from './change.ts';
import type { Clock } from './clock.ts';
import { createDeadlines } from './deadlines.ts';
import type { EventRecorder } from './event-recorder.ts';
import type { Leadership } from './leadership.ts';
import type { ControllerDefinition, ReconcileContext, WatchedType } from './reconciler.ts';
import { createRun } from './run.ts';
import type { Interruption, Run } from './run.ts';
import { createControllerStats } from './stats.ts';
import type { ControllerStats, ReconcileOutcome } from './stats.ts';
import { answer, conclude } from './verdict.ts';
import type { Verdict } from './verdict.ts';
import { createWorkQueue } from './work-queue.ts';
import type { QueueContents, QueueItem } from './work-queue.ts';

export interface ControllerOptions<T extends KubeObject> {
  readonly definition: ControllerDefinition<T>;
  readonly client: Client;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly recorder: EventRecorder;
  readonly cache: ReconcileContext<T>['cache'];
  readonly leadership?: Leadership;
}

/** One controller at work: its queue, its workers, and what it does with what they answer. */
export interface Controller {
  readonly name: string;
  readonly type: ResourceType;
  readonly stats: ControllerStats;
  /** A change of an object of its own kind. */
  onChange(change: Change): void;
  /** A change of an object of a kind that it watches. */
  onWatched(watched: WatchedType, change: Change): void;
  /** Sets its workers to work. */
  start(): void;
  /** Takes up nothing new; resolves when no reconcile runs any more. */
  shutDown(): Promise<void>;
  /** Tells every running reconcile to stop. */
  interruptAll(interruption: Interruption): void;
  contents(): QueueContents<string>;
}

/** What is remembered of one object between its reconciles. */
interface Memory<T extends KubeObject> {
  uid: string | undefined;
  /** The newest version we know when it is one that the cache has not yet: what we wrote, or read after a conflict. */
  ahead: Readonly<T> | undefined;
  conflicts: number;
  run: Run<T> | undefined;
  log: Logger | undefined;
  readonly wake: () => void;
}

const DEFAULT_CONCURRENCY = 4;
const DEFAULT_RESYNC_MS = 600_000;
const DEFAULT_DEADLINE_MS = 300_000;
/** A reconcile that ignores its signal for so long loses its worker's place (never its key). */
const STUCK_AFTER_MS = 10_000;
/** Conflicts in a row that are answered at once; more of them mean that two are writing the same status. */
const FREE_CONFLICTS = 5;
/** Reconciles without I/O never leave the microtask queue: timers and sockets get their turn after so many. */
const YIELD_EVERY = 100;

export function createController<T extends KubeObject>(options: ControllerOptions<T>): Controller {
  const { definition, client, clock, random, recorder, cache, leadership } = options;
  const { reconciler, concurrency = DEFAULT_CONCURRENCY, resyncMs = DEFAULT_RESYNC_MS } = definition;
  const { deadlineMs = DEFAULT_DEADLINE_MS } = definition;
  const { name, type } = reconciler;
  const log = options.log.child({ controller: name });
  const queue = createWorkQueue<string>({ clock, backoff: createBackoff({ random }) });
  const stats = createControllerStats(name, concurrency, queue.stats);
  const concluding = { client, type, recorder, component: name };
  const memories = new Map<string, Memory<T>>();
  const stopping = new AbortController();
  const deadlines = createDeadlines<Run<T>>({
    clock,
    stages: [
      {
        afterMs: deadlineMs,
        callback: (run) => {
          stats.timeouts++;
          run.interrupt({ cause: 'deadline', error: deadlineError(keyString(run.context.key), deadlineMs) });
        },
      },
      {
        afterMs: deadlineMs + STUCK_AFTER_MS,
        callback: (run) => {
          run.context.log.error(
            'the reconcile ignores its deadline: its key stays locked, its worker goes on without it',
          );
          run.release();
        },
      },
    ],
  });
  let objects: Cache<T> | undefined;

  function known(key: ObjectKey): Readonly<T> | undefined {
    objects ??= cache(type);
    return objects.get(key);
  }

  function memoryOf(key: string): Memory<T> {
    let memory = memories.get(key);
    if (memory === undefined) {
      const wake = (): void => queue.add(key, 'change');
      memory = { uid: undefined, ahead: undefined, conflicts: 0, run: undefined, log: undefined, wake };
      memories.set(key, memory);
    }
    return memory;
  }

  /** The newest version known. A deletion that the cache has seen outweighs whatever we wrote before it. */
  function newest(key: ObjectKey, memory: Memory<T> | undefined): Readonly<T> | undefined {
    const object = known(key);
    const ahead = memory?.ahead;
    if (object === undefined || memory === undefined || ahead === undefined) return object;
    const { uid, resourceVersion } = ahead.metadata;
    if (uid === object.metadata.uid && isNewerVersion(resourceVersion, object.metadata.resourceVersion)) return ahead;
    memory.ahead = undefined;
    return object;
  }

  function forget(key: string): void {
    queue.forget(key);
    if (!memories.delete(key)) return;
    try {
      reconciler.forget?.(parseKey(key));
    } catch (error) {
      log.error({ err: error, key }, 'forget threw');
    }
  }

  async function work(): Promise<void> {
    for (let count = 1; ; count++) {
      const item = await queue.next();
      if (item === undefined) return;
      if (stopping.signal.aborted) {
        queue.done(item.key);
        return;
      }
      // Leadership does not come back: the rest is for the next leader.
      if (leadership?.isLeader() === false) {
        queue.done(item.key);
        return;
      }
      stats.activeWorkers++;
      await new Promise<void>((release) => {
        reconcile(item, release).then(release, release);
      });
      stats.activeWorkers--;
      if (count % YIELD_EVERY === 0) await setImmediate();
    }
  }

  async function reconcile(item: QueueItem<string>, release: () => void): Promise<void> {
    const key = parseKey(item.key);
    const before = memories.get(item.key);
    const object = newest(key, before);
    // A new object under an old name inherits nothing of the old one.
    if (before?.uid !== undefined && before.uid !== object?.metadata.uid) forget(item.key);
    if (object === undefined) {
      forget(item.key);
      queue.done(item.key);
      return;
    }
    const memory = memoryOf(item.key);
    memory.uid = object.metadata.uid;
    const run = createRun<T>({
      key,
      object,
      client,
      clock,
      cache,
      release,
      wake: memory.wake,
      log: () => (memory.log ??= log.child({ key: item.key })),
    });
    memory.run = run;
    deadlines.add(run, run.startedAt);
    try {
      const { verdict, newest: version } = await conclude(concluding, run, await answer(reconciler, run, stats));
      if (version !== undefined && version !== run.object) memory.ahead = cached(version);
      settle(item, run, memory, verdict);
    } catch (error) {
      run.context.log.error({ err: error }, 'the end of a reconcile threw');
      queue.retry(item.key, { reason: messageOf(error) });
    } finally {
      deadlines.delete(run);
      memory.run = undefined;
      stats.reconcileSeconds.observe((clock.monotonic() - run.startedAt) / 1000);
      queue.done(item.key);
    }
  }

  function settle({ key, priority }: QueueItem<string>, run: Run<T>, memory: Memory<T>, verdict: Verdict): void {
    if (verdict.kind !== 'conflict') memory.conflicts = 0;
    switch (verdict.kind) {
      case 'done':
        count('success');
        queue.forget(key);
        resync(key);
        return;
      case 'requeueAfter':
        count('requeue_after');
        queue.forget(key);
        queue.addAfter(key, verdict.ms, { priority: 'retry', reason: verdict.reason });
        resync(key);
        return;
      case 'retry': {
        count('error');
        stats.errors++;
        const atLeastMs = verdict.error instanceof GridferryError ? (verdict.error.retryAfterMs ?? 0) : 0;
        const waitMs = Math.round(queue.retry(key, { reason: messageOf(verdict.error), atLeastMs }));
        run.context.log.warn({ err: verdict.error, failures: queue.failures(key), waitMs }, 'reconcile failed');
        return;
      }
      case 'terminal':
        count('error');
        stats.errors++;
        stats.terminalErrors++;
        queue.forget(key);
        run.context.log.error({ err: verdict.error }, 'reconcile failed for good: waiting for a change');
        recorder.record({
          object: run.object,
          type: 'Warning',
          reason: 'ReconcileTerminated',
          message: terminalMessage(verdict.error),
          component: name,
        });
        return;
      case 'conflict':
        count('requeue');
        memory.conflicts++;
        if (memory.conflicts <= FREE_CONFLICTS) queue.add(key, priority);
        else queue.retry(key, { reason: messageOf(verdict.error) });
        return;
      case 'interrupted':
        count('requeue');
        queue.add(key, priority);
        return;
      case 'gone':
        // The watch will say so too; until then there is nothing to do for it.
        count('success');
        queue.forget(key);
        return;
    }
  }

  function count(outcome: ReconcileOutcome): void {
    stats.outcomes[outcome]++;
  }

  /** Up to a fifth early, so that what started together does not stay together. */
  function resync(key: string): void {
    queue.addAfter(key, resyncMs * (1 - random() / 5), { priority: 'resync', reason: 'resync' });
  }

  return {
    name,
    type,
    stats,
    onChange(change) {
      const key = keyString(keyOf(change.object));
      if (change.kind === 'added') {
        queue.add(key, change.initial ? 'resync' : 'change');
        return;
      }
      const run = memories.get(key)?.run;
      if (change.kind === 'updated') {
        const scope = scopeOf(change.old, change.object);
        // Status is ours: its changes are the echo of our own writes.
        if (scope === 'status' || scope === 'none') return;
        if (run !== undefined && scope === 'desired' && desiredChanged(run.object, change.object)) {
          run.interrupt({ cause: 'change', error: changedError(key) });
        }
      } else {
        run?.interrupt({ cause: 'change', error: changedError(key) });
      }
      queue.forget(key);
      queue.add(key, 'change');
    },
    onWatched(watched, change) {
      // Before the first sync every object of our own kind is queued anyway.
      if (change.kind === 'added' && change.initial) return;
      const scope = change.kind === 'updated' ? scopeOf(change.old, change.object) : 'desired';
      if (scope === 'none') return;
      const keys = [...watched.toKeys(change.object), ...(change.kind === 'updated' ? watched.toKeys(change.old) : [])];
      for (const target of keys) {
        if (known(target) === undefined) continue;
        const key = keyString(target);
        if (scope !== 'status') queue.forget(key);
        queue.add(key, scope === 'status' ? 'retry' : 'change');
      }
    },
    start() {
      for (let worker = 0; worker < concurrency; worker++) {
        work().catch((error: unknown) => log.fatal({ err: error }, 'a worker ended: this is a bug'));
      }
    },
    shutDown() {
      stopping.abort();
      // Whoever shuts down interrupts what takes too long; a deadline would only keep the process alive.
      deadlines.stop();
      return queue.shutDown();
    },
    interruptAll(interruption) {
      for (const { run } of memories.values()) run?.interrupt(interruption);
    },
    contents: () => queue.contents(),
  };
}

function parseKey(key: string): ObjectKey {
  const slash = key.indexOf('/');
  return slash === -1 ? { namespace: '', name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

function terminalMessage(error: unknown): string {
  return error instanceof GridferryError ? `${error.message} (${error.code})` : messageOf(error);
}

function deadlineError(key: string, deadlineMs: number): GridferryError {
  return new GridferryError(
    'GF_RECONCILE_DEADLINE',
    `The reconcile of ${key} took longer than ${deadlineMs / 1000} s and was aborted; it is tried again. ` +
      `If this goes on, check the server that it works on.`,
    { class: 'retryable' },
  );
}

function changedError(key: string): GridferryError {
  return new GridferryError(
    'GF_RECONCILE_SUPERSEDED',
    `${key} was changed or deleted while it was being reconciled; it is reconciled again as it is now.`,
    { class: 'conflict' },
  );
}

import type { Backoff } from './backoff.ts';
import type { Clock } from './clock.ts';
import { createDelayHeap } from './delay-heap.ts';
import type { HeapEntry } from './delay-heap.ts';
import { createQueueStats } from './stats.ts';
import type { QueueStats } from './stats.ts';

/** Somebody changed something > it failed and is tried again, or asked to be > it is simply time to look again. */
export type Priority = 'change' | 'retry' | 'resync';

/** In the order in which they are served. */
export const PRIORITIES: readonly Priority[] = ['change', 'retry', 'resync'];

export interface QueueItem<K extends string> {
  readonly key: K;
  readonly priority: Priority;
}

/** Everything the queue holds at one moment. */
export interface QueueContents<K extends string> {
  readonly running: readonly { readonly key: K; readonly forMs: number }[];
  /** In the order in which they will be served. */
  readonly ready: readonly QueueItem<K>[];
  /** By due time. */
  readonly delayed: readonly (QueueItem<K> & { readonly dueInMs: number; readonly reason: string })[];
}

/**
 * A queue of keys. Invariants, whatever is called in whatever order:
 *
 * - a key is worked on by one worker at a time, and is ready at most once;
 * - an add is never lost: one that comes while the key is worked on makes it ready again afterwards;
 * - a ready key of higher priority goes first; among equals, the one that waits longest;
 * - a key has at most one delay, the earliest asked for, and none while it is ready.
 */
export interface WorkQueue<K extends string> {
  /** Makes the key ready now. Supersedes a pending delay; promotes a key that is ready at a lower priority. */
  add(key: K, priority?: Priority): void;
  /** Makes the key ready in `ms`. The earliest delay wins, and keeps the higher of the two priorities. */
  addAfter(key: K, ms: number, options: { readonly priority: Priority; readonly reason: string }): void;
  /** Counts a failure and adds the key after its backoff, at least `atLeastMs`. Returns the delay in ms. */
  retry(key: K, options: { readonly reason: string; readonly atLeastMs?: number }): number;
  /** Failures since the last `forget`. */
  failures(key: K): number;
  /** Resets the backoff of the key. */
  forget(key: K): void;
  /** The next key, now being worked on until `done`; `undefined` once the queue is shut down. */
  next(): Promise<QueueItem<K> | undefined>;
  /** The worker has finished with the key. */
  done(key: K): void;
  /** No add counts from now on and nothing more is handed out. Resolves when no key is worked on any more. */
  shutDown(): Promise<void>;
  contents(): QueueContents<K>;
  readonly stats: QueueStats;
}

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly backoff: Backoff;
}

interface Delay<K extends string> extends HeapEntry {
  readonly entry: Entry<K>;
  readonly dueAt: number;
  readonly level: number;
  readonly reason: string;
}

/** What the queue knows of one key. An entry that is neither ready, running nor delayed does not exist. */
interface Entry<K extends string> extends Link<K> {
  readonly key: K;
  state: 'idle' | 'ready' | 'running';
  level: number;
  readySince: number;
  runningSince: number;
  /** The level at which it becomes ready again when its worker is done. */
  dirtyLevel: number | undefined;
  dirtySince: number;
  delay: Delay<K> | undefined;
}

/** The ready keys of a level are a ring, so that a key leaves from its middle (a promotion) in O(1). */
interface Link<K extends string> {
  previous: Link<K>;
  following: Link<K>;
}

function createRing<K extends string>(): Link<K> {
  const ring = {} as Link<K>;
  ring.previous = ring;
  ring.following = ring;
  return ring;
}

const levelOf: Readonly<Record<Priority, number>> = { change: 0, retry: 1, resync: 2 };

export function createWorkQueue<K extends string>({ clock, backoff }: WorkQueueOptions): WorkQueue<K> {
  const entries = new Map<K, Entry<K>>();
  const rings = PRIORITIES.map(() => createRing<K>());
  const heap = createDelayHeap<Delay<K>>();
  const waiting: ((item: QueueItem<K> | undefined) => void)[] = [];
  const running = new Set<Entry<K>>();
  const stats = createQueueStats({
    unfinishedMs: () => [...running].map((entry) => clock.monotonic() - entry.runningSince),
  });
  let closed = false;
  let onDrained: (() => void) | undefined;
  let timer: { readonly at: number; readonly cancel: () => void } | undefined;

  function entryOf(key: K): Entry<K> {
    let entry = entries.get(key);
    if (entry === undefined) {
      entry = {
        ...createRing<K>(),
        key,
        state: 'idle',
        level: 0,
        readySince: 0,
        runningSince: 0,
        dirtyLevel: undefined,
        dirtySince: 0,
        delay: undefined,
      };
      entries.set(key, entry);
    }
    return entry;
  }

  function link(entry: Entry<K>, level: number): void {
    const ring = rings[level] as Link<K>;
    entry.level = level;
    entry.previous = ring.previous;
    entry.following = ring;
    ring.previous.following = entry;
    ring.previous = entry;
    stats.depth[level] = (stats.depth[level] ?? 0) + 1;
  }

  function unlink(entry: Entry<K>): void {
    entry.previous.following = entry.following;
    entry.following.previous = entry.previous;
    stats.depth[entry.level] = (stats.depth[entry.level] ?? 0) - 1;
  }

  function makeReady(entry: Entry<K>, level: number, since: number): void {
    entry.state = 'ready';
    entry.readySince = since;
    link(entry, level);
    const waiter = waiting.shift();
    if (waiter !== undefined) waiter(take());
  }

  function take(): QueueItem<K> | undefined {
    for (const ring of rings) {
      if (ring.following === ring) continue;
      const entry = ring.following as Entry<K>;
      unlink(entry);
      const now = clock.monotonic();
      entry.state = 'running';
      entry.runningSince = now;
      running.add(entry);
      stats.queueSeconds.observe((now - entry.readySince) / 1000);
      return { key: entry.key, priority: PRIORITIES[entry.level] as Priority };
    }
    return undefined;
  }

  function addAt(key: K, level: number): void {
    if (closed) return;
    const entry = entryOf(key);
    dropDelay(entry);
    if (entry.state === 'running') {
      if (entry.dirtyLevel === undefined) {
        entry.dirtyLevel = level;
        entry.dirtySince = clock.monotonic();
        stats.adds++;
      } else entry.dirtyLevel = Math.min(entry.dirtyLevel, level);
    } else if (entry.state === 'ready') {
      if (level < entry.level) {
        unlink(entry);
        link(entry, level);
      }
    } else {
      stats.adds++;
      makeReady(entry, level, clock.monotonic());
    }
  }

  function dropDelay(entry: Entry<K>): void {
    if (entry.delay === undefined) return;
    heap.remove(entry.delay);
    entry.delay = undefined;
  }

  /** The timer may be early, because its delay was dropped; it is never late. */
  function armTimer(): void {
    const first = heap.peek();
    if (first === undefined || (timer !== undefined && timer.at <= first.dueAt)) return;
    timer?.cancel();
    const cancel = clock.after(first.dueAt - clock.monotonic(), () => {
      timer = undefined;
      for (;;) {
        const due = heap.peek();
        if (due === undefined || due.dueAt > clock.monotonic()) break;
        addAt(due.entry.key, due.level);
      }
      armTimer();
    });
    timer = { at: first.dueAt, cancel };
  }

  function addAfter(key: K, ms: number, { priority, reason }: { priority: Priority; reason: string }): void {
    if (Number.isNaN(ms)) throw new TypeError(`The delay of ${key} is not a number`);
    const level = levelOf[priority];
    if (ms <= 0) {
      addAt(key, level);
      return;
    }
    if (closed) return;
    const entry = entryOf(key);
    if (entry.state === 'ready' || entry.dirtyLevel !== undefined) return;
    let delay: Delay<K> = { entry, dueAt: clock.monotonic() + ms, level, reason, heapIndex: -1 };
    const pending = entry.delay;
    if (pending !== undefined) {
      const earlier = pending.dueAt <= delay.dueAt ? pending : delay;
      if (pending.level === level && earlier === pending) return;
      const higher = pending.level === level ? earlier : pending.level < level ? pending : delay;
      delay = { ...higher, dueAt: earlier.dueAt };
      dropDelay(entry);
    }
    entry.delay = delay;
    heap.push(delay);
    armTimer();
  }

  return {
    stats,
    add(key, priority = 'change') {
      addAt(key, levelOf[priority]);
    },
    addAfter,
    retry(key, { reason, atLeastMs = 0 }) {
      const ms = Math.max(backoff.next(key), atLeastMs);
      stats.retries++;
      addAfter(key, ms, { priority: 'retry', reason });
      return ms;
    },
    failures: (key) => backoff.failures(key),
    forget(key) {
      backoff.reset(key);
    },
    next() {
      if (closed) return Promise.resolve(undefined);
      const item = take();
      return item === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(item);
    },
    done(key) {
      const entry = entries.get(key);
      if (entry?.state !== 'running') throw new Error(`${key} is not being worked on`);
      running.delete(entry);
      stats.workSeconds.observe((clock.monotonic() - entry.runningSince) / 1000);
      entry.state = 'idle';
      const level = entry.dirtyLevel;
      entry.dirtyLevel = undefined;
      if (level !== undefined && !closed) makeReady(entry, level, entry.dirtySince);
      else if (entry.delay === undefined) entries.delete(key);
      if (closed && running.size === 0) onDrained?.();
    },
    shutDown() {
      closed = true;
      timer?.cancel();
      timer = undefined;
      heap.clear();
      for (const entry of entries.values()) {
        if (entry.state === 'ready') unlink(entry);
        entry.delay = undefined;
        if (entry.state !== 'running') entries.delete(entry.key);
      }
      for (const waiter of waiting.splice(0)) waiter(undefined);
      if (running.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const earlier = onDrained;
        onDrained = () => {
          earlier?.();
          resolve();
        };
      });
    },
    contents() {
      const now = clock.monotonic();
      const ready: QueueItem<K>[] = [];
      for (const ring of rings) {
        for (let at = ring.following; at !== ring; at = at.following) {
          const entry = at as Entry<K>;
          ready.push({ key: entry.key, priority: PRIORITIES[entry.level] as Priority });
        }
      }
      return {
        running: [...running].map((entry) => ({ key: entry.key, forMs: now - entry.runningSince })),
        ready,
        delayed: [...heap.values()]
          .sort((a, b) => a.dueAt - b.dueAt)
          .map(({ entry, dueAt, level, reason }) => ({
            key: entry.key,
            priority: PRIORITIES[level] as Priority,
            dueInMs: Math.max(0, dueAt - now),
            reason,
          })),
      };
    },
  };
}

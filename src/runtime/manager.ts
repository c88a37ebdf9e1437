import type { Logger } from 'pino';
import { apiVersionOf } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { GridferryError } from '../errors.ts';
import type { Client } from '../home/client.ts';
import type { Cache } from './cache.ts';
import type { Change } from './change.ts';
import { sleep } from './clock.ts';
import type { Clock } from './clock.ts';
import { createController } from './controller.ts';
import { EVENT_TTL_MS, pruneEvents } from './event-pruner.ts';
import { createEventRecorder } from './event-recorder.ts';
import type { Readiness } from './http-endpoints.ts';
import type { Leadership } from './leadership.ts';
import { runtimeFamilies } from './metrics.ts';
import type { Metrics } from './metrics.ts';
import type { ControllerDefinition } from './reconciler.ts';
import { createReflector } from './reflector.ts';
import type { Reflector } from './reflector.ts';
import type { Interruption } from './run.ts';
import type { ControllerStats } from './stats.ts';
import type { Priority } from './work-queue.ts';

export interface ManagerOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly controllers: readonly ControllerDefinition[];
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
  readonly metrics?: Metrics;
  /** Look at this namespace only. Absent: all. */
  readonly namespace?: string;
  /** With it, this process is a standby, with its caches complete, until it is elected. */
  readonly leadership?: Leadership;
  /** Who reports events, to tell replicas apart. Default `gridferry`. */
  readonly instance?: string;
  /** Delete Events after an hour: for a home that does not do so itself. Default false. */
  readonly pruneEvents?: boolean;
  /** At stop, how long running reconciles may go on before their signals fire, in ms. Default 5,000. */
  readonly graceMs?: number;
  /** After that, how long they are waited for, in ms. Default 20,000. */
  readonly stopTimeoutMs?: number;
  /** Passed to the reflectors. A watch unheard of for twice as long makes the process not ready. Default 150,000. */
  readonly inactivityMs?: number;
}

export interface PendingKey {
  readonly controller: string;
  readonly key: string;
}

/** All that the manager has still to do. */
export interface Pending {
  readonly running: readonly (PendingKey & { readonly forMs: number })[];
  readonly ready: readonly (PendingKey & { readonly priority: Priority })[];
  /** `priority: 'resync'` is the periodic second look at what is already as it should be. */
  readonly delayed: readonly (PendingKey & {
    readonly priority: Priority;
    readonly dueInMs: number;
    readonly reason: string;
  })[];
}

/** Runs controllers over shared caches. */
export interface Manager {
  /**
   * Resolves once every cache is complete and the workers are at work, or will be as soon as this process leads. Rejects
   * with `GF_RUNTIME_STOPPED`.
   */
  start(): Promise<void>;
  /** Drains: takes up nothing new, lets what runs finish, then interrupts it, then waits. Idempotent. */
  stop(): Promise<void>;
  pending(): Pending;
  /** Nothing runs, is ready, or waits for anything but its periodic resync; recorded events may still be on their way. */
  idle(): boolean;
  /** Resolves when the events recorded so far are posted or given up. */
  flushEvents(): Promise<void>;
  readiness(): Readiness;
  /** What is known of a kind; throws `GF_RUNTIME_NOT_WATCHED` for one that no controller reconciles or watches. */
  cache<T extends KubeObject>(type: ResourceType<T>): Cache<T>;
  readonly stats: readonly ControllerStats[];
}

const PRUNE_EVERY_MS = 600_000;

export function createManager(options: ManagerOptions): Manager {
  const { client, clock, log, leadership, random = Math.random } = options;
  const { graceMs = 5_000, stopTimeoutMs = 20_000, inactivityMs = 150_000 } = options;
  const scope = options.namespace === undefined ? {} : { namespace: options.namespace };
  const recorder = createEventRecorder({ client, clock, random, log, instance: options.instance ?? 'gridferry' });
  const reflectors = new Map<string, Reflector<KubeObject>>();
  const stopping = new AbortController();
  let stopped: Promise<void> | undefined;

  /** One reflector for a kind, however many controllers look at it. */
  function subscribe(type: ResourceType, handler: (change: Change) => void): void {
    let reflector = reflectors.get(idOf(type));
    if (reflector === undefined) {
      reflector = createReflector({ client, type, clock, random, log, inactivityMs, ...scope });
      reflectors.set(idOf(type), reflector);
    }
    reflector.subscribe(handler);
  }

  function cache<T extends KubeObject>(type: ResourceType<T>): Cache<T> {
    const reflector = reflectors.get(idOf(type));
    if (reflector === undefined) {
      throw new GridferryError(
        'GF_RUNTIME_NOT_WATCHED',
        `${type.kind} is read from the cache, but no controller watches it; this is a bug in Gridferry: please report it.`,
      );
    }
    return reflector.cache as Cache<T>;
  }

  const controllers = options.controllers.map((definition) => {
    const controller = createController({
      definition,
      client,
      clock,
      random,
      log,
      recorder,
      cache,
      ...(leadership === undefined ? {} : { leadership }),
    });
    subscribe(definition.reconciler.type, (change) => controller.onChange(change));
    for (const watched of definition.watches ?? []) {
      subscribe(watched.type, (change) => controller.onWatched(watched, change));
    }
    return controller;
  });
  const stats = controllers.map((controller) => controller.stats);
  const watching = [...reflectors.values()];
  if (options.metrics !== undefined) {
    const families = runtimeFamilies({
      controllers: stats,
      reflectors: watching.map((reflector) => ({ kind: reflector.type.kind, stats: reflector.stats })),
      events: recorder.stats,
      ...(leadership === undefined ? {} : { leadership: { name: 'gridferry', of: leadership } }),
    });
    for (const family of families) options.metrics.register(family);
  }

  async function start(): Promise<void> {
    stopping.signal.throwIfAborted();
    for (const reflector of watching) reflector.start();
    await Promise.race([Promise.all(watching.map((reflector) => reflector.synced)), rejection(stopping.signal)]);
    // Only now: a reconcile may rely on every cache being complete.
    if (leadership === undefined) {
      begin();
      return;
    }
    log.info('standing by');
    leadership.lost.addEventListener('abort', onLeadershipLost);
    leadership.elected.then(begin, (error: unknown) => log.fatal({ err: error }, 'no election: this is a bug'));
  }

  function begin(): void {
    if (stopping.signal.aborted || leadership?.lost.aborted === true) return;
    for (const controller of controllers) controller.start();
    if (options.pruneEvents === true) {
      prunePeriodically().catch((error: unknown) => log.error({ err: error }, 'events are no longer pruned'));
    }
    log.info({ controllers: controllers.map(({ name }) => name) }, 'started');
  }

  async function prunePeriodically(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await pruneEvents({ client, clock, olderThanMs: EVENT_TTL_MS, ...scope });
      } catch (error) {
        log.warn({ err: error }, 'old events could not be deleted; it is tried again later');
      }
      await sleep(clock, PRUNE_EVERY_MS, stopping.signal).catch(() => {
        // stop() ends the sleep, and then the loop.
      });
    }
  }

  function onLeadershipLost(): void {
    log.error('the lease was lost: interrupting everything');
    interruptAll({
      cause: 'leadership',
      error: new GridferryError(
        'GF_LEADERSHIP_LOST',
        'This process no longer leads; another one goes on from here. If this happens often, check the API and the clock.',
        { class: 'retryable' },
      ),
    });
  }

  function interruptAll(interruption: Interruption): void {
    for (const controller of controllers) controller.interruptAll(interruption);
  }

  async function stop(): Promise<void> {
    const error = new GridferryError(
      'GF_RUNTIME_STOPPED',
      'Gridferry is being stopped; the next start goes on from here.',
      {
        class: 'retryable',
      },
    );
    stopping.abort(error);
    leadership?.lost.removeEventListener('abort', onLeadershipLost);
    const drained = Promise.all(controllers.map((controller) => controller.shutDown()));
    if (!(await within(drained, graceMs))) {
      log.info('interrupting what still runs');
      interruptAll({ cause: 'shutdown', error });
      if (!(await within(drained, stopTimeoutMs))) {
        log.error({ running: pending().running }, 'these reconciles do not end: leaving them behind');
      }
    }
    await within(recorder.flush(), graceMs);
    await Promise.all(watching.map((reflector) => reflector.stop()));
  }

  /** Whether it was done in time. */
  async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
    const timer = new AbortController();
    const timeout = sleep(clock, ms, timer.signal).then(
      () => false,
      () => true,
    );
    const inTime = await Promise.race([work.then(() => true), timeout]);
    timer.abort();
    return inTime;
  }

  function pending(): Pending {
    const all = controllers.map((controller) => ({ controller: controller.name, ...controller.contents() }));
    return {
      running: all.flatMap(({ controller, running }) => running.map((entry) => ({ controller, ...entry }))),
      ready: all.flatMap(({ controller, ready }) => ready.map((entry) => ({ controller, ...entry }))),
      delayed: all
        .flatMap(({ controller, delayed }) => delayed.map((entry) => ({ controller, ...entry })))
        .sort((a, b) => a.dueInMs - b.dueInMs),
    };
  }

  function readiness(): Readiness {
    const problems: string[] = [];
    const now = clock.monotonic();
    for (const reflector of watching) {
      const heardAt = reflector.lastSyncMonotonic();
      const id = idOf(reflector.type);
      if (!reflector.hasSynced() || heardAt === undefined) problems.push(`${id} is not read yet`);
      else if (now - heardAt > 2 * inactivityMs) {
        problems.push(
          `the watch of ${id} is stale: the API was last heard of ${Math.round((now - heardAt) / 1000)} s ago`,
        );
      }
    }
    if (leadership?.lost.aborted === true) problems.push('the lease was lost');
    if (stopping.signal.aborted) problems.push('being stopped');
    return { ready: problems.length === 0, problems };
  }

  return {
    start,
    stop: () => (stopped ??= stop()),
    pending,
    idle() {
      const { running, ready, delayed } = pending();
      return running.length === 0 && ready.length === 0 && delayed.every(({ priority }) => priority === 'resync');
    },
    flushEvents: () => recorder.flush(),
    readiness,
    cache,
    stats,
  };
}

function idOf(type: ResourceType): string {
  return `${type.plural}.${apiVersionOf(type)}`;
}

/** Rejects when the signal fires. */
function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

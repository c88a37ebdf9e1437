import { GridferryError } from '../errors.ts';
import { sleep, systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import type { HostProcess } from '../ssh/host.ts';
import { dockerCall } from './api.ts';
import { inspectContainer } from './container-capture.ts';
import type { RawContainer } from './container-types.ts';
import type { Engine } from './engine.ts';
import { inspectState, toState } from './lifecycle.ts';
import type { ContainerState } from './lifecycle.ts';

export interface StopOptions {
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

export interface StopResult {
  readonly wasRunning: boolean;
  readonly exitCode: number;
  /** Milliseconds of the clock's monotonic time, from the call on. */
  readonly timings: {
    /** When its processes were gone: from here on nobody writes any more. */
    readonly processGoneMs: number;
    /** When Docker said so too. */
    readonly stoppedMs: number;
  };
}

/** A container that was told to stop. */
export interface Stopping {
  /**
   * Its processes are gone: nobody writes any more. Docker's own clean-up may still go on. Rejects as `settled`, where
   * that comes first.
   */
  readonly gone: Promise<void>;
  /** Docker says that it does not run. */
  readonly settled: Promise<StopResult>;
  /** When it was started whose end this is: another value later on means that somebody started it since. */
  readonly startedAt: string;
}

/** Containers that may be told to stop at any moment, with somebody watching their processes. */
export interface ReadyToStop {
  /** Sends the container its own stop signal, and KILL after its own timeout. */
  stop(id: string): Stopping;
  /** Ends the watch; stops that were begun go on. */
  close(): void;
}

/**
 * Stops a container with its own signal and timeout, and resolves when Docker says that it does not run. Idempotent.
 *
 * Throws `GF_CONTAINER_STILL_RUNNING`, `GF_DOCKER_*`, or the signal's reason; then the stop itself goes on.
 */
export async function stopContainer(engine: Engine, idOrName: string, options: StopOptions = {}): Promise<StopResult> {
  const ready = await readyToStop(engine, [idOrName], options);
  try {
    return await ready.stop(idOrName).settled;
  } finally {
    ready.close();
  }
}

/**
 * Gets ready to stop these containers.
 *
 * Docker answers a stop only after it has taken down network and mounts. So the first process of each container is
 * watched on the machine itself: when the kernel has reaped it, its whole PID namespace is gone. Where it cannot be
 * watched, or the watch is lost, Docker's own word counts.
 */
export async function readyToStop(
  engine: Engine,
  ids: readonly string[],
  options: StopOptions = {},
): Promise<ReadyToStop> {
  const { signal, clock = systemClock } = options;
  const raws = await Promise.all(ids.map((id) => inspectContainer(engine, id, signal)));
  const found = new Map(ids.map((id, index) => [id, raws[index] as RawContainer]));
  const watch = await watchProcesses(engine, raws.filter(isWatchable).map(pidOf), signal);

  function stop(id: string): Stopping {
    const raw = found.get(id);
    if (raw === undefined) throw new Error(`nobody got ready to stop ${id}`);
    const began = clock.monotonic();
    const settled = settle(engine, raw, clock, signal);
    let goneMs: number | undefined;
    const gone = Promise.race([watch.gone(pidOf(raw)), settled.then(() => undefined)]).then(() => {
      goneMs = clock.monotonic() - began;
    });
    // Whoever waits for only one of the two hears of a failure there.
    gone.catch(() => undefined);
    const result = Promise.all([settled, gone]).then(([{ wasRunning, exitCode }]) => {
      const stoppedMs = clock.monotonic() - began;
      return { wasRunning, exitCode, timings: { processGoneMs: goneMs ?? stoppedMs, stoppedMs } };
    });
    result.catch(() => undefined);
    return { gone, settled: result, startedAt: toState(raw).startedAt };
  }
  return { stop, close: () => watch.close() };
}

/** In a shared PID namespace the first process's children outlive it. */
function isWatchable(raw: RawContainer): boolean {
  return (raw.HostConfig.PidMode ?? '') === '' && toState(raw).running && pidOf(raw) > 1;
}

function pidOf(raw: RawContainer): number {
  return raw.State.Pid ?? 0;
}

/** Stops it and waits until Docker says so. */
async function settle(
  engine: Engine,
  raw: RawContainer,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<{ readonly wasRunning: boolean; readonly exitCode: number }> {
  const before = toState(raw);
  if (!before.running && !before.paused) return { wasRunning: false, exitCode: before.exitCode };
  // A frozen process cannot act on its stop signal, and old engines refuse to stop it at all.
  if (before.paused) await post(engine, before.id, 'unpause', `resume container ${before.name}`, signal);
  await post(engine, before.id, 'stop', `stop container ${before.name}`, signal);
  const after = await untilStopped(engine, before.id, clock, signal);
  return { wasRunning: true, exitCode: after.exitCode };
}

interface Watch {
  /** Resolves when this process is gone; never when that cannot be told. */
  gone(pid: number): Promise<void>;
  close(): void;
}

/**
 * `tail --pid` ends when the process has been reaped, and any user may ask whether a process exists. One program for all
 * of them, as sshd allows few: it tells of one after the other, so of none before those that were named first.
 */
const WATCH = `for pid do
  [ -d "/proc/$pid" ] && tail -s 0.01 --pid="$pid" -f /dev/null 2>/dev/null || exit 1
  echo "$pid"
done`;

async function watchProcesses(
  engine: Engine,
  pids: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Watch> {
  const waiting = new Map(pids.map((pid) => [pid, Promise.withResolvers<undefined>()]));
  let program: HostProcess | undefined;
  if (pids.length > 0) {
    try {
      program = await engine.host.spawn(['sh', '-c', WATCH, 'sh', ...pids.map(String)]);
      // A broken connection ends the lines; the watch only makes a stop known sooner.
      for (const stream of [program.stdin, program.stdout, program.stderr]) stream.on('error', () => undefined);
      let told = '';
      program.stdout.on('data', (chunk: Buffer) => {
        const lines = (told + chunk.toString()).split('\n');
        told = lines.pop() ?? '';
        for (const line of lines) waiting.get(Number(line))?.resolve(undefined);
      });
      program.stdin.end();
      program.stderr.resume();
    } catch {
      signal?.throwIfAborted();
    }
  }
  return {
    gone: (pid) => waiting.get(pid)?.promise ?? new Promise(() => undefined),
    close: () => program?.kill(),
  };
}

/** Docker's answer to a stop is not proof: a restart policy may have been quicker. */
async function untilStopped(
  engine: Engine,
  id: string,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<ContainerState> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const state = await inspectState(engine, id, signal);
    if (!state.running) return state;
    await sleep(clock, 50, signal);
  }
  throw stillRunning(engine, id);
}

function stillRunning(engine: Engine, id: string): GridferryError {
  return new GridferryError(
    'GF_CONTAINER_STILL_RUNNING',
    `Container ${id.slice(0, 12)} on ${engine.host.name} runs again after it was stopped; set its restart policy to "no" and see what starts it.`,
    { class: 'retryable' },
  );
}

async function post(
  engine: Engine,
  id: string,
  verb: string,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await dockerCall(engine, {
    method: 'POST',
    path: ['containers', id, verb],
    doing,
    ...(signal === undefined ? {} : { signal }),
  });
}

import { GridferryError } from '../errors.ts';
import { sleep, systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import { dockerCall, dockerStream } from './api.ts';
import { containerName, inspectContainer, restartPolicyOf } from './container-capture.ts';
import type { RestartPolicyCapture } from './container-capture.ts';
import type { RawContainer } from './container-types.ts';
import { demultiplex } from './demultiplex.ts';
import type { Engine } from './engine.ts';
import { envValues, scrub } from './engine-error.ts';

export interface LifecycleOptions {
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/** Where a container is in its life. */
export interface ContainerState {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly running: boolean;
  readonly paused: boolean;
  readonly restarting: boolean;
  /** On that machine, as its engine sees it; 0 when it does not run. */
  readonly pid: number;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly restartPolicy: RestartPolicyCapture;
  readonly health: 'None' | 'Starting' | 'Healthy' | 'Unhealthy';
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** Reads the state. Throws `GF_DOCKER_NOT_FOUND`. */
export async function inspectState(engine: Engine, idOrName: string, signal?: AbortSignal): Promise<ContainerState> {
  return toState(await inspectContainer(engine, idOrName, signal));
}

export function toState(raw: RawContainer): ContainerState {
  return {
    id: raw.Id,
    name: containerName(raw),
    status: raw.State.Status,
    // A container between two tries of its restart policy writes again in a moment.
    running: raw.State.Running || raw.State.Restarting,
    paused: raw.State.Paused,
    restarting: raw.State.Restarting,
    pid: raw.State.Pid ?? 0,
    exitCode: raw.State.ExitCode,
    oomKilled: raw.State.OOMKilled ?? false,
    restartPolicy: restartPolicyOf(raw.HostConfig.RestartPolicy),
    health: healthOf(raw),
    startedAt: raw.State.StartedAt ?? '',
    finishedAt: raw.State.FinishedAt ?? '',
  };
}

function healthOf(raw: RawContainer): ContainerState['health'] {
  switch (raw.State.Health?.Status) {
    case 'healthy':
      return 'Healthy';
    case 'unhealthy':
      return 'Unhealthy';
    case 'starting':
      return 'Starting';
    default:
      return 'None';
  }
}

/** Sets the restart policy unless it is already so; answers the one it had. */
export async function setRestartPolicy(
  engine: Engine,
  idOrName: string,
  policy: RestartPolicyCapture,
  signal?: AbortSignal,
): Promise<RestartPolicyCapture> {
  const { restartPolicy: before } = await inspectState(engine, idOrName, signal);
  if (before.name === policy.name && before.maximumRetryCount === policy.maximumRetryCount) return before;
  await dockerCall(engine, {
    method: 'POST',
    path: ['containers', idOrName, 'update'],
    body: { RestartPolicy: { Name: policy.name, MaximumRetryCount: policy.maximumRetryCount } },
    doing: `change the restart policy of container ${idOrName}`,
    ...(signal === undefined ? {} : { signal }),
  });
  return before;
}

/** Starts a container; `false` when it was running already. */
export async function startContainer(
  engine: Engine,
  idOrName: string,
  signal?: AbortSignal,
): Promise<{ started: boolean }> {
  const before = await inspectState(engine, idOrName, signal);
  if (before.running && !before.paused) return { started: false };
  await post(
    engine,
    before.paused ? [before.id, 'unpause'] : [before.id, 'start'],
    `start container ${before.name}`,
    signal,
  );
  return { started: true };
}

export interface HealthOptions extends LifecycleOptions {
  /** How long it may take to become healthy. Default 60,000 ms. */
  readonly timeoutMs?: number;
  /** Default 100 ms. */
  readonly pollMs?: number;
}

/**
 * Waits until the container's own health check is satisfied; without one, until it runs.
 *
 * Throws `GF_CONTAINER_UNHEALTHY` with the end of the probe's output, `GF_CONTAINER_EXITED`,
 * `GF_CONTAINER_HEALTH_TIMEOUT`.
 */
export async function waitHealthy(
  engine: Engine,
  idOrName: string,
  options: HealthOptions = {},
): Promise<{ readonly health: 'None' | 'Healthy'; readonly waitedMs: number }> {
  const { signal, clock = systemClock, timeoutMs = 60_000, pollMs = 100 } = options;
  const began = clock.monotonic();
  for (;;) {
    const raw = await inspectContainer(engine, idOrName, signal);
    const state = toState(raw);
    const waitedMs = clock.monotonic() - began;
    if (!state.running && state.status !== 'created') {
      throw new GridferryError(
        'GF_CONTAINER_EXITED',
        `Container ${state.name} on ${engine.host.name} ended with exit code ${state.exitCode}${state.oomKilled ? ' (out of memory)' : ''}; see its log.`,
        { details: { exitCode: state.exitCode } },
      );
    }
    if (state.health === 'Unhealthy') {
      throw new GridferryError(
        'GF_CONTAINER_UNHEALTHY',
        `Container ${state.name} on ${engine.host.name} is unhealthy${probeOutput(raw)}; see its log.`,
      );
    }
    if (state.running && !state.restarting && (state.health === 'Healthy' || state.health === 'None')) {
      return { health: state.health, waitedMs };
    }
    if (waitedMs >= timeoutMs) {
      throw new GridferryError(
        'GF_CONTAINER_HEALTH_TIMEOUT',
        `Container ${state.name} on ${engine.host.name} was not healthy within ${timeoutMs} ms (${state.status}, health ${state.health})${probeOutput(raw)}; see its log, or allow more time.`,
        { class: 'retryable' },
      );
    }
    await sleep(clock, Math.min(pollMs, Math.max(1, timeoutMs - waitedMs)), signal);
  }
}

/** A probe that prints its environment must not put it into a status. */
function probeOutput(raw: RawContainer): string {
  const last = raw.State.Health?.Log?.at(-1);
  if (last === undefined) return '';
  const said = scrub(last.Output ?? '', envValues(raw.Config.Env))
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(-300);
  return `: the probe ended with ${last.ExitCode}${said === '' ? '' : ` and said "${said}"`}`;
}

export interface LogTailOptions {
  /** Default 50. */
  readonly lines?: number;
  /** What is beyond it is cut from the front. Default 64 KiB. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/** The last lines of both output streams, without the values of the container's environment. */
export async function containerLogsTail(
  engine: Engine,
  idOrName: string,
  options: LogTailOptions = {},
): Promise<string> {
  const { lines = 50, maxBytes = 64 * 1024, signal } = options;
  const raw = await inspectContainer(engine, idOrName, signal);
  const stream = await dockerStream(engine, {
    method: 'GET',
    path: ['containers', raw.Id, 'logs'],
    query: { stdout: true, stderr: true, tail: lines },
    doing: `read the log of container ${containerName(raw)}`,
    ...(signal === undefined ? {} : { signal }),
  });
  let tail: Buffer = Buffer.alloc(0);
  const source =
    raw.Config.Tty === true ? (stream as AsyncIterable<Buffer>) : demultiplex(stream as AsyncIterable<Buffer>);
  for await (const chunk of source) {
    tail = Buffer.concat([tail, chunk]);
    if (tail.length > maxBytes) tail = tail.subarray(tail.length - maxBytes);
  }
  return scrub(tail.toString('utf8'), envValues(raw.Config.Env));
}

async function post(
  engine: Engine,
  path: readonly string[],
  doing: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await dockerCall(engine, {
    method: 'POST',
    path: ['containers', ...path],
    doing,
    ...(signal === undefined ? {} : { signal }),
  });
}

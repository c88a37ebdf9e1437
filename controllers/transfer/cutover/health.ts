import type { ContainerCapture } from '../../../src/docker/container-capture.ts';
import { addressesOf, inspectHostPort } from '../../../src/docker/addresses.ts';
import { inspectContainer } from '../../../src/docker/container-capture.ts';
import { publishedPorts } from '../../../src/docker/ports.ts';
import type { PublishedPort } from '../../../src/docker/ports.ts';
import { inspectState, toState, waitHealthy } from '../../../src/docker/lifecycle.ts';
import type { ContainerState } from '../../../src/docker/lifecycle.ts';
import { GridferryError } from '../../../src/errors.ts';
import { probeHttp } from '../../../src/health/http-probe.ts';
import { probeTcp } from '../../../src/health/tcp-probe.ts';
import { waitUntilHealthy } from '../../../src/health/wait-until-healthy.ts';
import type { Dial, ProbeResult } from '../../../src/health/probe-result.ts';
import type { HealthCheckSpec } from '../../../src/api/resources.ts';
import { parseDuration } from '../../../src/runtime/duration.ts';
import type { TransferContext } from '../context.ts';
import { publicAddressOf, publicNameOf } from './dns-target.ts';
import { atTarget } from '../source/place.ts';
import type { Place } from '../source/place.ts';

const PROBE_TIMEOUT_MS = 5_000;
const INTERVAL_MS = 100;
/** While the service is stopped every look late is downtime. */
const LOCAL_INTERVAL_MS = 20;
const DEFAULT_TIMEOUT_MS = 60_000;

/** The health check that the user asked for, on the transfer or on the Service. */
function wanted(context: TransferContext): HealthCheckSpec | undefined {
  return context.transfer.spec.healthCheck ?? context.service?.spec.healthCheck;
}

function timeoutOf(context: TransferContext): number {
  const text = wanted(context)?.timeout;
  return text === undefined ? DEFAULT_TIMEOUT_MS : parseDuration(text);
}

/** One thing to ask: a port of a container, over HTTP or by connecting. */
export interface Endpoint {
  readonly container: ContainerCapture;
  readonly containerPort: number;
  readonly published: PublishedPort | undefined;
  readonly http: NonNullable<HealthCheckSpec['http']> | undefined;
}

/**
 * What tells whether the service works: the check of the spec, else a connection to each published TCP port. (The image's
 * own HEALTHCHECK is Docker's business, and waited for before.)
 */
export async function endpointsOf(context: TransferContext): Promise<Endpoint[]> {
  const { containers } = await context.session.capture(context);
  const running = containers.filter((container) => container.running);
  const check = wanted(context);
  const port = check?.http?.port ?? check?.tcp?.port;
  if (port === undefined) {
    return running.flatMap((container) =>
      publishedPorts(container)
        .filter((published) => published.protocol === 'tcp')
        .map((published) => ({ container, containerPort: published.containerPort, published, http: undefined })),
    );
  }
  // The container that publishes the port is the one that is meant; else the one started last, which the others serve.
  const publisher = running.find((container) => publishedPorts(container).some((one) => one.containerPort === port));
  const container = publisher ?? running.at(-1);
  if (container === undefined) return [];
  const published = publishedPorts(container).find((one) => one.containerPort === port && one.protocol === 'tcp');
  return [{ container, containerPort: port, published, http: check?.http }];
}

/**
 * Waits until the service works, as seen on its server itself. Answers how that was found out.
 *
 * @throws GridferryError `GF_CONTAINER_*`, `GF_HEALTH_TIMEOUT`
 */
export async function waitForLocalHealth(context: TransferContext, place: Place = atTarget(context)): Promise<string> {
  const { engine } = await place.connect();
  const { containers } = await context.session.capture(context);
  const timeoutMs = timeoutOf(context);
  const explicit = wanted(context)?.http !== undefined || wanted(context)?.tcp !== undefined;
  let own = 0;
  for (const container of containers.filter((one) => one.running)) {
    const id = await place.containerId(container.name);
    if (explicit) continue;
    const { health } = await waitHealthy(engine, id, {
      timeoutMs,
      pollMs: LOCAL_INTERVAL_MS,
      signal: context.signal,
      clock: context.clock,
    });
    if (health === 'Healthy') own++;
  }
  if (own > 0) return `${String(own)} health check(s) of the image(s) passed`;
  const endpoints = await endpointsOf(context);
  for (const endpoint of endpoints) {
    const dead = new AbortController();
    await waitUntilHealthy({
      probe: (signal) => probeLocally(context, place, endpoint, signal, dead),
      intervalMs: LOCAL_INTERVAL_MS,
      timeoutMs,
      clock: context.clock,
      signal: AbortSignal.any([context.signal, dead.signal]),
    });
  }
  if (endpoints.length > 0) return endpoints.map(describe).join(', ');
  return 'the containers run; there is no port or health check to ask';
}

/**
 * Waits until the service answers at the target's public address, by the name clients use. Answers how, or `undefined`
 * when nothing is published or the target has no public address.
 */
export async function waitForPublicHealth(context: TransferContext): Promise<string | undefined> {
  const endpoints = (await endpointsOf(context)).filter(isPublic);
  const { publicAddress, address: own } = context.targetServer.spec;
  // This machine has no address that is known from outside unless one is given: then nobody can be asked there.
  if (endpoints.length === 0 || (publicAddress ?? own) === undefined) return undefined;
  const address = await publicAddressOf(context.targetServer);
  for (const endpoint of endpoints) {
    await waitUntilHealthy({
      probe: (signal) => probePublicly(context, endpoint, address, signal),
      intervalMs: INTERVAL_MS,
      timeoutMs: timeoutOf(context),
      clock: context.clock,
      signal: context.signal,
    });
  }
  return endpoints.map((one) => `${describe(one)} at ${address}`).join(', ');
}

/** Looks once at everything; answers what is wrong. */
export async function probeOnce(context: TransferContext): Promise<string | undefined> {
  const place = atTarget(context);
  const { engine } = await place.connect();
  const { containers } = await context.session.capture(context);
  for (const container of containers.filter((one) => one.running)) {
    const id = await place.containerId(container.name);
    const state = await inspectState(engine, id, context.signal);
    if (!state.running) return `container ${container.name} stopped with exit code ${String(state.exitCode)}`;
    if (state.restarting) return `container ${container.name} crashes and is started again and again`;
    if (state.health === 'Unhealthy') return `the health check of container ${container.name} fails`;
  }
  for (const endpoint of await endpointsOf(context)) {
    const result = await probeLocally(context, place, endpoint, context.signal);
    if (!result.ok) return result.reason;
  }
  return undefined;
}

/**
 * Why there is nothing to probe: the container is between two tries of its restart policy. One that has ended for good is
 * not waited for: every second of that is downtime.
 */
function unusable(
  place: Place,
  { container }: Endpoint,
  { running, restarting, exitCode, restartPolicy }: ContainerState,
  dead: AbortController,
): ProbeResult | undefined {
  if (running && !restarting) return undefined;
  const reason = `container ${container.name} ended with exit code ${String(exitCode)}`;
  // One that its engine always starts again is on its way: the engine itself was restarted.
  const comesBack = restartPolicy.name === 'always' || restartPolicy.name === 'unless-stopped';
  if (!running && !comesBack) {
    dead.abort(
      new GridferryError(
        'GF_CONTAINER_EXITED',
        `${reason} on server ${place.server.metadata.name}, where it does not work as it did before: start it there by hand from its image to see why`,
      ),
    );
  }
  return { ok: false, outcome: 'Refused', reason, latencyMs: 0, notes: [] };
}

/** @param dead fires when the container has ended, for those who would wait for it */
async function probeLocally(
  context: TransferContext,
  place: Place,
  endpoint: Endpoint,
  signal: AbortSignal,
  dead?: AbortController,
): Promise<ProbeResult> {
  const { host, engine } = await place.connect();
  const id = await place.containerId(endpoint.container.name);
  const raw = await inspectContainer(engine, id, signal);
  const problem = dead && unusable(place, endpoint, toState(raw), dead);
  if (problem !== undefined) return problem;
  // The container's own address: Docker's proxy accepts for a published port before anything listens behind it.
  const address = addressesOf(raw)[0] ?? '127.0.0.1';
  const port = endpoint.containerPort;
  return probe(context, endpoint, address, port, signal, () => host.openTcp(address, port));
}

async function probePublicly(
  context: TransferContext,
  endpoint: Endpoint,
  address: string,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const port = endpoint.published?.hostPort ?? (await chosenPort(context, endpoint, signal)) ?? endpoint.containerPort;
  return probe(context, endpoint, address, port, signal, () => context.dataPlane.openTcp(address, port));
}

/** Where only the container's port is configured, Docker chooses the server's at each start. */
async function chosenPort(
  context: TransferContext,
  { container, containerPort }: Endpoint,
  signal: AbortSignal,
): Promise<number | undefined> {
  const place = atTarget(context);
  const { engine } = await place.connect();
  const id = await place.containerId(container.name);
  return inspectHostPort(engine, id, containerPort, signal);
}

function probe(
  context: TransferContext,
  endpoint: Endpoint,
  address: string,
  port: number,
  signal: AbortSignal,
  dial: Dial,
): Promise<ProbeResult> {
  const common = {
    address,
    port,
    timeoutMs: PROBE_TIMEOUT_MS,
    signal,
    clock: context.clock,
    dial,
  };
  const { http } = endpoint;
  if (http === undefined) return probeTcp(common);
  const name = http.host ?? publicNameOf(context).name;
  const [low = '200', high = low] = http.expectedStatus.split('-');
  return probeHttp({
    ...common,
    path: http.path,
    scheme: http.scheme,
    expectedStatus: [Number(low), Number(high)],
    ...(name === undefined ? {} : { hostHeader: name }),
  });
}

function isPublic({ published }: Endpoint): boolean {
  return published !== undefined && published.hostAddress !== '127.0.0.1' && published.hostAddress !== '::1';
}

function describe({ container, containerPort, http }: Endpoint): string {
  return http === undefined
    ? `${container.name} accepts connections on port ${String(containerPort)}`
    : `${container.name} answers ${http.path} on port ${String(containerPort)}`;
}

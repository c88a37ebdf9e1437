import { GridferryError } from '../errors.ts';
import { dockerCall, dockerStream, filters } from './api.ts';
import { COMPOSE, composeProjectOf, isOneOff } from './compose-files.ts';
import type { ComposeProject } from './compose-files.ts';
import { BUILTIN_NETWORKS, captureContainer } from './container-capture.ts';
import type { ContainerCapture, ContainerNeed } from './container-capture.ts';
import type { Engine } from './engine.ts';
import { isHostSpecific } from './host-paths.ts';
import { captureImage } from './image-capture.ts';
import type { ImageCapture } from './image-capture.ts';
import { captureNetwork } from './network-capture.ts';
import type { NetworkCapture } from './network-capture.ts';
import { labelsOf, startOrder } from './start-order.ts';
import { captureVolume } from './volume-capture.ts';
import type { VolumeCapture } from './volume-capture.ts';

/** What is moved: one container, a compose project, or a list of containers. */
export type ServiceSelector =
  { readonly container: string } | { readonly composeProject: string } | { readonly containers: readonly string[] };

/** A service as it stands on its server. Plain JSON; holds the environments, so store it like a secret. */
export interface ServiceCapture {
  /** In start order. Those with `running: false` are created there, not started. */
  readonly containers: readonly ContainerCapture[];
  /** Without the built-in ones. */
  readonly networks: readonly NetworkCapture[];
  readonly volumes: readonly VolumeCapture[];
  readonly binds: readonly BindCapture[];
  readonly images: readonly ImageCapture[];
  readonly compose?: ComposeProject;
  /** Containers that these need and that are not among them: without them the service cannot start elsewhere. */
  readonly missing: readonly (ContainerNeed & { readonly neededBy: string })[];
}

export interface BindCapture {
  readonly path: string;
  /** `other`: a socket, a device, or nothing at all. */
  readonly type: 'file' | 'directory' | 'other';
  /** No container may write to it. */
  readonly readOnly: boolean;
  readonly containers: readonly string[];
  /** Part of the server and not of the service: re-created as it is, never copied. */
  readonly hostSpecific: boolean;
}

/**
 * Reads everything that belongs to a service. Throws `GF_DOCKER_NOT_FOUND`, `GF_DOCKER_PROJECT_EMPTY`,
 * `GF_DOCKER_DEPENDENCY_CYCLE`.
 */
export async function captureService(
  engine: Engine,
  selector: ServiceSelector,
  signal?: AbortSignal,
): Promise<ServiceCapture> {
  const names = await selectedContainers(engine, selector, signal);
  const captured: ContainerCapture[] = [];
  for (const name of names) {
    const capture = await captureContainer(engine, name, signal);
    if (!captured.some((other) => other.id === capture.id)) captured.push(capture);
  }
  const containers = startOrder(captured);
  const compose = composeProjectOf(containers.map(labelsOf));
  return {
    containers,
    networks: await each(networksOf(containers), (name) => captureNetwork(engine, name, signal)),
    volumes: await each(volumesOf(containers), (name) => captureVolume(engine, name, signal)),
    binds: await captureBinds(engine, containers, signal),
    images: await each([...new Set(containers.map(({ image }) => image.id))], (id) => captureImage(engine, id, signal)),
    ...(compose === undefined ? {} : { compose }),
    missing: missingNeeds(containers),
  };
}

async function selectedContainers(
  engine: Engine,
  selector: ServiceSelector,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  if ('container' in selector) return [selector.container];
  if ('containers' in selector) return selector.containers;
  const listed = await dockerCall<readonly { Id: string; Labels?: Record<string, string> | null }[]>(engine, {
    method: 'GET',
    path: ['containers', 'json'],
    query: { all: true, filters: filters({ label: [`${COMPOSE.project}=${selector.composeProject}`] }) },
    doing: `list the containers of project ${selector.composeProject}`,
    ...(signal === undefined ? {} : { signal }),
  });
  const members = listed.filter(({ Labels }) => !isOneOff(Labels ?? {}));
  if (members.length === 0) {
    throw new GridferryError(
      'GF_DOCKER_PROJECT_EMPTY',
      `There is no container of a compose project named ${selector.composeProject} on ${engine.host.name}; check the name and the server.`,
    );
  }
  // Services by name, so that two captures of one project are alike.
  const key = (labels: Record<string, string> | null | undefined): string =>
    `${labels?.[COMPOSE.service] ?? ''} ${(labels?.[COMPOSE.number] ?? '').padStart(6, '0')}`;
  return members.sort((a, b) => (key(a.Labels) < key(b.Labels) ? -1 : 1)).map(({ Id }) => Id);
}

function networksOf(containers: readonly ContainerCapture[]): string[] {
  const names = new Set(containers.flatMap(({ networks }) => networks.map(({ network }) => network)));
  return [...names].filter((name) => !BUILTIN_NETWORKS.includes(name)).sort();
}

function volumesOf(containers: readonly ContainerCapture[]): string[] {
  const names = containers.flatMap(({ mounts }) =>
    mounts.flatMap((mount) => (mount.kind === 'volume' ? [mount.name] : [])),
  );
  return [...new Set(names)].filter((name) => name !== '').sort();
}

function missingNeeds(containers: readonly ContainerCapture[]): ServiceCapture['missing'] {
  const present = new Set(containers.map(({ name }) => name));
  return containers.flatMap(({ name, needs }) =>
    needs
      // Volumes that came from another container are mounts of this one now.
      .filter((need) => need.why !== 'volumesFrom' && !present.has(need.container))
      .map((need) => ({ ...need, neededBy: name })),
  );
}

async function captureBinds(
  engine: Engine,
  containers: readonly ContainerCapture[],
  signal: AbortSignal | undefined,
): Promise<BindCapture[]> {
  const uses = new Map<string, { destination: string; container: ContainerCapture; readOnly: boolean }[]>();
  for (const container of containers) {
    for (const mount of container.mounts) {
      if (mount.kind !== 'bind') continue;
      const { destination, readOnly } = mount;
      uses.set(mount.source, [...(uses.get(mount.source) ?? []), { destination, container, readOnly }]);
    }
  }
  return each(
    [...uses].sort(([a], [b]) => (a < b ? -1 : 1)),
    async ([path, users]) => {
      const [first] = users;
      return {
        path,
        type: await bindType(engine, path, first?.container.id ?? '', first?.destination ?? path, signal),
        readOnly: users.every(({ readOnly }) => readOnly),
        containers: [...new Set(users.map(({ container }) => container.name))],
        hostSpecific: isHostSpecific(path),
      };
    },
  );
}

/**
 * What lies at a path of the server. A user who is only in the `docker` group may not be allowed to look: then the
 * engine, which mounts it, is asked.
 */
async function bindType(
  engine: Engine,
  path: string,
  containerId: string,
  destination: string,
  signal: AbortSignal | undefined,
): Promise<BindCapture['type']> {
  const { exitCode, stdout } = await engine.host.exec(['stat', '-L', '-c', '%F', '--', path], {
    allowFailure: true,
    root: engine.host.isRoot,
    env: { LC_ALL: 'C' },
    ...(signal === undefined ? {} : { signal }),
  });
  if (exitCode === 0) {
    const kind = stdout.trim();
    if (kind === 'directory') return 'directory';
    return kind.startsWith('regular') ? 'file' : 'other';
  }
  try {
    return await typeInContainer(engine, containerId, destination, signal);
  } catch {
    // Neither the login user nor the engine can see it: there is nothing that could be copied.
    return 'other';
  }
}

/** Go's `os.FileMode` bits, as the archive endpoint's header has them. */
const GO_DIRECTORY = 2 ** 31;
const GO_TYPE_BITS = [31, 27, 26, 25, 24, 21, 19];

async function typeInContainer(
  engine: Engine,
  containerId: string,
  destination: string,
  signal: AbortSignal | undefined,
): Promise<BindCapture['type']> {
  const response = await dockerStream(engine, {
    method: 'HEAD',
    path: ['containers', containerId, 'archive'],
    query: { path: destination },
    doing: `look at ${destination} in a container`,
    ...(signal === undefined ? {} : { signal }),
  });
  response.resume();
  const { headers } = response as unknown as { headers: Record<string, string | undefined> };
  const stat = Buffer.from(headers['x-docker-container-path-stat'] ?? '', 'base64').toString();
  const { mode } = JSON.parse(stat) as { mode: number };
  if (Math.floor(mode / GO_DIRECTORY) % 2 === 1) return 'directory';
  return GO_TYPE_BITS.some((bit) => Math.floor(mode / 2 ** bit) % 2 === 1) ? 'other' : 'file';
}

/** One after the other: a service has a handful of each, and an engine answers in milliseconds. */
async function each<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await run(item));
  return results;
}

import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type Docker from 'dockerode';
import { GridferryError, messageOf } from '../errors.ts';
import { runToEnd } from '../ssh/run-to-end.ts';
import { findTools } from './bench-tools.ts';
import { ignoreNotFound } from './docker-status.ts';
import {
  commandIntoHelper,
  createHelper,
  helperDefaults,
  helperHostDefaults,
  helperRunFolder,
  hostToolMounts,
  removeHelper,
  spawnInHelper,
} from './helper-container.ts';
import { locationKey, type DataLocation, type Workbench, type WorkbenchOptions } from './workbench.ts';

const workFolder = '/gridferry';

/** Marks every helper container, whatever the transfer's own labels are. */
export const workbenchLabel = 'gridferry.io/workbench';
const shapeLabel = 'gridferry.io/workbench-shape';

/** What reading and making any file takes: nothing is inherited from Docker's default set. */
const capabilities = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'SETFCAP',
  // trusted.* attributes are only shown to and set by it.
  'SYS_ADMIN',
];

/** The helper ends by itself when nothing ran in it for a day: a forgotten one does not stay. */
const idleScript = `
mkdir -p ${helperRunFolder}
trap 'exit 0' TERM INT
last=$(date +%s)
while [ $(( $(date +%s) - last )) -lt 86400 ]; do
  sleep 300 & wait $!
  for file in ${helperRunFolder}/*; do
    [ -f "$file" ] || continue
    if read -r pid <"$file" && kill -0 "$pid" 2>/dev/null; then last=$(date +%s); else rm -f "$file"; fi
  done
done
`;

/** Programs run in a helper container that sees the host's tools and the data, and nothing else. */
export async function openContainerWorkbench(options: WorkbenchOptions): Promise<Workbench> {
  const { docker, host, locations, signal } = options;
  const paths = new Map(locations.map((location, index) => [locationKey(location), insidePath(location, index)]));
  const container = await ensureContainer(options);
  const spawn: Workbench['spawn'] = (argv, spawnOptions) => spawnInHelper(container, host.name, argv, spawnOptions);
  const exec: Workbench['exec'] = (argv, execOptions) => runToEnd(host.name, spawn, argv, execOptions);
  const [tools, hasClient] = await Promise.all([
    findTools((argv, execOptions) => exec(argv, { ...execOptions, ...(signal ? { signal } : {}) })),
    options.socketPath === undefined ? false : hasDockerClient(host),
  ]);

  return {
    name: host.name,
    mode: 'container',
    tools,
    workFolder,
    pathOf(location) {
      const path = paths.get(locationKey(location));
      if (path === undefined) throw new Error(`${locationKey(location)} is not on this workbench`);
      return path;
    },
    spawn,
    exec,
    ...(hasClient
      ? {
          hostCommand: (argv: readonly string[], env: Readonly<Record<string, string>>) =>
            commandIntoHelper(container.id, options.socketPath ?? '', argv, env),
        }
      : {}),
    async close() {
      await removeHelper(docker, container);
    },
  };
}

async function hasDockerClient(host: WorkbenchOptions['host']): Promise<boolean> {
  const { exitCode } = await host.exec(['sh', '-c', 'command -v docker'], { allowFailure: true });
  return exitCode === 0;
}

/** Removes the helper containers that carry all these labels; answers how many. */
export async function sweepWorkbenches(docker: Docker, labels: Readonly<Record<string, string>>): Promise<number> {
  const wanted = [workbenchLabel, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)];
  const found = await docker.listContainers({ all: true, filters: { label: wanted } });
  for (const { Id } of found) await removeHelper(docker, docker.getContainer(Id));
  return found.length;
}

function insidePath(location: DataLocation, index: number): string {
  const mounted = `/data/${index}`;
  return location.kind === 'bind' && location.file ? posix.join(mounted, posix.basename(location.path)) : mounted;
}

async function ensureContainer(options: WorkbenchOptions): Promise<Docker.Container> {
  const { docker, host, signal } = options;
  const name = `gridferry-workbench-${options.name}`;
  const spec = await containerSpec(options);
  const existing = docker.getContainer(name);
  const state = await existing.inspect().catch(ignoreNotFound);
  if (state) {
    const ours = state.Config.Labels[workbenchLabel] !== undefined;
    if (!ours) {
      throw new GridferryError(
        'GF_VOLUME_BENCH_FAILED',
        `Server ${host.name} has a container '${name}' that is not ours; remove or rename it.`,
      );
    }
    if (state.State.Running && state.Config.Labels[shapeLabel] === spec.Labels?.[shapeLabel]) return existing;
    await removeHelper(docker, existing);
  }
  try {
    signal?.throwIfAborted();
    const container = await createHelper(docker, { ...spec, name });
    await container.start();
    return container;
  } catch (error) {
    if (signal?.aborted) throw error;
    await removeHelper(docker, existing).catch(() => undefined); // the first failure is the one worth telling
    throw new GridferryError(
      'GF_VOLUME_BENCH_FAILED',
      `The helper container could not be started on server ${host.name}: ${messageOf(error)}. Check that its Docker engine can mount /usr and the volume.`,
      { class: 'retryable', cause: error },
    );
  }
}

async function containerSpec(options: WorkbenchOptions): Promise<Docker.ContainerCreateOptions> {
  const mounts: Docker.MountSettings[] = [
    ...(await hostToolMounts(options.host)),
    ...options.locations.flatMap((location, index) =>
      isMade(location, options) ? [] : [dataMount(location, index, options.readOnly === true)],
    ),
  ];
  const binds = options.locations.flatMap((location, index) =>
    isMade(location, options) ? [`${folderOf(location)}:/data/${String(index)}`] : [],
  );
  const shape = createHash('sha256')
    .update(JSON.stringify([mounts, binds]))
    .digest('hex')
    .slice(0, 16);
  return {
    ...helperDefaults,
    Cmd: ['/bin/sh', '-c', idleScript],
    Labels: { ...options.labels, [workbenchLabel]: options.name, [shapeLabel]: shape },
    NetworkDisabled: true,
    HostConfig: { ...helperHostDefaults, NetworkMode: 'none', Mounts: mounts, Binds: binds, CapAdd: capabilities },
  };
}

/** Whether Docker is to make the folder: it does for a bind in its old notation, which has no place for a colon. */
function isMade(
  location: DataLocation,
  { createMissing, readOnly }: WorkbenchOptions,
): location is DataLocation & { readonly kind: 'bind' } {
  return createMissing === true && readOnly !== true && location.kind === 'bind' && !location.path.includes(':');
}

/** A file is reached through its folder: a mounted file could neither be replaced nor, on the target, be missing yet. */
function folderOf({ file, path }: DataLocation & { readonly kind: 'bind' }): string {
  return file === true ? posix.dirname(path) : path;
}

function dataMount(location: DataLocation, index: number, readOnly: boolean): Docker.MountSettings {
  const Target = `/data/${index}`;
  if (location.kind === 'volume') {
    return { Type: 'volume', Source: location.name, Target, ReadOnly: readOnly, VolumeOptions: noCopy };
  }
  return { Type: 'bind', Source: folderOf(location), Target, ReadOnly: readOnly };
}

const noCopy = { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } };

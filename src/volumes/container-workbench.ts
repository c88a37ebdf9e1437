import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { posix } from 'node:path';
import type Docker from 'dockerode';
import { GridferryError, messageOf } from '../errors.ts';
import type { HostProcess, SpawnOptions } from '../ssh/host.ts';
import { runToEnd } from '../ssh/run-to-end.ts';
import { findTools } from './bench-tools.ts';
import { isConflict, isNotFound } from './docker-status.ts';
import { demux } from './exec-stream.ts';
import { locationKey, type DataLocation, type Workbench, type WorkbenchOptions } from './workbench.ts';

const image = { repo: 'gridferry/workbench', tag: 'empty' } as const;
const imageName = `${image.repo}:${image.tag}`;
const workFolder = '/gridferry';

/** Marks every helper container, whatever the transfer's own labels are. */
export const workbenchLabel = 'gridferry.io/workbench';
const shapeLabel = 'gridferry.io/workbench-shape';

/** The host's programs and what they need; those that exist are mounted read-only, symbolic links followed. */
const hostFolders = [
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib32',
  '/lib64',
  '/libx32',
  '/etc/alternatives',
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/ld.so.conf.d',
];

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
mkdir -p ${workFolder}/run
trap 'exit 0' TERM INT
last=$(date +%s)
while [ $(( $(date +%s) - last )) -lt 86400 ]; do
  sleep 300 & wait $!
  for file in ${workFolder}/run/*; do
    [ -f "$file" ] || continue
    if read -r pid <"$file" && kill -0 "$pid" 2>/dev/null; then last=$(date +%s); else rm -f "$file"; fi
  done
done
`;

/** Programs run in a helper container that sees the host's tools and the data, and nothing else. */
export async function openContainerWorkbench(options: WorkbenchOptions): Promise<Workbench> {
  const { host, locations, signal } = options;
  const paths = new Map(locations.map((location, index) => [locationKey(location), insidePath(location, index)]));
  const container = await ensureContainer(options);
  const spawn: Workbench['spawn'] = (argv, spawnOptions) => spawnInside(container, host.name, argv, spawnOptions);
  const exec: Workbench['exec'] = (argv, execOptions) => runToEnd(host.name, spawn, argv, execOptions);
  const tools = await findTools((argv, execOptions) => exec(argv, { ...execOptions, ...(signal ? { signal } : {}) }));

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
    async close() {
      await removeContainer(container);
    },
  };
}

/** Removes the helper containers that carry all these labels; answers how many. */
export async function sweepWorkbenches(docker: Docker, labels: Readonly<Record<string, string>>): Promise<number> {
  const wanted = [workbenchLabel, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)];
  const found = await docker.listContainers({ all: true, filters: { label: wanted } });
  for (const { Id } of found) await removeContainer(docker.getContainer(Id));
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
    await removeContainer(existing);
  }
  try {
    await ensureImage(docker);
    signal?.throwIfAborted();
    const container = await docker.createContainer({ ...spec, name });
    await container.start();
    return container;
  } catch (error) {
    if (signal?.aborted) throw error;
    await removeContainer(existing).catch(() => undefined); // the first failure is the one worth telling
    throw new GridferryError(
      'GF_VOLUME_BENCH_FAILED',
      `The helper container could not be started on server ${host.name}: ${messageOf(error)}. Check that its Docker engine can mount /usr and the volume.`,
      { class: 'retryable', cause: error },
    );
  }
}

async function containerSpec(options: WorkbenchOptions): Promise<Docker.ContainerCreateOptions> {
  const existing = await options.host.exec([
    'sh',
    '-c',
    'for path in "$@"; do [ ! -e "$path" ] || echo "$path"; done',
    'sh',
    ...hostFolders,
  ]);
  const tools = existing.stdout.split('\n').filter((path) => path !== '');
  // Mounts, not Binds: a bind of a path that is not there must fail, where `Binds` would create it on the host.
  const mounts: Docker.MountSettings[] = [
    ...tools.map((path) => ({ Type: 'bind' as const, Source: path, Target: path, ReadOnly: true })),
    ...options.locations.map((location, index) => dataMount(location, index, options.readOnly === true)),
  ];
  const shape = createHash('sha256').update(JSON.stringify(mounts)).digest('hex').slice(0, 16);
  return {
    Image: imageName,
    Cmd: ['/bin/sh', '-c', idleScript],
    Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    User: '0:0',
    WorkingDir: '/',
    Labels: { ...options.labels, [workbenchLabel]: options.name, [shapeLabel]: shape },
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      Mounts: mounts,
      CapDrop: ['ALL'],
      CapAdd: capabilities,
      // Owners must be the host's own numbers, also where the daemon maps users by default.
      UsernsMode: 'host',
      SecurityOpt: ['label=disable'],
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'none', Config: {} },
    },
  };
}

function dataMount(location: DataLocation, index: number, readOnly: boolean): Docker.MountSettings {
  const Target = `/data/${index}`;
  if (location.kind === 'volume') {
    return { Type: 'volume', Source: location.name, Target, ReadOnly: readOnly, VolumeOptions: noCopy };
  }
  // A file is reached through its folder: a mounted file could neither be replaced nor, on the target, be missing yet.
  const Source = location.file ? posix.dirname(location.path) : location.path;
  return { Type: 'bind', Source, Target, ReadOnly: readOnly };
}

const noCopy = { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } };

async function ensureImage(docker: Docker): Promise<void> {
  const present = await docker.getImage(imageName).inspect().catch(ignoreNotFound);
  if (present) return;
  // An empty tar archive is two blocks of zeros.
  const stream = await docker.importImage(Readable.from([Buffer.alloc(1024)]), { ...image });
  for await (const _ of stream as AsyncIterable<Buffer>) {
    // The image is there when the answer has been read to its end.
  }
}

async function removeContainer(container: Docker.Container): Promise<void> {
  await container.remove({ force: true, v: false }).catch((error: unknown) => {
    // Gone already, or another call is removing it.
    if (!isNotFound(error) && !isConflict(error)) throw error;
  });
}

function ignoreNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
  return undefined;
}

/** Notes the program's process id, so that it can be ended: Docker has no call for that. */
const entryScript = `mkdir -p ${workFolder}/run && echo $$ >"${workFolder}/run/$0" && exec "$@"`;
const killScript = `read -r pid <"${workFolder}/run/$0" && { kill -s "$1" -- "-$pid" 2>/dev/null || kill -s "$1" "$pid"; }`;

async function spawnInside(
  container: Docker.Container,
  server: string,
  argv: readonly string[],
  { signal, env = {} }: Omit<SpawnOptions, 'root'> = {},
): Promise<HostProcess> {
  signal?.throwIfAborted();
  const id = randomUUID();
  const exec = await container
    .exec({
      Cmd: ['/bin/sh', '-c', entryScript, id, ...argv],
      Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Tty: false,
    })
    .catch((error: unknown) => {
      throw new GridferryError(
        'GF_VOLUME_BENCH_FAILED',
        `The helper container on server ${server} is gone (${messageOf(error)}); try again.`,
        { class: 'retryable', cause: error },
      );
    });
  const connection = await exec.start({ hijack: true, stdin: true });
  const { stdout, stderr, done } = demux(connection);

  const runScript = async (script: string, ...args: string[]): Promise<void> => {
    const side = await container.exec({ Cmd: ['/bin/sh', '-c', script, id, ...args], AttachStdout: true });
    const stream = await side.start({ hijack: true, stdin: false });
    for await (const _ of stream) {
      // It ends when the script does.
    }
  };
  const kill = (name: NodeJS.Signals = 'SIGTERM'): void => {
    runScript(killScript, name.replace(/^SIG/, '')).catch(() => connection.destroy());
  };
  const onAbort = (): void => kill();
  signal?.addEventListener('abort', onAbort, { once: true });

  const exit = done
    .catch(() => undefined) // a broken stream shows as a missing exit code
    .then(() => exitCode(exec))
    .finally(() => {
      signal?.removeEventListener('abort', onAbort);
      connection.destroy();
    });
  return { stdin: connection, stdout, stderr, exit, kill };
}

async function exitCode(exec: Docker.Exec): Promise<{ code: number | null; signal: string | null }> {
  // The stream may end an instant before the engine has noted the exit.
  for (let attempt = 0; attempt < 50; attempt++) {
    const state = await exec.inspect().catch(() => undefined);
    if (state === undefined) break;
    if (!state.Running) {
      const code = state.ExitCode;
      return code !== null && code > 128 && code < 160 ? { code, signal: String(code - 128) } : { code, signal: null };
    }
    await new Promise((resolve) => setTimeout(resolve, 10 * (attempt + 1)));
  }
  return { code: null, signal: null };
}

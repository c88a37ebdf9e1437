import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { GridferryError, messageOf } from '../errors.ts';
import type { Host, HostProcess, SpawnOptions } from '../ssh/host.ts';
import { ignoreNotFound, isConflict, isNotFound } from './docker-status.ts';
import { demux } from './exec-stream.ts';

/**
 * Helper containers: an empty image in which the server's own programs are mounted read-only. So nothing is brought along,
 * and who may use Docker may do as root there what the container is given: a volume, or the server's network.
 */

const image = { repo: 'gridferry/workbench', tag: 'empty' } as const;
const imageName = `${image.repo}:${image.tag}`;

/** Where a helper notes the programs that were started in it. */
export const helperRunFolder = '/gridferry/run';

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

/** What all helpers have in common. Capabilities are added by name, none is inherited from Docker's default set. */
export const helperDefaults = {
  Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  User: '0:0',
  WorkingDir: '/',
};

export const helperHostDefaults = {
  CapDrop: ['ALL'],
  // Owners must be the host's own numbers, also where the daemon maps users by default.
  UsernsMode: 'host',
  SecurityOpt: ['label=disable'],
  RestartPolicy: { Name: 'no' },
  LogConfig: { Type: 'none', Config: {} },
};

/**
 * The server's programs, as mounts of a helper, and, writable, what else of `more` there is. Mounts, not Binds: those
 * would create on the server what is not there.
 */
export async function hostToolMounts(host: Host, ...more: readonly string[]): Promise<Docker.MountSettings[]> {
  const existing = await host.exec([
    'sh',
    '-c',
    'for path in "$@"; do [ ! -e "$path" ] || echo "$path"; done',
    'sh',
    ...hostFolders,
    ...more,
  ]);
  const paths = existing.stdout.split('\n').filter((path) => path !== '');
  return paths.map((path) => ({ Type: 'bind', Source: path, Target: path, ReadOnly: !more.includes(path) }));
}

/**
 * Creates a helper, and the empty image unless it is there. Another transfer that ends takes the image away when nothing
 * uses it, maybe just before the container is made: then both are made again.
 */
export async function createHelper(docker: Docker, spec: Docker.ContainerCreateOptions): Promise<Docker.Container> {
  for (let attempt = 1; ; attempt++) {
    await ensureHelperImage(docker);
    try {
      return await docker.createContainer({ ...spec, Image: imageName });
    } catch (error) {
      if (attempt === 3 || !isNotFound(error)) throw error;
    }
  }
}

async function ensureHelperImage(docker: Docker): Promise<void> {
  const present = await docker.getImage(imageName).inspect().catch(ignoreNotFound);
  if (present) return;
  // An empty tar archive is two blocks of zeros.
  const stream = await docker.importImage(Readable.from([Buffer.alloc(1024)]), { ...image });
  for await (const _ of stream as AsyncIterable<Buffer>) {
    // The image is there when the answer has been read to its end.
  }
}

/** Ends and removes a helper, and the empty image with the last one; what is gone already is fine. */
export async function removeHelper(docker: Docker, container: Docker.Container): Promise<void> {
  const fine = (error: unknown): void => {
    // Gone already, or another call is removing it; or another helper needs the image.
    if (!isNotFound(error) && !isConflict(error)) throw error;
  };
  await container.remove({ force: true, v: false }).catch(fine);
  await docker.getImage(imageName).remove().catch(fine);
}

/** Notes the program's process id, so that it can be ended: Docker has no call for that. */
const entryScript = `mkdir -p ${helperRunFolder} && echo $$ >"${helperRunFolder}/$0" && exec "$@"`;
const killScript = `read -r pid <"${helperRunFolder}/$0" && { kill -s "$1" -- "-$pid" 2>/dev/null || kill -s "$1" "$pid"; }`;

/** How Docker's own client starts a program in a helper, joined to the client's own streams. */
export function commandIntoHelper(
  container: string,
  socketPath: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): string[] {
  const variables = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  const client = ['docker', '-H', `unix://${socketPath}`, 'exec', '-i', ...variables, container];
  return [...client, '/bin/sh', '-c', entryScript, randomUUID(), ...argv];
}

/** Starts a program in a helper container; `kill` and the signal reach it there. */
export async function spawnInHelper(
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

import { Duplex, PassThrough, Readable } from 'node:stream';
import { GridferryError } from '../../src/errors.ts';
import type { ExecOptions, ExecResult, Host, HostProcess, SpawnOptions } from '../../src/ssh/host.ts';
import { addressOf } from './engine-api.ts';
import { Unmodelled } from './engine-failure.ts';
import type { Link } from './link.ts';
import type { ModelServer } from './model-server.ts';
import type { World } from './world.ts';

interface Ran {
  readonly stdout?: string;
  readonly exitCode?: number;
}

/** One program, known by its arguments. `undefined`: it is none of these. */
type Program = (server: ModelServer, argv: readonly string[], world: World) => Ran | undefined;

const found = (yes: boolean): Ran => ({ exitCode: yes ? 0 : 1 });

/** The programs that steps start on a server themselves, as far as they can tell a model from a machine. */
const programs: readonly Program[] = [
  // A server's own clock does not jump with the controller's.
  (_server, argv, { clock, startedAt }) =>
    argv[0] === 'date' ? { stdout: `${String(Math.floor((startedAt + clock.monotonic()) / 1000))}\n` } : undefined,
  (_server, argv) => (argv[0] === 'stat' ? { stdout: 'directory\n' } : undefined),
  (server, [program, test = '', path = '']) => {
    if (program !== 'test' || !['-d', '-e'].includes(test)) return undefined;
    const pid = /^\/proc\/(\d+)$/.exec(path)?.[1];
    return pid === undefined ? found(server.folders.has(path)) : found(runs(server, Number(pid)));
  },
  // What lies at paths of the target, asked by preflight.
  (server, [, , script = '', , ...paths]) => {
    if (!script.includes('echo Occupied')) return undefined;
    const state = (path: string): string => {
      const files = server.folders.get(path)?.files;
      return files === undefined ? 'Absent 1' : files.size === 0 ? 'Empty' : 'Occupied';
    };
    return { stdout: paths.map(state).join('\n') };
  },
  // Free space and inodes.
  (server, [, , script = '']) => {
    if (!script.includes('stat -f -c')) return undefined;
    const blocks = Math.floor(server.freeBytes / 4096);
    return {
      stdout: `4096 30000000 ${String(blocks)} 2000000 ${String(server.freeInodes)} ext2/ext3\n/dev/vda1 120000000 1 1 1% /\n/dev/vda1 / ext4 rw 0 0\n`,
    };
  },
  // Where the layer of a container is, by its process.
  (server, [, , script = '', , pid]) => {
    if (!script.includes('upperdir=')) return undefined;
    const container = [...server.containers.values()].find((one) => one.pid === Number(pid));
    return { stdout: container === undefined ? '' : `/layers/${container.id}\n` };
  },
  // A digest of a layer, and whether it was written to a moment ago.
  (server, [, , script = '', , folder = ''], { clock }) => {
    if (!script.includes('sha256sum')) return undefined;
    const { layer } = server.find(folder.split('/').at(-1) ?? '');
    const newest = Math.max(0, ...[...layer.files.values()].map(({ mtime }) => mtime));
    const age = clock.now() - newest < 3_000 ? 'recent' : 'settled';
    return { stdout: `${age}\n${String(layer.changes).padStart(64, '0')}\n` };
  },
  // How much there is below some paths.
  (server, [, , script = '', , ...paths]) => {
    if (!script.includes("-type f -printf '%i %s")) return undefined;
    const line = (path: string): string => {
      const { files } = server.folder(path);
      return `${String([...files.values()].reduce((sum, { size }) => sum + size, 0))} ${String(files.size)} yes`;
    };
    return { stdout: `${paths.map(line).join('\n')}\n` };
  },
  removeEmptyFolders,
];

/** Of the folders that the transfer made. */
export function removeEmptyFolders(
  server: ModelServer,
  [, , script = '', , ...paths]: readonly string[],
): Ran | undefined {
  if (!script.includes('rmdir -- "$path"')) return undefined;
  for (const path of paths.map((one) => one.replace(/\/$/, ''))) {
    if (server.folders.get(path)?.files.size === 0) server.folders.delete(path);
  }
  return {};
}

export function runProgram(
  server: ModelServer,
  argv: readonly string[],
  world: World,
  known: readonly Program[] = programs,
): Ran {
  for (const program of known) {
    const ran = program(server, argv, world);
    if (ran !== undefined) return ran;
  }
  world.violate(`not modelled: program ${argv.join(' ').slice(0, 100)}`);
  throw new Unmodelled(`program on ${server.name}: ${argv.join(' ').slice(0, 200)}`);
}

function runs(server: ModelServer, pid: number): boolean {
  return [...server.containers.values()].some((container) => container.pid === pid);
}

const linkFor = new WeakMap<object, Link>();

/** The connection that a host, or a bench on it, goes over. */
export function linkOf(hostOrBench: object): Link {
  const link = linkFor.get(hostOrBench);
  if (link === undefined) throw new Unmodelled('a host that was not made here');
  return link;
}

export function remember(hostOrBench: object, link: Link): void {
  linkFor.set(hostOrBench, link);
}

/** A server as one connection reaches it. */
export function modelHost(world: World, link: Link): Host {
  const { server } = link;

  async function exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { stdout = '', exitCode = 0 } = await link.call(
      `run ${argv.join(' ').replaceAll(/\s+/g, ' ').slice(0, 80)}`,
      () => runProgram(server, argv, world),
      options.signal,
    );
    if (exitCode !== 0 && options.allowFailure !== true) {
      throw new GridferryError(
        'GF_COMMAND_FAILED',
        `${argv[0] ?? ''} on ${server.name} ended with ${String(exitCode)}`,
      );
    }
    return { stdout, stderr: '', exitCode };
  }

  async function spawn(argv: readonly string[], { signal }: SpawnOptions = {}): Promise<HostProcess> {
    const pid = /--pid=(\d+)/.exec(argv.join(' '))?.[1];
    if (argv[0] === 'tail' && pid !== undefined) return watchPids(world, link, [Number(pid)], signal);
    if (argv[2]?.includes('tail -s') === true) return watchPids(world, link, argv.slice(4).map(Number), signal);
    if (argv.join(' ') === 'sh -s') {
      const text = await link.call('run facts', () => factsOf(server, world));
      return ended(text);
    }
    // A second of zeros that nobody keeps.
    if (argv[0] === 'head') return ended('0'.repeat(await link.call('read zeros', () => 65_536)));
    if (argv[2] === 'cat >/dev/null') return swallowing(await link.call('take zeros', () => new PassThrough()));
    world.violate(`not modelled: program ${argv.join(' ').slice(0, 100)}`);
    throw new Unmodelled(`program on ${server.name}: ${argv.join(' ').slice(0, 200)}`);
  }

  const host: Host = {
    name: server.name,
    user: server.isRoot ? 'root' : 'deploy',
    isRoot: server.isRoot,
    exec,
    spawn,
    openSocket: () => {
      throw new Unmodelled('a socket of a server');
    },
    openTcp: (address, port) =>
      lazyStream(() => link.call(`connect to ${address}`, () => answers(world, server, address, port))),
    closed: link.closed,
    close: () => {
      link.cut('closed');
      return Promise.resolve();
    },
  };
  remember(host, link);
  return host;
}

/** Whether something accepts a connection from this server: a container here, or a published port of the other one. */
function answers(world: World, from: ModelServer, address: string, port: number): boolean {
  const other = world.servers.find((one) => one !== from && one.address === address);
  if (other !== undefined) return !world.network.isCut('alpha', 'beta') && world.application.serves(other, port);
  return [...from.containers.values()].some((one) => one.state === 'running' && addressOf(one) === address);
}

/** A connection that is made with its first write. */
export function lazyStream(connect: () => Promise<boolean>): Duplex {
  let connecting: Promise<boolean> | undefined;
  return new Duplex({
    read: () => undefined,
    write(_chunk, _encoding, done) {
      connecting ??= connect();
      connecting.then(
        (accepted) => done(accepted ? null : new GridferryError('GF_HOST_CONNECT_FAILED', 'nothing listens there')),
        (error: unknown) => done(error as Error),
      );
    },
  });
}

/** Tells of each of these processes, one after the other, when it is gone. */
function watchPids(world: World, link: Link, pids: readonly number[], signal: AbortSignal | undefined): HostProcess {
  const { promise, resolve } = Promise.withResolvers<{ code: number | null; signal: string | null }>();
  const stdout = new PassThrough();
  const waiting = [...pids];
  let stop = (): void => undefined;
  const end = (code: number | null): void => {
    stop();
    stdout.end();
    resolve({ code, signal: code === null ? 'TERM' : null });
  };
  const look = (): void => {
    const [pid] = waiting;
    if (pid === undefined) end(0);
    else if (!link.alive) end(null);
    else if (runs(link.server, pid)) stop = world.clock.after(20, look);
    else {
      stdout.write(`${String(waiting.shift())}\n`);
      look();
    }
  };
  if (waiting.every((pid) => runs(link.server, pid))) look();
  else end(1);
  const kill = (): void => end(null);
  if (signal?.aborted === true) kill();
  else signal?.addEventListener('abort', kill, { once: true });
  return { stdin: new PassThrough(), stdout, stderr: Readable.from([]), exit: promise, kill };
}

function ended(stdout: string): HostProcess {
  return {
    stdin: new PassThrough(),
    stdout: Readable.from([Buffer.from(stdout)]),
    stderr: Readable.from([]),
    exit: Promise.resolve({ code: 0, signal: null }),
    kill: () => undefined,
  };
}

/** Takes all that it is given. */
function swallowing(stdin: PassThrough): HostProcess {
  const exit = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    stdin.on('close', () => resolve({ code: 0, signal: null }));
  });
  stdin.resume();
  return { ...ended(''), stdin, exit, kill: () => stdin.destroy() };
}

function factsOf(server: ModelServer, world: World): string {
  const seconds = ((world.startedAt + world.clock.monotonic()) / 1000).toFixed(9);
  const facts = {
    ...{ begin: seconds, kernel: '6.1.0', machine: 'x86_64', osId: 'debian', osName: 'Debian 12', cpus: '2' },
    ...{ memory: '4000000', boot: server.bootId },
  };
  const lines = Object.entries(facts).map(([key, value]) => `${key}\t${value}`);
  return `${[...lines, 'tool\trsync /usr/bin/rsync', 'version\trsync version 3.2.7', `end\t${seconds}`].join('\n')}\n`;
}

import { spawn as spawnChild } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { userInfo } from 'node:os';
import { GridferryError } from '../errors.ts';
import { envCommand } from './command-line.ts';
import type { Host, HostProcess, SpawnOptions } from './host.ts';
import { runToEnd } from './run-to-end.ts';
import { agentRefused } from './ssh-errors.ts';

const GRACE_MS = 2_000;

/** This machine, as a host among others: programs without a shell, each in a process group of its own. */
export function openLocalHost({ name }: { readonly name: string }): Host {
  const user = userInfo().username;
  const isRoot = process.getuid?.() === 0;
  const running = new Set<LocalProcess>();
  let isClosed = false;
  let resolveClosed: (reason: undefined) => void = () => {};
  const closed = new Promise<Error | undefined>((resolve) => (resolveClosed = resolve));

  async function spawn(argv: readonly string[], options: SpawnOptions = {}): Promise<HostProcess> {
    const { env, signal, root = false, agent } = options;
    signal?.throwIfAborted();
    if (agent !== undefined) throw agentRefused(name, 'nothing is forwarded to the machine itself');
    if (isClosed) throw new GridferryError('GF_SSH_CLOSED', `${name} was closed here: open it again.`);
    if (root && !isRoot) {
      throw new GridferryError(
        'GF_SSH_SUDO_REFUSED',
        `${user} is not root on ${name}: start Gridferry as root for what needs it.`,
      );
    }
    const program = await startProcess(envCommand(argv, env));
    running.add(program);
    const onAbort = (): void => program.terminate();
    signal?.addEventListener('abort', onAbort, { once: true });
    void program.exit.then(() => {
      running.delete(program);
      signal?.removeEventListener('abort', onAbort);
    });
    if (signal?.aborted === true) {
      program.terminate();
      throw signal.reason;
    }
    return program;
  }

  return {
    name,
    user,
    isRoot,
    closed,
    exec: (argv, options) => runToEnd(name, spawn, argv, options),
    spawn,
    openSocket: (path) => translateErrors(connect({ path }), name, `the socket ${path}`),
    openTcp: (host, port) => translateErrors(connect({ host, port, noDelay: true }), name, `${host}:${port}`),
    close() {
      isClosed = true;
      for (const program of running) program.terminate();
      resolveClosed(undefined);
      return Promise.resolve();
    },
  };
}

interface LocalProcess extends HostProcess {
  terminate(): void;
}

async function startProcess([file = '', ...rest]: readonly string[]): Promise<LocalProcess> {
  const child = spawnChild(file, rest, { stdio: 'pipe', detached: true });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => {});
  let isOver = false;
  const exit = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('close', (code, signal) => {
      isOver = true;
      resolve({ code, signal });
    });
  });
  const kill = (signal: NodeJS.Signals = 'SIGTERM'): void => signalGroup(child, signal);
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exit,
    kill,
    terminate() {
      kill('SIGTERM');
      setTimeout(() => {
        if (isOver) return;
        kill('SIGKILL');
        // A grandchild in another group may hold the pipes for ever.
        child.stdout.destroy();
        child.stderr.destroy();
      }, GRACE_MS).unref();
    },
  };
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It ended in the meantime.
  }
}

/** Replaces the socket's system errors by ours, before anybody sees them. */
function translateErrors(socket: Socket, host: string, target: string): Socket {
  const destroy = socket._destroy.bind(socket);
  let connected = false;
  socket.once('connect', () => (connected = true));
  socket._destroy = (error, callback) => {
    const translated =
      error === null || connected
        ? error
        : new GridferryError(
            'GF_HOST_CONNECT_FAILED',
            `Nothing answers at ${target} on ${host} (${(error as NodeJS.ErrnoException).code ?? error.message}): check that what listens there runs, and that this user may use it.`,
            { class: 'retryable', cause: error, details: { server: host, target } },
          );
    destroy(error, () => callback(translated));
  };
  return socket;
}

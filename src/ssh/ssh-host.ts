import { randomBytes } from 'node:crypto';
import type { Channel, Client, ClientChannel, ExecOptions } from 'ssh2';
import { GridferryError, messageOf } from '../errors.ts';
import { shellQuote } from '../security/shell-quote.ts';
import type { SshAgent } from './agent.ts';
import { ChannelStream } from './channel-stream.ts';
import { commandLine, RUN_MARK } from './command-line.ts';
import { watchConnection } from './connection-watch.ts';
import { guardedCommand, notLeading } from './fence.ts';
import type { Host, SpawnOptions } from './host.ts';
import type { HostKey } from './host-key.ts';
import { remoteProcess } from './remote-process.ts';
import type { RemoteProcess } from './remote-process.ts';
import { runToEnd } from './run-to-end.ts';
import { createServerFence } from './server-fence.ts';
import { createSessionSlots } from './session-slots.ts';
import { agentRefused, connectionLost, forwardFailed, sudoRefused } from './ssh-errors.ts';
import { logIn } from './ssh-login.ts';
import type { SshLogin } from './ssh-login.ts';
import { KEEPALIVE_MS } from './ssh-options.ts';
import type { SshOptions } from './ssh-options.ts';

/** A server at the end of one SSH connection. */
export interface SshHost extends Host {
  /** The key it proved itself with: to be pinned when it was accepted as new. */
  readonly hostKey: HostKey;
  /** For what `Host` does not offer. Its channels end without an error when the connection breaks; ours do not. */
  readonly client: Client;
}

/** Below sshd's default MaxSessions of 10, so that a person can still log in over a shared connection. */
const MAX_SESSIONS = 8;
const CLOSE_MS = 2_000;

/** Ends every program marked with an id: `sh -c SWEEP sh MARK SIGNAL`. */
const SWEEP = `for file in /proc/[0-9]*/environ; do
  pid=\${file#/proc/} pid=\${pid%/environ}
  [ "$pid" != "$$" ] && grep -qs "$1" "$file" && kill -s "$2" "$pid"
done
true`;

/**
 * Connects to a server and logs in.
 *
 * A program that was started here is told to end (TERM, then KILL) when its signal fires, when its output is no longer
 * wanted, and at `close()`. When the connection breaks, nothing can be told any more: the program sees the end of its
 * input and a broken pipe on output; one that neither reads nor writes goes on. What must survive, or must be found
 * again, runs as a detached job instead.
 *
 * Programs run under a login shell that may print things of its own (`.bashrc`); that is the server's to keep quiet.
 *
 * @throws `GF_SSH_REFUSED`, `GF_SSH_UNREACHABLE`, `GF_SSH_TIMEOUT`, `GF_SSH_CLOSED`, `GF_SSH_PROTOCOL`,
 * `GF_SSH_HOST_KEY_UNKNOWN`, `GF_SSH_HOST_KEY_CHANGED`, `GF_SSH_HOST_KEY_INVALID`, `GF_SSH_AUTH_FAILED`,
 * `GF_SSH_KEY_UNREADABLE`, `GF_SSH_PASSPHRASE_WRONG`, with a fence `GF_FENCED`, `GF_FENCE_FAILED`, `GF_LEADERSHIP_LOST`, or
 * the signal's reason.
 */
export async function connectSsh(options: SshOptions): Promise<SshHost> {
  const host = createSshHost(options, await logIn(options));
  options.log?.debug(
    { server: options.name, user: options.user, hostKey: host.hostKey.fingerprint },
    'connected over SSH',
  );
  try {
    await host.claim(options.signal);
    if (options.user !== 'root' && options.sudo) await host.checkSudo(options.signal);
    return host;
  } catch (error) {
    await host.close();
    throw error;
  }
}

function createSshHost(
  options: SshOptions,
  { client, socket, hostKey, agentGate }: SshLogin,
): SshHost & { claim(signal?: AbortSignal): Promise<void>; checkSudo(signal?: AbortSignal): Promise<void> } {
  const { name, user, fence } = options;
  const running = new Set<RemoteProcess>();
  /** Requests that the server has not answered yet. */
  const unanswered = new Set<(reason: GridferryError) => void>();
  const slots = createSessionSlots(MAX_SESSIONS, isRefusal);
  /** `undefined`: not needed or not tried. */
  let sudoRefusal: string | undefined;
  let usesSudo = false;
  let lostBecause: GridferryError | undefined;
  let closing = false;
  const serverFence =
    fence &&
    createServerFence({
      server: name,
      fence,
      start: (line, signal) => start(line, undefined, signal),
      onNewer: (reason) => void lose(reason),
    });
  const onLeadershipLost = (): void => void lose(notLeading(name));
  fence?.lost.addEventListener('abort', onLeadershipLost, { once: true });
  const stopWatching = watchConnection(socket, options.keepaliveMs ?? KEEPALIVE_MS, () => lose('it stopped answering'));
  const closed = new Promise<Error | undefined>((resolve) => {
    client.once('close', () => {
      fence?.lost.removeEventListener('abort', onLeadershipLost);
      const reason = lose('it was closed by the server');
      for (const reject of unanswered) reject(reason);
      resolve(closing ? undefined : lostBecause);
    });
  });
  client.on('error', (error: Error) => lose(error.message, error));
  client.on('end', () => lose('it was closed by the server'));

  /** The first reason stays; from here on nothing that ends has ended well. */
  function lose(reason: string | GridferryError, cause?: unknown): GridferryError {
    stopWatching();
    lostBecause ??=
      typeof reason === 'string' ? connectionLost(options, closing ? 'it was closed here' : reason, cause) : reason;
    socket.destroy();
    return lostBecause;
  }
  const lost = (): GridferryError | undefined => lostBecause;

  /**
   * Runs a call of ssh2 that answers by callback, or never when the connection breaks. `use` gets the channel within that
   * callback: a short program's exit status may come in the same packet, before any promise could hand it on.
   */
  function request<C extends Channel, T>(
    start: (done: (error: Error | undefined, channel: C) => void) => void,
    use: (channel: C) => T,
    translate: (error: Error) => GridferryError,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (lostBecause !== undefined) {
        reject(lostBecause);
        return;
      }
      if (fence?.mayAct() === false) {
        reject(notLeading(name));
        return;
      }
      unanswered.add(reject);
      try {
        start((error, channel) => {
          unanswered.delete(reject);
          if (error === undefined) resolve(use(channel));
          else reject(lostBecause ?? translate(error));
        });
      } catch (error) {
        unanswered.delete(reject);
        reject(lost() ?? connectionLost(options, messageOf(error), error));
      }
    });
  }

  function openSession<T>(line: string, use: (channel: ClientChannel) => T, agentForward = false): Promise<T> {
    return request<ClientChannel, T>(
      (done) => client.exec(line, { agentForward } as ExecOptions, done),
      use,
      (error) => {
        // ssh2 tells the two requests apart by this text alone.
        if (error.message === 'Unable to request agent forwarding') return agentRefused(name, 'AllowAgentForwarding');
        return new GridferryError(
          'GF_SSH_SESSION_REFUSED',
          `Server ${name} starts no further program on this connection (${error.message}): check MaxSessions in its sshd_config, and that ${user} may run commands.`,
          { class: 'retryable', cause: error, details: { server: name, user } },
        );
      },
    );
  }

  async function start(
    line: string,
    mark: string | undefined,
    signal?: AbortSignal,
    agentForward = false,
  ): Promise<RemoteProcess> {
    const signalAlso = mark === undefined ? {} : { signalAlso: (name: NodeJS.Signals) => void sweep(mark, name) };
    const { session: program, release } = await slots.open(
      () => openSession(line, (channel) => remoteProcess({ channel, client, lost, ...signalAlso }), agentForward),
      signal,
    );
    running.add(program);
    const onAbort = (): void => program.terminate();
    signal?.addEventListener('abort', onAbort, { once: true });
    const onOver = (): void => {
      release();
      running.delete(program);
      signal?.removeEventListener('abort', onAbort);
    };
    program.exit.then(onOver, onOver);
    if (signal?.aborted === true) {
      program.terminate();
      throw signal.reason;
    }
    return program;
  }

  /** sshd signals as the login user, which a program of root's does not hear. */
  async function sweep(mark: string, signalName: NodeJS.Signals): Promise<void> {
    const argv = ['sudo', '-n', '--', 'sh', '-c', SWEEP, 'sh', `${RUN_MARK}=${mark}`, signalName.replace(/^SIG/, '')];
    try {
      await openSession(`exec ${shellQuote(argv)}`, (channel) => void channel.on('error', () => {}).resume());
    } catch (error) {
      options.log?.warn({ server: name, error: messageOf(error) }, 'could not end a program of root');
    }
  }

  async function spawn(argv: readonly string[], spawnOptions: SpawnOptions = {}): Promise<RemoteProcess> {
    const { env, root = false, signal, agent } = spawnOptions;
    const needsSudo = root && user !== 'root';
    if (needsSudo && !usesSudo) throw sudoRefused(options, sudoRefusal);
    const mark = needsSudo ? randomBytes(9).toString('hex') : undefined;
    const line = commandLine(argv, {
      ...(env === undefined ? {} : { env }),
      ...(mark === undefined ? {} : { sudoMark: mark }),
      ...(fence === undefined ? {} : { fence }),
    });
    const program = await (agent === undefined ? start(line, mark, signal) : startWithAgent(line, agent, signal));
    return serverFence?.watch(program) ?? program;
  }

  /** The agent is there for this program alone, although sshd tells later ones where it was, too. */
  function startWithAgent(line: string, agent: SshAgent, signal?: AbortSignal): Promise<RemoteProcess> {
    return new Promise((resolve, reject) => {
      agentGate
        .lend(agent, async () => {
          const program = await start(line, undefined, signal, true);
          resolve(program);
          await program.exit.catch(() => undefined);
        })
        .catch(reject);
    });
  }

  return {
    name,
    user,
    hostKey,
    client,
    closed,
    get isRoot() {
      return user === 'root' || usesSudo;
    },
    exec: (argv, execOptions) => runToEnd(name, spawn, argv, execOptions),
    spawn,
    ...(fence === undefined ? {} : { guard: (argv: readonly string[]) => guardedCommand(argv, fence) }),
    claim: async (signal) => serverFence?.claim(signal),
    openSocket(path) {
      return new ChannelStream(
        () =>
          request(
            (done) => client.openssh_forwardOutStreamLocal(path, done as never),
            (channel) => channel,
            (error) => forwardFailed(name, user, `the socket ${path}`, error),
          ),
        lost,
      );
    },
    openTcp(address, port) {
      return new ChannelStream(
        () =>
          request(
            (done) => client.forwardOut('127.0.0.1', 0, address, port, done as never),
            (channel) => channel,
            (error) => forwardFailed(name, user, `${address}:${port}`, error),
          ),
        lost,
      );
    },
    async close() {
      if (lostBecause !== undefined) {
        await closed;
        return;
      }
      closing = true;
      for (const program of running) program.kill('SIGTERM');
      client.end();
      const timer = setTimeout(() => lose('it was closed here'), CLOSE_MS);
      await closed;
      clearTimeout(timer);
    },
    async checkSudo(signal) {
      const argv = ['sudo', '-n', '--', 'id', '-u'];
      const answer = await runToEnd(name, spawn, argv, {
        allowFailure: true,
        ...(signal === undefined ? {} : { signal }),
      });
      usesSudo = answer.exitCode === 0 && answer.stdout.trim() === '0';
      if (!usesSudo) sudoRefusal = answer.stderr.trim().split('\n')[0];
    },
  };
}

function isRefusal(error: unknown): boolean {
  return error instanceof GridferryError && error.code === 'GF_SSH_SESSION_REFUSED';
}

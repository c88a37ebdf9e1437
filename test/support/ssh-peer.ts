import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Duplex } from 'node:stream';
import ssh2 from 'ssh2';
import type { AuthContext, Connection, Session } from 'ssh2';
import { parsePublicKey } from '../../src/ssh/host-key.ts';

type KeyType = 'ed25519' | 'ecdsa' | 'rsa';

export interface SshPeerOptions {
  readonly hostKeys?: readonly KeyType[];
  readonly password?: string;
  /** Accepts the password only when it is typed into a prompt. */
  readonly promptsOnly?: boolean;
  readonly authorizedKey?: string;
  /** The key, then the password. */
  readonly wantsBoth?: boolean;
  /** More sessions at once are refused, as sshd refuses them. */
  readonly maxSessions?: number;
  readonly sudo?: 'works' | 'asks for a password';
  /** The shell that gets the command line. */
  readonly shell?: readonly string[];
}

export interface SshPeer {
  readonly port: number;
  readonly hostKeys: readonly string[];
  /** How many sessions were open at the same time at most. */
  readonly mostSessions: () => number;
  readonly refusedSessions: () => number;
  /** Breaks every connection, as a pulled plug that the other side notices. */
  breakConnections(): void;
  close(): Promise<void>;
}

export function generateKey(type: KeyType = 'ed25519', passphrase?: string): { private: string; public: string } {
  const options = {
    ...(type === 'rsa' ? { bits: 2048 } : type === 'ecdsa' ? { bits: 256 } : {}),
    ...(passphrase === undefined ? {} : { passphrase, cipher: 'aes256-ctr', rounds: 4 }),
  };
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync(type, options as never);
    // Of its ed25519 keys, it writes one in a few hundred so that nobody can read it.
    if (!(ssh2.utils.parseKey(pair.private, passphrase) instanceof Error)) return pair;
  }
}

/** An SSH server in this process that runs what it is told, as this user: no root needed. */
export async function startSshPeer(options: SshPeerOptions = {}): Promise<SshPeer> {
  const keys = (options.hostKeys ?? ['ed25519']).map((type) => generateKey(type));
  const bin = mkdtempSync(join(tmpdir(), 'ssh-peer-'));
  writeFileSync(join(bin, 'sudo'), sudoScript(options.sudo ?? 'asks for a password'), { mode: 0o755 });
  const sockets = new Set<Socket>();
  const children = new Set<ChildProcess>();
  let sessions = 0;
  let most = 0;
  let refused = 0;

  const server = new ssh2.Server({ hostKeys: keys.map((key) => key.private) }, (connection: Connection) => {
    connection.on('error', () => {});
    const signals = hearSignals(connection);
    connection.on('authentication', authenticator(options));
    connection.on('session', (accept, reject) => {
      if (sessions >= (options.maxSessions ?? 100)) {
        refused++;
        reject();
        return;
      }
      sessions++;
      most = Math.max(most, sessions);
      runPrograms(accept(), signals, bin, options.shell ?? ['sh', '-c'], children, () => sessions--);
    });
    connection.on('tcpip', (accept, reject, info) => {
      forward(connect({ host: info.destIP, port: info.destPort, allowHalfOpen: true }), accept, reject);
    });
    connection.on('openssh.streamlocal' as 'tcpip', (accept, reject, info) => {
      const { socketPath } = info as unknown as { socketPath: string };
      forward(connect({ path: socketPath, allowHalfOpen: true }), accept, reject);
    });
  });
  (server as unknown as { _srv: { on(event: string, listener: (socket: Socket) => void): void } })._srv.on(
    'connection',
    (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));

  const breakConnections = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    port: (server.address() as AddressInfo).port,
    hostKeys: keys.map((key) => parsePublicKey(key.public).publicKey),
    mostSessions: () => most,
    refusedSessions: () => refused,
    breakConnections,
    async close() {
      breakConnections();
      for (const { pid } of children) process.kill(-(pid ?? 0), 'SIGKILL');
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(bin, { recursive: true, force: true });
    },
  };
}

function sudoScript(behaviour: 'works' | 'asks for a password'): string {
  if (behaviour !== 'works') return '#!/bin/sh\necho "sudo: a password is required" >&2\nexit 1\n';
  return `#!/bin/sh
[ "$1" = -n ] && shift
[ "$1" = -- ] && shift
[ "$*" = "env GRIDFERRY_RUN=\${2#*=} id -u" ] && { echo 0; exit 0; }
export FAKE_ROOT=1
# As the real one, it stays, and signals of the login user do not reach what it started.
setsid "$@" <&0 &
wait $!
`;
}

function authenticator(options: SshPeerOptions): (context: AuthContext) => void {
  let hasKey = false;
  return (context) => {
    const { password, authorizedKey, promptsOnly = false, wantsBoth = false } = options;
    const methods = [
      ...(authorizedKey === undefined ? [] : ['publickey']),
      ...(password === undefined ? [] : promptsOnly ? ['keyboard-interactive'] : ['password']),
    ];
    const refuse = (partial = false): void => context.reject(methods as never, partial);
    if (context.method === 'publickey' && authorizedKey !== undefined) {
      const authorized = ssh2.utils.parseKey(authorizedKey);
      if (authorized instanceof Error) throw authorized;
      if (!authorized.getPublicSSH().equals(context.key.data)) return refuse();
      if (wantsBoth && context.signature !== undefined) {
        hasKey = true;
        return context.reject(['password'], true);
      }
      return context.accept();
    }
    if (context.method === 'password' && !promptsOnly && context.password === password) {
      if (wantsBoth && !hasKey) return context.reject(['publickey']);
      return context.accept();
    }
    if (context.method === 'keyboard-interactive' && promptsOnly) {
      return context.prompt([{ prompt: 'Password: ', echo: false }], (answers) => {
        if (answers[0] === password) context.accept();
        else refuse();
      });
    }
    if (context.method === 'publickey' && wantsBoth) return refuse();
    return refuse();
  };
}

type Handler = (protocol: unknown, id: number, type: string, wantReply: boolean, data: string) => void;
type Signals = Map<number, (name: string) => void>;

/** ssh2's own server drops signals for a program that runs. */
function hearSignals(connection: Connection): Signals {
  const signals: Signals = new Map();
  const { _handlers: handlers } = (connection as unknown as { _protocol: { _handlers: Record<string, Handler> } })
    ._protocol;
  const original = handlers['CHANNEL_REQUEST'];
  handlers['CHANNEL_REQUEST'] = (protocol: unknown, id: number, type: string, wantReply: boolean, data: string) => {
    if (type === 'signal') signals.get(id)?.(data);
    else original?.(protocol, id, type, wantReply, data);
  };
  return signals;
}

function runPrograms(
  session: Session,
  signals: Signals,
  bin: string,
  shell: readonly string[],
  children: Set<ChildProcess>,
  onOver: () => void,
): void {
  session.once('close', onOver);
  session.on('exec', (accept, _reject, { command }) => {
    const channel = accept();
    const [file = '', ...flags] = shell;
    const child = spawn(file, [...flags, command], {
      detached: true,
      env: { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` },
    });
    children.add(child);
    child.once('exit', () => children.delete(child));
    signals.set((channel as unknown as { incoming: { id: number } }).incoming.id, (name) => {
      try {
        process.kill(-(child.pid ?? 0), `SIG${name}`);
      } catch {
        // It is over.
      }
    });
    channel.pipe(child.stdin);
    child.stdin.on('error', () => channel.resume());
    child.stdout.pipe(channel, { end: false });
    child.stderr.pipe(channel.stderr, { end: false });
    child.once('close', (code, signal) => {
      if (signal === null) channel.exit(code ?? 0);
      else channel.exit(signal.replace(/^SIG/, ''), false, '');
      channel.end();
    });
    // As sshd: the end of the channel is the end of the pipes.
    channel.once('close', () => {
      child.stdin.destroy();
      child.stdout.destroy();
    });
  });
}

function forward(socket: Socket, accept: () => Duplex, reject: () => void): void {
  socket.once('error', () => reject());
  socket.once('connect', () => {
    socket.removeAllListeners('error');
    socket.on('error', () => {});
    const channel = accept();
    channel.on('error', () => {});
    channel.pipe(socket).pipe(channel);
    channel.once('close', () => socket.destroy());
  });
}

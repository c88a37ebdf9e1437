import type { Socket } from 'node:net';
import ssh2 from 'ssh2';
import type { AnyAuthMethod, AuthenticationType, Client, ParsedKey } from 'ssh2';
import { GridferryError } from '../errors.ts';
import { noLookup } from '../security/addresses.ts';
import { createAgentGate } from './agent-gate.ts';
import type { AgentGate } from './agent-gate.ts';
import { useKeyObjects } from './cipher-keys.ts';
import { HOST_KEY_FAMILIES, hostKeyFromWire, parsePin, signatureAlgorithms } from './host-key.ts';
import type { HostKey, HostKeyPin } from './host-key.ts';
import { readPrivateKey } from './private-key.ts';
import {
  closedByServer,
  handshakeFailed,
  hostKeyChanged,
  hostKeyUnknown,
  loginRefused,
  notSsh,
  socketFailed,
  timedOut,
} from './ssh-errors.ts';
import type { LoginPhase } from './ssh-errors.ts';
import { CONNECT_TIMEOUT_MS, KEEPALIVE_MS } from './ssh-options.ts';
import type { SshOptions } from './ssh-options.ts';
import { createSshSocket } from './ssh-socket.ts';

/** A connection that is logged in. */
export interface SshLogin {
  readonly client: Client;
  readonly socket: Socket;
  readonly hostKey: HostKey;
  readonly agentGate: AgentGate;
}

/** What one attempt came to when it did not fail: the server cannot be judged by one key if it may have several. */
type Attempt =
  | { readonly kind: 'loggedIn'; readonly login: SshLogin }
  | { readonly kind: 'otherKey'; readonly found: HostKey }
  | { readonly kind: 'noSuchKeyType' };

/** aes128-gcm first: the fastest where the CPU has AES, and it authenticates by itself. */
const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes128-ctr',
  'aes256-ctr',
] as const;

const ALL_KEYS: readonly string[] = HOST_KEY_FAMILIES.flat();

/**
 * Connects and logs in. The host key is judged before any credential is sent.
 *
 * @throws `GF_SSH_*`, or the signal's reason.
 */
export async function logIn(options: SshOptions): Promise<SshLogin> {
  const key = readKey(options);
  const rule = options.hostKey;
  if (!('pinned' in rule)) {
    const attempt = await tryLogin(options, key, ALL_KEYS, () => 'acceptNew' in rule);
    if (attempt.kind === 'loggedIn') return attempt.login;
    throw hostKeyUnknown(options, foundKey(options, attempt));
  }
  return logInPinned(options, key, parsePin(rule.pinned));
}

/**
 * A server has a key of each family and shows one. Ask for the family that is pinned; when only the fingerprint is
 * known, ask for one family after the other before calling it changed.
 */
async function logInPinned(options: SshOptions, key: ParsedKey | undefined, pin: HostKeyPin): Promise<SshLogin> {
  const matches = (shown: HostKey): boolean => shown.fingerprint === pin.fingerprint;
  const asked = pin.algorithm === undefined ? ALL_KEYS : signatureAlgorithms(pin.algorithm);
  const first = await tryLogin(options, key, asked, matches);
  if (first.kind === 'loggedIn') return first.login;
  if (pin.algorithm !== undefined) {
    const shown = first.kind === 'otherKey' ? first : await tryLogin(options, key, ALL_KEYS, () => false);
    throw hostKeyChanged(options, pin.fingerprint, foundKey(options, shown));
  }
  const found = foundKey(options, first);
  for (const family of HOST_KEY_FAMILIES) {
    if (signatureAlgorithms(found.algorithm).every((name) => (family as readonly string[]).includes(name))) continue;
    const attempt = await tryLogin(options, key, family, matches);
    if (attempt.kind === 'loggedIn') return attempt.login;
  }
  throw hostKeyChanged(options, pin.fingerprint, found);
}

function foundKey(options: SshOptions, attempt: Attempt): HostKey {
  if (attempt.kind === 'otherKey') return attempt.found;
  throw handshakeFailed(options, new Error('it has no host key of a type that is accepted'));
}

function readKey({ credentials, name }: SshOptions): ParsedKey | undefined {
  if (credentials.privateKey !== undefined) {
    // A password wins, so that an unreadable key beside it is no reason to stop.
    try {
      return readPrivateKey(credentials.privateKey, credentials.passphrase, name);
    } catch (error) {
      if (credentials.password === undefined) throw error;
      return undefined;
    }
  }
  if (credentials.password !== undefined) return undefined;
  throw new GridferryError(
    'GF_SSH_KEY_UNREADABLE',
    `There is no credential for server ${name}: put ssh-privatekey or password into the Secret.`,
  );
}

function tryLogin(
  options: SshOptions,
  key: ParsedKey | undefined,
  hostKeyAlgorithms: readonly string[],
  accept: (shown: HostKey) => boolean,
): Promise<Attempt> {
  const { signal, connectTimeoutMs = CONNECT_TIMEOUT_MS, keepaliveMs = KEEPALIVE_MS } = options;
  const client = new ssh2.Client();
  const { socket, readInPlace } = createSshSocket();
  const agentGate = createAgentGate();
  let phase: LoginPhase = 'connecting';
  let shown: HostKey | undefined;
  let firstBytes: Buffer | undefined;
  const ways = loginMethods(options, key);

  return new Promise<Attempt>((resolve, reject) => {
    const timer = setTimeout(() => fail(timedOut(options, phase, connectTimeoutMs)), connectTimeoutMs);
    const onAbort = (): void => fail(signal?.reason as Error);

    function settle(action: () => void): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      // Whatever the connection still says is the business of whoever listens next.
      for (const event of ['ready', 'error', 'close', 'end', 'handshake', 'change password']) {
        client.removeAllListeners(event);
      }
      client.on('error', () => {});
      action();
    }
    function fail(reason: Error): void {
      settle(() => {
        socket.destroy();
        reject(reason);
      });
    }
    function answer(attempt: Attempt): void {
      settle(() => {
        if (attempt.kind !== 'loggedIn') socket.destroy();
        // A packet that such a cipher has decrypted lies in memory of its own.
        else if (useKeyObjects(client)) readInPlace();
        resolve(attempt);
      });
    }
    function onError(error: Error & { level?: string; code?: unknown }): void {
      if (shown !== undefined && phase === 'handshake' && /Host denied/.test(error.message)) {
        answer({ kind: 'otherKey', found: shown });
      } else if (/no matching host key/.test(error.message)) answer({ kind: 'noSuchKeyType' });
      else if (error.level === 'client-authentication' || error.code === 2 || error.code === 14) {
        fail(loginRefused(options, options.user, ways.tried, ways.offered()));
      } else if (error.level === 'client-socket') {
        fail(phase === 'connecting' ? socketFailed(options, error) : closedByServer(options, phase, error));
      } else if (firstBytes !== undefined && !/^SSH-/m.test(firstBytes.toString('latin1'))) {
        fail(notSsh(options, firstBytes.toString('latin1'), error));
      } else if (/^Connection lost/.test(error.message)) fail(closedByServer(options, phase));
      else fail(phase === 'login' ? closedByServer(options, phase, error) : handshakeFailed(options, error));
    }

    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    client.on('error', onError);
    client.on('handshake', () => (phase = 'login'));
    client.on('end', () => fail(closedByServer(options, phase)));
    client.on('close', () => fail(closedByServer(options, phase)));
    client.on('change password', () =>
      fail(loginRefused(options, options.user, ways.tried, [], 'its password has expired')),
    );
    client.on('ready', () => {
      if (shown !== undefined) answer({ kind: 'loggedIn', login: { client, socket, hostKey: shown, agentGate } });
    });
    socket.once('connect', () => (phase = 'handshake'));
    client.connect({
      sock: socket,
      username: options.user,
      // One deadline for everything, with its own message; and our own watch decides when a connection is dead.
      readyTimeout: 0,
      keepaliveInterval: keepaliveMs,
      keepaliveCountMax: Number.MAX_SAFE_INTEGER,
      // Servers other than OpenSSH may forward to UNIX sockets as well; those that do not say so.
      strictVendor: false,
      agent: agentGate.agent,
      algorithms: { cipher: [...CIPHERS], serverHostKey: hostKeyAlgorithms as never },
      hostVerifier: (wire: Buffer) => {
        // Also at every key exchange later on: then only the key of the first one will do.
        const current = hostKeyFromWire(wire);
        if (shown !== undefined) return shown.fingerprint === current.fingerprint;
        shown = current;
        return accept(current);
      },
      authHandler: (left, partial, use) => use(ways.next(left, partial) as AnyAuthMethod),
    });
    socket.once('data', (chunk: Buffer) => (firstBytes = chunk));
    socket.connect({ host: options.address, port: options.port, lookup: noLookup });
  });
}

/** sshd's MaxAuthTries is 6; a server that goes on for ever with partial successes is not to be followed. */
const MOST_TRIES = 6;

interface LoginMethods {
  readonly tried: readonly string[];
  offered(): readonly string[];
  next(left: readonly AuthenticationType[] | null, partial: boolean | null): AnyAuthMethod | false;
}

/** Password first, then the same password typed into prompts, then the key where no password is taken or both are wanted. */
function loginMethods({ user, credentials }: SshOptions, key: ParsedKey | undefined): LoginMethods {
  const { password } = credentials;
  const tried: string[] = [];
  /** Not to be tried again at this stage; a partial success begins the next one. */
  const used = new Set<string>();
  let offered: readonly string[] = [];
  const methods: AnyAuthMethod[] = [];
  if (password !== undefined) {
    methods.push(
      { type: 'password', username: user, password },
      {
        type: 'keyboard-interactive',
        username: user,
        prompt: (_name, _instructions, _language, prompts, finish) => {
          finish(prompts.map((prompt) => (prompt.echo === true ? '' : password)));
        },
      },
    );
  }
  if (key !== undefined) methods.push({ type: 'publickey', username: user, key });

  function usable(method: AnyAuthMethod, left: readonly string[] | null, partial: boolean | null): boolean {
    if (used.has(method.type)) return false;
    if (left === null) return true;
    if (!left.includes(method.type)) return false;
    const isSecond = method.type === 'publickey' && password !== undefined;
    return !isSecond || partial === true || ![...used].some((name) => offered.includes(name));
  }
  return {
    tried,
    offered: () => offered,
    next(left, partial) {
      if (left !== null) offered = left;
      if (partial === true) used.clear();
      const method = methods.find((candidate) => usable(candidate, left, partial));
      if (method === undefined || tried.length >= MOST_TRIES) return false;
      used.add(method.type);
      tried.push(method.type);
      return method;
    },
  };
}

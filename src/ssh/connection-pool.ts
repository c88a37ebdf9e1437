import { createHmac, randomBytes } from 'node:crypto';
import { GridferryError } from '../errors.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Host } from './host.ts';
import type { SshOptions } from './ssh-options.ts';

/** Which connection is wanted. Callers add what `connect` needs to open it. */
export interface HostPoolKey {
  /** One live connection for each. */
  readonly server: string;
  /** Changes when the way to connect does (`fingerprintOptions`): then the old connection is not used any more. */
  readonly fingerprint: string;
}

/** The right to use a connection that others use too. Do not close its host. */
export interface HostLease extends Disposable {
  readonly host: Host;
  /** Harmless when called again. */
  release(): void;
}

/** Connections that are opened when first needed and shared while they live. */
export interface HostPool<K extends HostPoolKey> {
  /** Rejects with what `connect` threw (everybody who waits for that attempt gets it), or the signal's reason. */
  acquire(key: K, signal?: AbortSignal): Promise<HostLease>;
  /** Closes everything, also what is in use or being opened. Nothing can be acquired afterwards. */
  closeAll(): Promise<void>;
}

export interface HostPoolOptions<K extends HostPoolKey> {
  readonly clock: Clock;
  /** The signal fires when nobody waits for the connection any more. */
  readonly connect: (key: K, signal: AbortSignal) => Promise<Host>;
  /** A connection that nobody used for so long is closed, in ms. */
  readonly idleMs: number;
}

interface Entry {
  readonly key: HostPoolKey;
  readonly opening: Promise<Host>;
  readonly stopOpening: AbortController;
  host: Host | undefined;
  /** Leases, and those who wait for one. */
  users: number;
  cancelIdle: (() => void) | undefined;
}

export function createHostPool<K extends HostPoolKey>(options: HostPoolOptions<K>): HostPool<K> {
  const { clock, connect, idleMs } = options;
  /** Invariant: at most one entry for a server is current; entries that are not live on only until their users are done. */
  const current = new Map<string, Entry>();
  const entries = new Set<Entry>();
  let isClosed = false;

  function open(key: K): Entry {
    const stopOpening = new AbortController();
    const entry: Entry = {
      key,
      stopOpening,
      opening: Promise.resolve().then(() => connect(key, stopOpening.signal)),
      host: undefined,
      users: 0,
      cancelIdle: undefined,
    };
    current.set(key.server, entry);
    entries.add(entry);
    entry.opening.then(
      (host) => {
        entry.host = host;
        void host.closed.then(() => forget(entry));
        if (entry.users === 0) unused(entry);
      },
      () => forget(entry),
    );
    return entry;
  }

  function retire(entry: Entry): void {
    if (current.get(entry.key.server) === entry) current.delete(entry.key.server);
  }

  function forget(entry: Entry): void {
    retire(entry);
    entries.delete(entry);
    entry.cancelIdle?.();
  }

  function unused(entry: Entry): void {
    if (entry.host === undefined) {
      // Nobody waits: the attempt is given up, and a later acquire starts a new one.
      retire(entry);
      entry.stopOpening.abort(new GridferryError('GF_SSH_CLOSED', 'Nobody waits for the connection any more.'));
    } else if (current.get(entry.key.server) !== entry || isClosed) void close(entry);
    else entry.cancelIdle = clock.after(idleMs, () => void close(entry));
  }

  async function close(entry: Entry): Promise<void> {
    forget(entry);
    entry.stopOpening.abort(closedPool());
    // An attempt that fails has left nothing to close.
    const host = entry.host ?? (await entry.opening.catch(() => undefined));
    await host?.close();
  }

  function leave(entry: Entry): void {
    entry.users--;
    if (entry.users === 0 && entries.has(entry)) unused(entry);
  }

  function entryFor(key: K): Entry {
    const known = current.get(key.server);
    if (known?.key.fingerprint === key.fingerprint) return known;
    if (known !== undefined) {
      retire(known);
      if (known.users === 0) {
        known.cancelIdle?.();
        unused(known);
      }
    }
    return open(key);
  }

  return {
    async acquire(key, signal) {
      if (isClosed) throw closedPool();
      signal?.throwIfAborted();
      const entry = entryFor(key);
      entry.users++;
      entry.cancelIdle?.();
      entry.cancelIdle = undefined;
      let isHeld = true;
      const release = (): void => {
        if (isHeld) leave(entry);
        isHeld = false;
      };
      try {
        const host = await unlessAborted(entry.opening, signal);
        return { host, release, [Symbol.dispose]: release };
      } catch (error) {
        release();
        throw error;
      }
    },
    async closeAll() {
      isClosed = true;
      await Promise.all([...entries].map(close));
    },
  };
}

const fingerprintKey = randomBytes(32);

/** Differs whenever the options would open another connection. Keyed by this process: it tells nothing of the secrets. */
export function fingerprintOptions(
  options: Pick<SshOptions, 'address' | 'port' | 'user' | 'credentials' | 'hostKey' | 'sudo'>,
): string {
  const { address, port, user, credentials, hostKey, sudo } = options;
  const { password, privateKey, passphrase } = credentials;
  const parts = [address, port, user, password, privateKey?.toString('base64'), passphrase, hostKey, sudo];
  return createHmac('sha256', fingerprintKey)
    .update(JSON.stringify(parts.map((part) => part ?? null)))
    .digest('hex');
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function closedPool(): GridferryError {
  return new GridferryError('GF_SSH_CLOSED', 'The connections were closed because Gridferry is stopping.', {
    class: 'retryable',
  });
}

import { createHash } from 'node:crypto';
import type { ManagedServer } from '../../src/api/resources.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { GridferryError } from '../../src/errors.ts';
import { checkAddress } from '../../src/security/addresses.ts';
import { openLocalHost } from '../../src/ssh/local-host.ts';
import type { Fence } from '../../src/ssh/fence.ts';
import { connectSsh } from '../../src/ssh/ssh-host.ts';
import type { SshHost } from '../../src/ssh/ssh-host.ts';
import type { Host } from '../../src/ssh/host.ts';
import type { ControllerInputs, Replica } from '../dependencies.ts';
import { readSshCredentials } from './credentials.ts';
import type { SshCredentials } from './credentials.ts';

/** A server with an open connection. The same object as long as the connection lives. */
export interface ServerConnection {
  readonly host: Host;
  readonly engine: Engine;
  /** The key the server proved to have; absent for this machine. */
  readonly hostKey: SshHost['hostKey'] | undefined;
}

/** One connection per server, shared by everybody who needs it. */
export interface ServerConnections {
  /**
   * The live connection, or a new one. A changed spec, Secret or pinned key makes a new one.
   *
   * @throws GridferryError `GF_ADDRESS_*`, `GF_SECRET_NOT_FOUND`, `GF_CREDENTIALS_EMPTY`, `GF_SSH_*`, `GF_DOCKER_*`; and
   * among several replicas `GF_FENCED`, `GF_FENCE_FAILED`, `GF_LEADERSHIP_LOST`, `GF_SERVER_LOCAL_IN_CLUSTER`
   */
  connect(server: Readonly<ManagedServer>, signal?: AbortSignal): Promise<ServerConnection>;
  /** Logs in without Docker: for a probe that tells which of the two is missing. */
  login(server: Readonly<ManagedServer>, signal?: AbortSignal): Promise<Login>;
  /** Closes what is open to a server that is gone. */
  forget(uid: string): Promise<void>;
  close(): Promise<void>;
}

export interface Login {
  readonly host: Host;
  readonly hostKey: SshHost['hostKey'] | undefined;
}

interface Entry {
  readonly fingerprint: string;
  readonly login: Promise<Login>;
  connection: Promise<ServerConnection> | undefined;
  dead: boolean;
}

export function createServerConnections(
  inputs: Pick<ControllerInputs, 'secrets' | 'redactor' | 'replica'>,
): ServerConnections {
  const entries = new Map<string, Entry>();

  async function discard(uid: string, entry: Entry): Promise<void> {
    entry.dead = true;
    if (entries.get(uid) === entry) entries.delete(uid);
    const connection = await entry.connection?.catch(() => undefined);
    connection?.engine.close();
    const login = await entry.login.catch(() => undefined);
    await login?.host.close();
  }

  async function entryOf(server: Readonly<ManagedServer>): Promise<Entry> {
    const uid = server.metadata.uid ?? '';
    const credentials = await credentialsOf(server, inputs);
    const fingerprint = fingerprintOf(server, credentials);
    const known = entries.get(uid);
    if (known !== undefined && !known.dead && known.fingerprint === fingerprint) return known;
    if (known !== undefined) void discard(uid, known);
    const entry: Entry = {
      fingerprint,
      login: openLogin(server, credentials, inputs.replica),
      connection: undefined,
      dead: false,
    };
    entries.set(uid, entry);
    entry.login.then(
      (login) => login.host.closed.then(() => discard(uid, entry)),
      () => discard(uid, entry),
    );
    return entry;
  }

  return {
    async login(server) {
      return (await entryOf(server)).login;
    },
    async connect(server) {
      const entry = await entryOf(server);
      const login = await entry.login;
      entry.connection ??= connectEngine(login.host, { socketPath: server.spec.docker.socketPath }).then(
        (engine) => ({ host: login.host, hostKey: login.hostKey, engine }),
        (error: unknown) => {
          entry.connection = undefined;
          throw error;
        },
      );
      return entry.connection;
    },
    async forget(uid) {
      const entry = entries.get(uid);
      if (entry !== undefined) await discard(uid, entry);
    },
    async close() {
      await Promise.allSettled([...entries].map(([uid, entry]) => discard(uid, entry)));
    },
  };
}

async function credentialsOf(
  server: Readonly<ManagedServer>,
  { secrets, redactor }: Pick<ControllerInputs, 'secrets' | 'redactor'>,
): Promise<SshCredentials | undefined> {
  if (server.spec.ssh === undefined) return undefined;
  const namespace = server.metadata.namespace ?? 'default';
  return readSshCredentials(secrets, redactor, namespace, server.spec.ssh.credentialsRef.name);
}

/** What a connection depends on: when any of it changes, the old connection must not be used any more. */
function fingerprintOf(server: Readonly<ManagedServer>, credentials: SshCredentials | undefined): string {
  const { address, local, ssh, docker } = server.spec;
  return createHash('sha256')
    .update(JSON.stringify([address, local, ssh, docker]))
    .update(credentials?.password ?? '')
    .update(credentials?.privateKey ?? '')
    .update(credentials?.passphrase ?? '')
    .digest('hex');
}

async function openLogin(
  server: Readonly<ManagedServer>,
  credentials: SshCredentials | undefined,
  replica: Replica | undefined,
): Promise<Login> {
  const { spec, status, metadata } = server;
  if (spec.local && replica !== undefined) {
    throw new GridferryError(
      'GF_SERVER_LOCAL_IN_CLUSTER',
      `ManagedServer ${metadata.name} has local: true, but in a cluster "this machine" is another one for each replica: give it address and ssh`,
      { details: { server: metadata.name } },
    );
  }
  if (spec.local) return { host: openLocalHost({ name: metadata.name }), hostKey: undefined };
  if (spec.ssh === undefined || spec.address === undefined || credentials === undefined) {
    throw new GridferryError('GF_SERVER_INCOMPLETE', `ManagedServer ${metadata.name} needs address and ssh: set them`);
  }
  const address = await checkAddress(spec.address, { allowPrivate: true });
  const pinned = spec.ssh.hostKey ?? status?.hostKey?.publicKey;
  const host = await connectSsh({
    name: metadata.name,
    address,
    port: spec.ssh.port,
    user: spec.ssh.user,
    credentials,
    hostKey:
      pinned === undefined
        ? spec.ssh.hostKeyPolicy === 'AcceptNew'
          ? { acceptNew: true }
          : { strict: true }
        : { pinned },
    sudo: spec.ssh.sudo,
    ...(replica === undefined ? {} : { fence: fenceOf(replica) }),
  });
  return { host, hostKey: host.hostKey };
}

function fenceOf(replica: Replica): Fence {
  const { leadership, fenceKey } = replica;
  return {
    key: fenceKey,
    epoch: leadership.epoch(),
    mayAct: () => leadership.isLeader(),
    lost: leadership.lost,
    onRefused: (newest) => replica.onFenced(newest),
  };
}

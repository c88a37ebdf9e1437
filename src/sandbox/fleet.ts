import { access, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { GridferryError } from '../errors.ts';
import { removeControlGroups } from './control-groups.ts';
import { withDirectoryLock } from './directory-lock.ts';
import type { EngineSpec } from './engine.ts';
import {
  checkName,
  fleetLayout,
  readRecord,
  serverLayout,
  stateDirectory,
  writeRecord,
  type FleetLayout,
  type FleetRecord,
  type ServerLayout,
  type ServerRecord,
} from './fleet-layout.ts';
import { checkSubnetIsFree, ensureBridge, plugIn, removeNetwork, subnetInUse } from './fleet-network.ts';
import { applyLink, everything, readLink, setLink, type LinkShape, type LinkState } from './link.ts';
import { poll } from './poll.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { checkRequirements } from './requirements.ts';
import { commandFailed, run, type RunResult } from './run.ts';
import { hostKeyFingerprint, prepareDisk, serverPath } from './server-disk.ts';
import { commandInside, type ServerCommand } from './server-exec.ts';
import { booted, findInit, hasBooted, powerOff, powerOffAll, powerOn } from './server-power.ts';
import { endService, ensureService, isServiceRunning, type ServerShell, type ServiceName } from './server-services.ts';
import { addressAt, parseSubnet, subnetsOverlap } from './subnet.ts';

export interface FleetSpec {
  /** Default `default`. */
  readonly name?: string;
  /** Default `alpha` and `beta`. */
  readonly servers?: readonly string[];
  /** Default `10.99.0.0/24`. The bridge gets .1, the servers .11, .12, … in order. */
  readonly subnet?: string;
  /** The engine of every server that has none of its own in `engines`. */
  readonly engine?: EngineSpec;
  readonly engines?: Readonly<Record<string, EngineSpec>>;
  /** Default `/var/lib/gridferry-sandbox`, or GRIDFERRY_SANDBOX_DIR. It must lie on a real file system, not on overlayfs. */
  readonly stateDir?: string;
}

export interface FleetServer {
  readonly name: string;
  readonly address: string;
  /** `SHA256:…` */
  readonly hostKeyFingerprint: string;
  readonly running: boolean;
  readonly dockerRunning: boolean;
  readonly sshRunning: boolean;
  /** The server's first process as the machine numbers it; 0 when the server is off. */
  readonly pid: number;
}

export interface Fleet {
  readonly name: string;
  readonly subnet: string;
  readonly bridgeAddress: string;
  readonly servers: readonly FleetServer[];
  readonly dir: string;
  /** An ed25519 key, authorised for `root` and `deploy` on every server. */
  readonly privateKeyPath: string;
}

export interface SandboxOptions {
  readonly stateDir?: string;
}

export interface ExecOptions extends SandboxOptions {
  readonly input?: string | Uint8Array | Readable;
  /** Default `root`. */
  readonly user?: string;
  /** Throw when the exit code is not 0 (default true). */
  readonly reject?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Kills the command inside the server, too. */
  readonly signal?: AbortSignal;
}

const firstPosition = 11;

/**
 * Starts a fleet of servers on this machine: namespaces, each with sshd and dockerd, on a bridge. What already runs is
 * left alone, and servers that the spec adds are added.
 *
 * @example
 * const fleet = await fleetUp({ name: 'demo', servers: ['alpha', 'beta'] });
 * await fleetExec('demo', 'alpha', ['docker', 'ps']);
 * await fleetDown('demo');
 */
export async function fleetUp(spec: FleetSpec = {}): Promise<Fleet> {
  const fleet = fleetLayout(spec.name ?? 'default', spec.stateDir);
  for (const server of spec.servers ?? []) checkName(server, 'server', 40);
  await checkRequirements(spec.engine?.dockerdPath !== undefined);
  await withDirectoryLock(fleet.dir, async () => {
    const record = await claim(fleet, spec);
    const subnet = parseSubnet(record.subnet);
    const [authorizedKey] = await Promise.all([ensureKey(fleet), ensureBridge(fleet, subnet)]);
    await allSettledOrThrow(record.servers.map((server) => bringUp(fleet, record, server, authorizedKey)));
  });
  return (await fleetStatus(fleet.name, spec)) as Fleet;
}

/**
 * Ends a fleet and removes every trace of it: processes, mounts, namespaces, interfaces, control groups and files. Works
 * on whatever an interrupted `fleetUp` left, and on nothing.
 */
export async function fleetDown(name: string, options: SandboxOptions = {}): Promise<void> {
  const fleet = fleetLayout(name, options.stateDir);
  await checkRequirements(true);
  await withDirectoryLock(fleet.dir, async () => {
    await powerOffAll(fleet);
    await removeNetwork(fleet);
    await removeControlGroups((group) => group.startsWith(fleet.cgroupPrefix));
    // A command of a caller that was killed just now may still write its last file.
    await poll(
      async () => (await run(['rm', '-rf', '--one-file-system', fleet.dir], { reject: false })).exitCode === 0,
      5000,
      50,
    );
    await run(['rm', '-rf', '--one-file-system', fleet.dir]);
  });
  // Another fleet's folder keeps it, and so does a fleet that starts just now.
  await rmdir(stateDirectory(options.stateDir)).catch(() => undefined);
}

/** What a fleet is like now; undefined when there is none of this name. */
export async function fleetStatus(name: string, options: SandboxOptions = {}): Promise<Fleet | undefined> {
  const fleet = fleetLayout(name, options.stateDir);
  const record = await readRecord(fleet);
  if (!record) return undefined;
  const subnet = parseSubnet(record.subnet);
  return {
    name: fleet.name,
    subnet: record.subnet,
    bridgeAddress: addressAt(subnet, 1),
    servers: await Promise.all(record.servers.map((server) => serverStatus(fleet, record, server))),
    dir: fleet.dir,
    privateKeyPath: fleet.privateKeyPath,
  };
}

/** Every fleet of this machine (of one state folder), by name. */
export async function listFleets(options: SandboxOptions = {}): Promise<Fleet[]> {
  const names = await readdir(stateDirectory(options.stateDir)).catch(() => []);
  const fleets = await Promise.all(names.sort().map((name) => fleetStatus(name, options).catch(() => undefined)));
  return fleets.filter((fleet) => fleet !== undefined);
}

/** Runs a command inside all namespaces of a server, as root or as another of its users. */
export async function fleetExec(
  name: string,
  server: string,
  argv: readonly string[],
  options: ExecOptions = {},
): Promise<RunResult> {
  const { file, args, env } = await fleetCommand(name, server, argv, options);
  const result = await run([file, ...args], {
    env: { ...env, ...options.env },
    reject: false,
    ...(options.input !== undefined && { input: options.input }),
    ...(options.signal && { signal: options.signal }),
  });
  // The caller knows its own command, not the one that enters the namespaces.
  if (result.exitCode !== 0 && (options.reject ?? true)) throw commandFailed([`${server}:`, ...argv], result);
  return result;
}

/** The command that `fleetExec` would run, for callers that want its streams or a terminal. */
export async function fleetCommand(
  name: string,
  server: string,
  argv: readonly string[],
  options: Pick<ExecOptions, 'user' | 'stateDir'> = {},
): Promise<ServerCommand> {
  const found = await findServer(name, server, options);
  const init = await runningInit(found);
  return commandInside(found.layout, init.pid, argv, {
    hasEngine: found.record.engine?.dockerdPath !== undefined,
    ...(options.user !== undefined && { user: options.user }),
  });
}

/** Cuts the power of one server: everything inside dies at once, its disk stays. */
export async function stopServer(name: string, server: string, options: SandboxOptions = {}): Promise<void> {
  await changeServer(name, server, options, (found) => powerOff(found.layout));
}

/** Gives the power back: the services start, and with dockerd the containers whose restart policy says so. */
export async function startServer(name: string, server: string, options: SandboxOptions = {}): Promise<void> {
  await changeServer(name, server, options, async ({ fleet, fleetRecord, record }) => {
    await ensureBridge(fleet, parseSubnet(fleetRecord.subnet));
    await bringUp(fleet, fleetRecord, record, await ensureKey(fleet));
  });
}

/** Ends sshd (open sessions go on) or dockerd (containers stop) on a running server. */
export async function stopService(
  name: string,
  server: string,
  service: ServiceName,
  options: SandboxOptions = {},
): Promise<void> {
  await changeServer(name, server, options, async (found) => {
    await endService(shellOf(found.layout, found.record, await runningInit(found)), service);
  });
}

export async function startService(
  name: string,
  server: string,
  service: ServiceName,
  options: SandboxOptions = {},
): Promise<void> {
  await changeServer(name, server, options, async (found) => {
    await ensureService(shellOf(found.layout, found.record, await runningInit(found)), service);
  });
}

/** Slows the server's link in both directions; `undefined` makes it as fast as it was. Cuts stay. */
export async function shapeLink(
  name: string,
  server: string,
  shape: LinkShape | undefined,
  options: SandboxOptions = {},
): Promise<void> {
  await changeLink(name, server, options, ({ cut }) => ({ cut, ...(shape && { shape }) }));
}

/** One end of a cut: another server, or the machine that the controller runs on. Without it, everybody. */
export interface CutOptions extends SandboxOptions {
  readonly from?: string;
}

/** Lets every IP packet of a server's link vanish silently, or only those from and to one peer. */
export async function cutLink(name: string, server: string, options: CutOptions = {}): Promise<void> {
  await changeLink(name, server, options, (state, peer) => ({ ...state, cut: [...new Set([...state.cut, peer])] }));
}

/** Ends one cut, or without `from` all of them. */
export async function healLink(name: string, server: string, options: CutOptions = {}): Promise<void> {
  await changeLink(name, server, options, (state, peer) => ({
    ...state,
    cut: peer === everything ? [] : state.cut.filter((other) => other !== peer),
  }));
}

interface FoundServer {
  readonly fleet: FleetLayout;
  readonly fleetRecord: FleetRecord;
  readonly layout: ServerLayout;
  readonly record: ServerRecord;
}

/** Decides, once and before anything is made, which subnet and positions this fleet has. */
async function claim(fleet: FleetLayout, spec: FleetSpec): Promise<FleetRecord> {
  return withDirectoryLock(join(fleet.dir, '..'), async () => {
    const existing = await readRecord(fleet);
    const subnet = parseSubnet(spec.subnet ?? existing?.subnet ?? '10.99.0.0/24');
    if (existing && existing.subnet !== subnet.cidr) {
      throw new GridferryError(
        'GF_SANDBOX_SUBNET_FIXED',
        `The fleet ${fleet.name} has the subnet ${existing.subnet}; take it down before giving it ${subnet.cidr}.`,
      );
    }
    if (!existing) {
      try {
        for (const other of await otherFleets(fleet)) {
          if (subnetsOverlap(subnet, parseSubnet(other.subnet))) throw subnetInUse(subnet, `the fleet ${other.name}`);
        }
        checkSubnetIsFree(subnet, fleet);
      } catch (error) {
        // Nothing of this fleet exists: its empty folder must not stay behind.
        await rmdir(fleet.dir).catch(() => undefined);
        throw error;
      }
    }
    const servers = [...(existing?.servers ?? [])];
    for (const name of spec.servers ?? (existing ? [] : ['alpha', 'beta'])) {
      if (servers.some((server) => server.name === name)) continue;
      const engine = spec.engines?.[name] ?? spec.engine;
      const position = Math.max(firstPosition - 1, ...servers.map((server) => server.position)) + 1;
      addressAt(subnet, position);
      servers.push({ name, position, ...(engine && { engine }) });
    }
    const record = { subnet: subnet.cidr, servers };
    await writeRecord(fleet, record);
    return record;
  });
}

async function otherFleets(fleet: FleetLayout): Promise<(FleetRecord & { name: string })[]> {
  const stateDir = join(fleet.dir, '..');
  const records = await Promise.all(
    (await readdir(stateDir))
      .filter((name) => name !== fleet.name)
      .map(async (name) => {
        const record = await readRecord(fleetLayout(name, stateDir)).catch(() => undefined);
        return record && { ...record, name };
      }),
  );
  return records.filter((record) => record !== undefined);
}

async function ensureKey(fleet: FleetLayout): Promise<string> {
  const publicKey = `${fleet.privateKeyPath}.pub`;
  const readable = await access(publicKey).then(
    () => true,
    () => false,
  );
  if (!readable) {
    await rm(fleet.privateKeyPath, { force: true });
    await run([
      'ssh-keygen',
      '-q',
      '-t',
      'ed25519',
      '-N',
      '',
      '-C',
      `gridferry-sandbox-${fleet.name}`,
      '-f',
      fleet.privateKeyPath,
    ]);
  }
  return (await readFile(publicKey, 'utf8')).trim();
}

async function bringUp(
  fleet: FleetLayout,
  fleetRecord: FleetRecord,
  record: ServerRecord,
  authorizedKey: string,
): Promise<void> {
  const server = serverLayout(fleet, record);
  const subnet = parseSubnet(fleetRecord.subnet);
  let init = await findInit(server);
  if (!init || !(await hasBooted(init))) {
    // Half a start is no start: what an interrupted one left is ended first.
    await powerOff(server);
    await prepareDisk(server, {
      authorizedKey,
      hosts: [
        `${addressAt(subnet, 1)} controller`,
        ...fleetRecord.servers.map(({ name, position }) => `${addressAt(subnet, position)} ${name}`),
      ],
      daemonConfig: {
        'exec-opts': ['native.cgroupdriver=cgroupfs'],
        'cgroup-parent': `/${server.cgroup}`,
        ...record.engine?.config,
      },
      path: serverPath(record.engine?.dockerdPath !== undefined),
    });
    init = await powerOn(server, record.engine?.dockerdPath);
    await plugIn(fleet, server, init.pid, subnet, addressAt(subnet, record.position));
    await booted(server, init);
    await applyLink(server, init.pid, await readLink(server));
  }
  const shell = shellOf(server, record, init);
  await allSettledOrThrow([ensureService(shell, 'sshd'), ensureService(shell, 'dockerd')]);
}

async function serverStatus(fleet: FleetLayout, fleetRecord: FleetRecord, record: ServerRecord): Promise<FleetServer> {
  const server = serverLayout(fleet, record);
  const init = await findInit(server);
  const running = init !== undefined && (await hasBooted(init));
  const [sshRunning, dockerRunning] = running
    ? await Promise.all([isServiceRunning(init.pid, 'sshd'), isServiceRunning(init.pid, 'dockerd')])
    : [false, false];
  return {
    name: server.name,
    address: addressAt(parseSubnet(fleetRecord.subnet), record.position),
    hostKeyFingerprint: await hostKeyFingerprint(server).catch(() => ''),
    running,
    dockerRunning,
    sshRunning,
    pid: running ? init.pid : 0,
  };
}

function shellOf(layout: ServerLayout, record: ServerRecord, init: ProcessIdentity): ServerShell {
  return {
    name: layout.name,
    initPid: init.pid,
    exec: async (argv) => {
      const hasEngine = record.engine?.dockerdPath !== undefined;
      const { file, args, env } = await commandInside(layout, init.pid, argv, { hasEngine });
      return run([file, ...args], { env });
    },
  };
}

async function findServer(name: string, server: string, options: SandboxOptions): Promise<FoundServer> {
  const fleet = fleetLayout(name, options.stateDir);
  const fleetRecord = await readRecord(fleet);
  if (!fleetRecord) {
    throw new GridferryError(
      'GF_SANDBOX_NOT_FOUND',
      `There is no sandbox fleet '${name}'; start it with: gridferry sandbox up --name ${name}`,
    );
  }
  const record = fleetRecord.servers.find((candidate) => candidate.name === server);
  if (!record) {
    const names = fleetRecord.servers.map((candidate) => candidate.name).join(', ');
    throw new GridferryError(
      'GF_SANDBOX_SERVER_UNKNOWN',
      `The fleet ${name} has no server '${server}'; it has ${names}.`,
    );
  }
  return { fleet, fleetRecord, layout: serverLayout(fleet, record), record };
}

async function runningInit(found: FoundServer): Promise<ProcessIdentity> {
  const init = await findInit(found.layout);
  if (!init) {
    throw new GridferryError(
      'GF_SANDBOX_SERVER_DOWN',
      `The server ${found.layout.name} is off; start it with: gridferry sandbox up --name ${found.fleet.name}`,
    );
  }
  return init;
}

/** Finds a server under its fleet's lock, so that changes of one fleet come one after the other. */
async function changeServer(
  name: string,
  server: string,
  options: SandboxOptions,
  change: (found: FoundServer) => Promise<void>,
): Promise<void> {
  const { fleet } = await findServer(name, server, options);
  await withDirectoryLock(fleet.dir, async () => change(await findServer(name, server, options)));
}

async function changeLink(
  name: string,
  server: string,
  options: CutOptions,
  change: (state: LinkState, peer: string) => LinkState,
): Promise<void> {
  await changeServer(name, server, options, async (found) => {
    const peer = peerAddress(found, options.from);
    await setLink(found.layout, (await findInit(found.layout))?.pid, change(await readLink(found.layout), peer));
  });
}

function peerAddress({ fleetRecord, fleet }: FoundServer, peer: string | undefined): string {
  if (peer === undefined) return everything;
  const subnet = parseSubnet(fleetRecord.subnet);
  if (peer === 'controller') return addressAt(subnet, 1);
  const record = fleetRecord.servers.find((candidate) => candidate.name === peer);
  if (!record)
    throw new GridferryError('GF_SANDBOX_SERVER_UNKNOWN', `The fleet ${fleet.name} has no server '${peer}'.`);
  return addressAt(subnet, record.position);
}

/** Like Promise.all, but nothing is still at work when it throws. */
async function allSettledOrThrow(work: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
}

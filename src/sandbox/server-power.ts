import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, open, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GridferryError } from '../errors.ts';
import { sharedFolders } from './boot-script.ts';
import { removeControlGroups } from './control-groups.ts';
import { serverLayout, type FleetLayout, type ServerLayout } from './fleet-layout.ts';
import { unplug } from './fleet-network.ts';
import { poll } from './poll.ts';
import { bootId, isAlive, listProcesses, parseStat, type ProcessIdentity } from './process-identity.ts';
import { systemPath } from './run.ts';

/** The first process of a running server, as seen from outside; undefined when the server is off. */
export async function findInit(server: Pick<ServerLayout, 'initFile'>): Promise<ProcessIdentity | undefined> {
  const text = await readFile(server.initFile, 'utf8').catch(() => undefined);
  const [stat = '', boot] = text?.split('\n') ?? [];
  const init = parseStat(stat);
  return init && boot === bootId() && isAlive(init) ? init : undefined;
}

/** Whether the server has finished building its root. */
export async function hasBooted(init: ProcessIdentity): Promise<boolean> {
  return access(`/proc/${init.pid}/root/run/booted`).then(
    () => true,
    () => false,
  );
}

/** Starts the server's namespaces. It is not booted yet: its network can be plugged in meanwhile. */
export async function powerOn(server: ServerLayout, enginePath: string | undefined): Promise<ProcessIdentity> {
  await rm(server.initFile, { force: true });
  const log = await open(bootLog(server), 'w');
  try {
    const [program = '', ...args] = bootCommand(server, enginePath);
    const supervisor = spawn(program, args, {
      detached: true,
      cwd: '/',
      env: { PATH: systemPath },
      stdio: ['ignore', log.fd, log.fd],
    });
    supervisor.unref();
    await once(supervisor, 'spawn');
    const init = await poll(() => findInit(server), 10_000, 5);
    if (!init) throw await bootFailed(server);
    return init;
  } finally {
    await log.close();
  }
}

/** Waits until the server's root is complete. */
export async function booted(server: ServerLayout, init: ProcessIdentity): Promise<void> {
  const answer = await poll(async () => ((await hasBooted(init)) ? 'booted' : !isAlive(init) && 'died'), 20_000, 5);
  if (answer !== 'booted') throw await bootFailed(server);
}

/** Cuts the power: everything inside is killed at once, the disk stays. */
export async function powerOff(server: ServerLayout): Promise<void> {
  await killEverything(server.dir, [server]);
  await unplug(server);
  await removeControlGroups((group) => group === server.cgroup);
  await rm(server.initFile, { force: true });
}

/** Cuts the power of every server of a fleet, also of those that no record mentions. */
export async function powerOffAll(fleet: FleetLayout): Promise<void> {
  const folders = await readdir(join(fleet.dir, 'servers')).catch(() => []);
  await killEverything(
    fleet.dir,
    folders.map((name) => serverLayout(fleet, { name, position: 0 })),
  );
}

/** Until a look finds nothing: a server that is just being started may have forked since the last one. */
async function killEverything(dir: string, servers: readonly Pick<ServerLayout, 'initFile'>[]): Promise<void> {
  for (;;) {
    const recorded = (await Promise.all(servers.map(findInit))).filter((init) => init !== undefined);
    const { inits, supervisors } = await findSupervised(dir);
    if (recorded.length + inits.length + supervisors.length === 0) return;
    await killAll([...recorded, ...inits]);
    // A supervisor ends by itself once it has seen the end of its init: then nobody else has to reap that.
    if (!(await poll(() => !supervisors.some(isAlive), 500, 5))) await killAll(supervisors);
  }
}

/**
 * `unshare` stays the parent of a server's init and dies with it. Its arguments name the server's folder, and so do those
 * of the boot script: a server is found even when a crash came before its number was written down, and nothing else can
 * be mistaken for one.
 */
async function findSupervised(dir: string) {
  const processes = await listProcesses();
  const script = (path: string | undefined) => path?.startsWith(`${dir}/`) === true && path.endsWith('/boot');
  const supervisors = processes.filter(
    ({ argv }) => argv[0] === 'unshare' && script(argv[unshareArguments.length + 2]),
  );
  const scripts = processes.filter(({ argv }) => argv[0] === '/bin/sh' && script(argv[1]));
  const numbers = new Set(supervisors.map(({ pid }) => pid));
  const inits = processes.filter(({ parentPid }) => numbers.has(parentPid));
  return { inits: [...inits, ...scripts], supervisors };
}

async function killAll(doomed: readonly ProcessIdentity[]): Promise<void> {
  for (const process_ of doomed) {
    if (!isAlive(process_)) continue;
    try {
      process.kill(process_.pid, 'SIGKILL');
    } catch {
      // It ended between the look and the signal.
    }
  }
  const gone = await poll(() => doomed.every((process_) => !isAlive(process_)), 15_000, 5);
  if (!gone) {
    const pids = doomed.filter(isAlive).map(({ pid }) => pid);
    throw new GridferryError(
      'GF_SANDBOX_STOP_FAILED',
      `Processes ${pids.join(', ')} of the sandbox do not end; look at them with ps.`,
    );
  }
}

const unshareArguments = [
  '--mount',
  '--uts',
  '--ipc',
  '--net',
  '--pid',
  '--fork',
  '--kill-child=SIGKILL',
  '--propagation=private',
  '--',
];

function bootCommand(server: ServerLayout, enginePath: string | undefined): string[] {
  return [
    'unshare',
    ...unshareArguments,
    '/bin/sh',
    server.bootScript,
    server.dir,
    server.name,
    enginePath ?? '',
    ...sharedFolders,
  ];
}

function bootLog(server: ServerLayout): string {
  return `${server.dir}/boot.log`;
}

async function bootFailed(server: ServerLayout): Promise<GridferryError> {
  const log = await readFile(bootLog(server), 'utf8').catch(() => '');
  return new GridferryError(
    'GF_SANDBOX_START_FAILED',
    `The server ${server.name} did not start: ${log.trim().slice(-600) || 'it said nothing'}`,
  );
}

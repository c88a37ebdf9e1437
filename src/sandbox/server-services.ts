import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { GridferryError } from '../errors.ts';
import { poll } from './poll.ts';
import type { RunResult } from './run.ts';

/** What runs on every server besides its containers. */
export type ServiceName = 'sshd' | 'dockerd';

/** A running server, as its services need it. */
export interface ServerShell {
  readonly name: string;
  readonly initPid: number;
  readonly exec: (argv: readonly string[]) => Promise<RunResult>;
}

/** Starts a service unless it runs, and waits until it answers. */
export async function ensureService(shell: ServerShell, service: ServiceName): Promise<void> {
  if (await isServiceRunning(shell.initPid, service)) return;
  await shell.exec(startCommands[service]);
  const running = await poll(() => isServiceRunning(shell.initPid, service), 30_000, 20);
  if (running) return;
  const log = await readFile(`/proc/${shell.initPid}/root/var/log/${service}.log`, 'utf8').catch(() => '');
  throw new GridferryError(
    'GF_SANDBOX_START_FAILED',
    `${service} on ${shell.name} did not start: ${log.trim().slice(-800) || 'it said nothing'}`,
  );
}

/** Ends a service as an administrator would (SIGTERM) and waits for its end. Open SSH sessions go on. */
export async function endService(shell: ServerShell, service: ServiceName): Promise<void> {
  const pid = await servicePid(shell.initPid, service);
  if (pid === undefined) return;
  await shell.exec(['kill', '-TERM', String(pid)]);
  const gone = await poll(async () => (await servicePid(shell.initPid, service)) === undefined, 30_000, 20);
  if (!gone) throw new GridferryError('GF_SANDBOX_STOP_FAILED', `${service} on ${shell.name} does not end.`);
}

/** sshd listens, or dockerd answers. */
export async function isServiceRunning(initPid: number, service: ServiceName): Promise<boolean> {
  // sshd writes its pid file after it has begun to listen.
  if (service === 'sshd') return (await servicePid(initPid, service)) !== undefined;
  return pingDocker(initPid);
}

const startCommands: Readonly<Record<ServiceName, readonly string[]>> = {
  sshd: ['/usr/sbin/sshd', '-f', '/etc/ssh/sshd_config', '-E', '/var/log/sshd.log'],
  dockerd: ['setsid', '--fork', 'sh', '-c', 'exec dockerd >>/var/log/dockerd.log 2>&1 </dev/null'],
};

const pidFiles: Readonly<Record<ServiceName, string>> = { sshd: 'run/sshd.pid', dockerd: 'run/docker.pid' };

/** The service's number inside its server. */
async function servicePid(initPid: number, service: ServiceName): Promise<number | undefined> {
  const root = `/proc/${initPid}/root`;
  const pid = Number.parseInt(await readFile(`${root}/${pidFiles[service]}`, 'utf8').catch(() => ''), 10);
  if (!Number.isInteger(pid)) return undefined;
  // A killed service leaves its pid file behind.
  const name = await readFile(`${root}/proc/${pid}/comm`, 'utf8').catch(() => '');
  return name.trim() === service ? pid : undefined;
}

/** Asks the daemon itself, through the server's root as the machine sees it. */
function pingDocker(initPid: number): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath: `/proc/${initPid}/root/run/docker.sock`, path: '/_ping', timeout: 2000 });
    ping.once('response', (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.once('timeout', () => ping.destroy(new Error('timeout')));
    ping.once('error', () => resolve(false));
    ping.end();
  });
}

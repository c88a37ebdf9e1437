import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManagedServers, servedTypes, Transfers } from '../src/api/resources.ts';
import type { TransferStatus } from '../src/api/resources.ts';
import { openLocalHome } from '../src/home/local-client.ts';
import { createSchemaAdmission } from '../src/home/schema-admission.ts';
import { fleetCommand, fleetDown, fleetExec, fleetUp, shapeLink } from '../src/sandbox/fleet.ts';
import type { Fleet } from '../src/sandbox/fleet.ts';
import { importTinyImage } from '../src/sandbox/image.ts';

/**
 * The move of a service against the plain script that an admin would write (stop; save | load; tar | tar; run), in one
 * run, on two sandbox servers with 1 Gbit/s each: `sudo node bench/transfer.ts [MiB …]`. Read the ratios; the seconds
 * are this machine's.
 *
 * Downtime is what a client sees that asks the first server all the time, and the second from the moment its container
 * starts: asking before would send it into the kernel's one-second pause of an unanswered ARP, on both sides alike.
 * Total is from the call of the script to its end, and from saving the Transfer's YAML, while `gridferry run` runs, to
 * `Completed`.
 */

const NAME = 'bench-transfer';
const RATE_MBIT = 1000;
const IMAGE = 'bench:1';
const PORT = 8080;
/** How often the client asks: often enough for the figures, seldom enough not to be the load. */
const ASK_EVERY_MS = 20;
const admission = createSchemaAdmission();
const root = join(import.meta.dirname, '..');
const sizes = process.argv.slice(2).map(Number);
if (sizes.length === 0) sizes.push(50, 500, 2048);

interface Figures {
  readonly totalMs: number;
  readonly downtimeMs: number;
  readonly residentMiB?: number;
}

const fleet = await fleetUp({ name: NAME, subnet: '10.99.70.0/24', servers: ['alpha', 'beta'] });
try {
  await importTinyImage(NAME, 'alpha', IMAGE, {
    files: {
      '/www/health': 'ok\n',
      '/serve': { content: '#!/bin/sh\ntrap "exit 0" TERM\nhttpd -f -p 8080 -h /www &\nwait\n', mode: 0o755 },
    },
    changes: ['CMD ["/serve"]', 'EXPOSE 8080', 'VOLUME /data'],
  });
  for (const server of ['alpha', 'beta']) await shapeLink(NAME, server, { rateMbit: RATE_MBIT });
  const rows: string[] = [];
  for (const mib of sizes) {
    await startService(mib);
    const script = await measure(fleet, () => plainScript(fleet));
    await reset();
    const ours = await measure(fleet, () => gridferry(fleet));
    await reset();
    await exec('alpha', ['docker', 'rm', '-f', 'web']);
    await exec('alpha', ['docker', 'volume', 'rm', '-f', 'data']);
    rows.push(row(mib, ours, script));
    console.log(`${String(mib)} MiB: ${JSON.stringify({ script, ours })}`);
  }
  console.log('\n| volume | downtime: ours / script | ratio | total: ours / script | ratio | resident |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  console.log(rows.join('\n'));
} finally {
  await fleetDown(NAME);
}

function row(mib: number, ours: Figures, script: Figures): string {
  const seconds = (ms: number): string => (ms / 1000).toFixed(2);
  const ratio = (a: number, b: number): string => (a / b).toFixed(2);
  return `| ${String(mib)} MiB | ${seconds(ours.downtimeMs)} / ${seconds(script.downtimeMs)} s | ${ratio(ours.downtimeMs, script.downtimeMs)} | ${seconds(ours.totalMs)} / ${seconds(script.totalMs)} s | ${ratio(ours.totalMs, script.totalMs)} | ${String(ours.residentMiB ?? 0)} MiB |`;
}

async function exec(server: string, argv: readonly string[]): Promise<string> {
  return (await fleetExec(NAME, server, argv, { reject: false })).stdout;
}

async function startService(mib: number): Promise<void> {
  await fleetExec(NAME, 'alpha', [
    'docker',
    'run',
    '-d',
    '--name',
    'web',
    '-p',
    `${String(PORT)}:${String(PORT)}`,
    '-v',
    'data:/data',
    IMAGE,
  ]);
  // Many files of a megabyte and one that holds a quarter of all: what a volume of uploads and a database looks like.
  const big = Math.floor(mib / 4);
  const fill = `cd /var/lib/docker/volumes/data/_data && dd if=/dev/urandom of=big bs=1M count=${String(big)} status=none && for i in $(seq ${String(mib - big)}); do dd if=/dev/urandom of=f$i bs=1M count=1 status=none; done; sync`;
  await fleetExec(NAME, 'alpha', ['sh', '-c', fill]);
}

/** Back to the start: the service runs on alpha, nothing of it is on beta. */
async function reset(): Promise<void> {
  await exec('beta', ['docker', 'rm', '-f', 'web']);
  await exec('beta', ['docker', 'volume', 'rm', '-f', 'data']);
  await exec('beta', ['docker', 'rmi', '-f', IMAGE]);
  await exec('alpha', ['docker', 'start', 'web']);
  await exec('alpha', ['sh', '-c', 'sync']);
  await exec('beta', ['sh', '-c', 'sync']);
}

/** Runs a move while a client asks, and says how long nobody answered it. */
async function measure(
  { servers }: Fleet,
  move: () => Promise<{ readonly totalMs: number; readonly residentMiB?: number }>,
): Promise<Figures> {
  let lastAlive = 0;
  let longest = 0;
  const asking = new AbortController();
  const started = await containerStart('beta');
  let hosts = servers.slice(0, 1);
  void started.seen.then(() => (hosts = [...servers]));
  const client = (async () => {
    while (!asking.signal.aborted) {
      const answers = await Promise.all(hosts.map(({ address }) => answered(address)));
      const now = performance.now();
      if (answers.includes(true)) {
        if (lastAlive > 0) longest = Math.max(longest, now - lastAlive);
        lastAlive = now;
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const figures = await move();
  // The client may see the target later than the move ends: the gap counts until it does.
  const ended = performance.now();
  while (lastAlive < ended && performance.now() < ended + 10_000)
    await new Promise((resolve) => setTimeout(resolve, 10));
  asking.abort();
  await client;
  started.stop();
  return { ...figures, downtimeMs: Math.round(longest) };
}

/** Waits for the start of the service's container, as Docker there tells it. */
async function containerStart(server: string): Promise<{ readonly seen: Promise<unknown>; stop(): void }> {
  const filters = ['--filter', 'type=container', '--filter', 'event=start', '--filter', 'container=web'];
  const { file, args, env } = await fleetCommand(NAME, server, ['docker', 'events', ...filters]);
  const events = spawn(file, [...args], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  return { seen: once(events.stdout, 'data'), stop: () => void events.kill() };
}

function answered(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ host, port: PORT, path: '/health', agent: false, timeout: 200 }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200));
      response.on('error', () => resolve(false));
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(false));
    call.end();
  });
}

async function plainScript({ servers, privateKeyPath }: Fleet): Promise<{ readonly totalMs: number }> {
  const [a, b] = servers.map(({ address }) => address);
  const ssh = `ssh -i ${privateKeyPath} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR`;
  const volume = '/var/lib/docker/volumes/data/_data';
  const script = `set -eu
${ssh} root@${a!} docker stop web
${ssh} root@${a!} docker save ${IMAGE} | ${ssh} root@${b!} docker load
${ssh} root@${b!} docker volume create data
${ssh} root@${a!} tar -C ${volume} --numeric-owner -cf - . | ${ssh} root@${b!} tar -C ${volume} --numeric-owner -xf -
${ssh} root@${b!} docker run -d --name web -p ${String(PORT)}:${String(PORT)} -v data:/data ${IMAGE}
`;
  const begun = performance.now();
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'pipe'] });
  let problems = '';
  child.stderr.on('data', (chunk: Buffer) => (problems += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the script ended with ${String(code)}: ${problems}`);
  return { totalMs: Math.round(performance.now() - begun) };
}

async function gridferry({
  servers,
  privateKeyPath,
}: Fleet): Promise<{ readonly totalMs: number; readonly residentMiB: number }> {
  const dir = await mkdtemp(join(tmpdir(), 'gridferry-bench-'));
  const file = (name: string, objects: readonly object[]): Promise<void> => {
    const documents = objects.map((object) => JSON.stringify({ apiVersion: 'gridferry.io/v1alpha1', ...object }));
    return writeFile(join(dir, 'fleet', name), documents.join('\n---\n'));
  };
  const secret = join(dir, 'secrets/default/fleet-ssh');
  await mkdir(secret, { recursive: true, mode: 0o700 });
  await writeFile(join(secret, 'ssh-privatekey'), await readFile(privateKeyPath), { mode: 0o600 });
  await mkdir(join(dir, 'fleet'));
  const managed = servers.map(({ name, address }) => ({
    kind: 'ManagedServer',
    metadata: { name },
    spec: { address, ssh: { credentialsRef: { name: 'fleet-ssh' }, hostKeyPolicy: 'AcceptNew' } },
  }));
  await file('servers.yaml', managed);
  const state = join(dir, 'state');
  const args = ['bin/gridferry.js', 'run', join(dir, 'fleet'), '--state', state, '--secrets-dir', join(dir, 'secrets')];
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'ignore' });
  try {
    const home = await until(() => openLocalHome({ stateDir: state, readOnly: true, types: servedTypes, admission }));
    const online = async (): Promise<boolean> =>
      (await home.list(ManagedServers)).items.filter(({ status }) => status?.phase === 'Online').length ===
      servers.length;
    await until(async () => ((await online()) ? true : undefined));
    const spec = {
      container: 'web',
      sourceServerRef: { name: 'alpha' },
      targetServerRef: { name: 'beta' },
      healthCheck: { http: { path: '/health', port: PORT } },
      soak: '0s',
    };
    const begun = performance.now();
    await file('move.yaml', [{ kind: 'Transfer', metadata: { name: 'move' }, spec }]);
    const status = await until(async () => {
      const found = (await home.list(Transfers)).items[0]?.status;
      return found?.phase === 'Completed' || found?.phase === 'Failed' ? found : undefined;
    });
    const totalMs = Math.round(performance.now() - begun);
    if (status.phase !== 'Completed') throw new Error(`the transfer ended ${status.phase!}: ${status.message ?? ''}`);
    if (process.env['BENCH_STEPS'] !== undefined) printSteps(status);
    const memory = await readFile(`/proc/${String(child.pid)}/status`, 'utf8');
    home.close();
    return { totalMs, residentMiB: Math.round(Number(/VmHWM:\s+(\d+)/.exec(memory)?.[1]) / 1024) };
  } finally {
    child.kill();
    await once(child, 'close');
    await rm(dir, { recursive: true, force: true });
  }
}

function printSteps({ steps = [], volumes = [] }: TransferStatus): void {
  console.log(JSON.stringify(volumes));
  for (const { name, startTime = '', endTime = '' } of steps) {
    console.log(`${name.padEnd(22)} ${String(Date.parse(endTime) - Date.parse(startTime)).padStart(6)} ms`);
  }
}

/** Tries until there is a value, for at most ten minutes. */
async function until<T>(attempt: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 600_000;
  for (;;) {
    try {
      const value = await attempt();
      if (value !== undefined) return value;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    if (performance.now() > deadline) throw new Error('nothing came of it in ten minutes');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

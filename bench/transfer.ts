import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fleetDown, fleetExec, fleetUp, shapeLink } from '../src/sandbox/fleet.ts';
import type { Fleet } from '../src/sandbox/fleet.ts';
import { importTinyImage } from '../src/sandbox/image.ts';

/**
 * The move of a service against the plain script that an admin would write (stop; save | load; tar | tar; run), in one
 * run, on two sandbox servers with 1 Gbit/s each: `sudo node bench/transfer.ts [MiB …]`. Downtime is what a client sees
 * that asks both servers all the time, the same for both sides. Read the ratios; the seconds are this machine's.
 */

const NAME = 'bench-transfer';
const RATE_MBIT = 1000;
const IMAGE = 'bench:1';
const PORT = 8080;
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

/** Runs a move while a client asks both servers, and says how long neither answered. */
async function measure({ servers }: Fleet, move: () => Promise<{ readonly residentMiB?: number }>): Promise<Figures> {
  let lastAlive = 0;
  let longest = 0;
  const asking = new AbortController();
  const client = (async () => {
    while (!asking.signal.aborted) {
      const answers = await Promise.all(servers.map(({ address }) => answered(address)));
      const now = performance.now();
      if (answers.includes(true)) {
        if (lastAlive > 0) longest = Math.max(longest, now - lastAlive);
        lastAlive = now;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const started = performance.now();
  const { residentMiB } = await move();
  const totalMs = Math.round(performance.now() - started);
  // The client may see the target later than the move ends: the gap counts until it does.
  const ended = performance.now();
  while (lastAlive < ended && performance.now() < ended + 10_000)
    await new Promise((resolve) => setTimeout(resolve, 10));
  asking.abort();
  await client;
  return { totalMs, downtimeMs: Math.round(longest), ...(residentMiB === undefined ? {} : { residentMiB }) };
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

async function plainScript({ servers, privateKeyPath }: Fleet): Promise<Record<string, never>> {
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
  await run('sh', ['-c', script]);
  return {};
}

async function gridferry({ servers, privateKeyPath }: Fleet): Promise<{ readonly residentMiB: number }> {
  const dir = await mkdtemp(join(tmpdir(), 'gridferry-bench-'));
  try {
    const secret = join(dir, 'secrets/default/fleet-ssh');
    await mkdir(secret, { recursive: true, mode: 0o700 });
    await writeFile(join(secret, 'ssh-privatekey'), await readFile(privateKeyPath), { mode: 0o600 });
    await mkdir(join(dir, 'fleet'));
    const objects = [
      ...servers.map(({ name, address }) => ({
        kind: 'ManagedServer',
        metadata: { name },
        spec: { address, ssh: { credentialsRef: { name: 'fleet-ssh' }, hostKeyPolicy: 'AcceptNew' } },
      })),
      {
        kind: 'Transfer',
        metadata: { name: 'move' },
        spec: {
          container: 'web',
          sourceServerRef: { name: 'alpha' },
          targetServerRef: { name: 'beta' },
          healthCheck: { http: { path: '/health', port: PORT } },
          soak: '0s',
        },
      },
    ];
    const documents = objects.map((object) => JSON.stringify({ apiVersion: 'gridferry.io/v1alpha1', ...object }));
    await writeFile(join(dir, 'fleet/move.yaml'), documents.join('\n---\n'));
    let resident = 0;
    const args = ['bin/gridferry.js', 'run', join(dir, 'fleet'), '--once', '--state', join(dir, 'state')];
    await run(process.execPath, [...args, '--secrets-dir', join(dir, 'secrets')], async (pid) => {
      const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '');
      resident = Math.max(resident, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
    });
    return { residentMiB: Math.round(resident / 1024) };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Runs a program; `look` is called again and again while it runs. */
async function run(program: string, args: readonly string[], look?: (pid: number) => Promise<void>): Promise<void> {
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
  }
  const timer = look === undefined ? undefined : setInterval(() => void look(child.pid ?? 0), 100);
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}: ${output}`);
}

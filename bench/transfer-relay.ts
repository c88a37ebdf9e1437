/**
 * The relay against `ssh a | ssh b` in the same run, and its memory by the size of what it passes on.
 *
 *     node bench/transfer-relay.ts
 */
import { execFile, fork } from 'node:child_process';
import { promisify } from 'node:util';
import { fleetDown, fleetUp } from '../src/sandbox/fleet.ts';
import type { Fleet } from '../src/sandbox/fleet.ts';
import type { SshHost } from '../src/ssh/ssh-host.ts';
import { relay } from '../src/volumes/relay.ts';
import { logIn } from '../test/support/log-in.ts';

const FLEET = 'b-relay';
const MIB = 1 << 20;
const ROUNDS = 3;
const run = promisify(execFile);

interface Passed {
  readonly seconds: number;
  /** The most that the process had in memory, in bytes. */
  readonly residentBytes: number;
}

const source = (bytes: number): string[] => ['head', '-c', String(bytes), '/dev/zero'];
const sink = ['sh', '-c', 'cat >/dev/null'];

async function connect(fleet: Fleet, index: number): Promise<SshHost> {
  const server = fleet.servers[index]!;
  return logIn(fleet, server);
}

/** In a process of its own, so that its memory is that of this copy alone. */
async function passOn(fleet: Fleet, bytes: number): Promise<Passed> {
  const hosts = await Promise.all([connect(fleet, 0), connect(fleet, 1)]);
  const begin = performance.now();
  let resident = 0;
  const watch = setInterval(() => (resident = Math.max(resident, process.memoryUsage.rss())), 50);
  let passed = 0;
  const ends = await relay(await hosts[0].spawn(source(bytes)), await hosts[1].spawn(sink), false, {
    onBytes: (more) => (passed += more),
  });
  const seconds = (performance.now() - begin) / 1000;
  clearInterval(watch);
  await Promise.all(hosts.map((host) => host.close()));
  if (passed !== bytes || ends.to.code !== 0) throw new Error(`only ${String(passed)} bytes were passed on`);
  return { seconds, residentBytes: Math.max(resident, process.memoryUsage.rss()) };
}

function inChild(bytes: number): Promise<Passed> {
  const { promise, resolve, reject } = Promise.withResolvers<Passed>();
  const child = fork(import.meta.filename, ['--pass', String(bytes)]);
  child.once('message', (message) => resolve(message as Passed));
  child.once('exit', (code) => reject(new Error(`the relay ended with ${String(code)}`)));
  return promise;
}

/** The baseline, with the cipher that the relay uses. */
async function shellPipe(fleet: Fleet, bytes: number): Promise<number> {
  const ssh = (index: number): string =>
    `ssh -F /dev/null -c aes128-gcm@openssh.com -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i ${fleet.privateKeyPath} root@${fleet.servers[index]!.address}`;
  const begin = performance.now();
  await run('sh', ['-c', `${ssh(0)} '${source(bytes).join(' ')}' | ${ssh(1)} 'cat >/dev/null'`]);
  return (performance.now() - begin) / 1000;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

if (process.argv[2] === '--pass') {
  const fleet = await fleetUp({ name: FLEET, subnet: '10.99.82.0/24' });
  process.send?.(await passOn(fleet, Number(process.argv[3])));
  process.disconnect();
} else {
  const fleet = await fleetUp({ name: FLEET, subnet: '10.99.82.0/24' });
  try {
    const bytes = 1024 * MIB;
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      theirs.push(await shellPipe(fleet, bytes));
      ours.push((await inChild(bytes)).seconds);
    }
    const rate = (seconds: number): string => `${(bytes / MIB / seconds).toFixed(0)} MiB/s`;
    const ratio = median(theirs) / median(ours);
    console.log(`ssh a | ssh b   ${rate(median(theirs))}`);
    console.log(`relay           ${rate(median(ours))}   ${ratio.toFixed(2)}x (goal: at least 0.9x)`);
    const small = (await inChild(64 * MIB)).residentBytes;
    const large = (await inChild(4096 * MIB)).residentBytes;
    const more = (large - small) / MIB;
    console.log(
      `resident memory ${(small / MIB).toFixed(0)} MiB at 64 MiB, ${(large / MIB).toFixed(0)} MiB at 4 GiB: +${more.toFixed(1)} MiB (goal: at most +20)`,
    );
    if (ratio < 0.9 || more > 20) process.exitCode = 1;
  } finally {
    await fleetDown(FLEET);
  }
}

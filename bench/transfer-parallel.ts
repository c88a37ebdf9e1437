import { hasEnded } from '../controllers/transfer/status.ts';
import { Transfers } from '../src/api/resources.ts';
import type { TransferStatus } from '../src/api/resources.ts';
import { fleetDown, fleetExec, fleetUp, shapeLink } from '../src/sandbox/fleet.ts';
import { importTinyImage } from '../src/sandbox/image.ts';
import { startGridferry } from '../test/support/gridferry.ts';
import { atMost, printRows, seconds } from './transfer/report.ts';

/**
 * Eight services on four servers, moved all at once and one after another, both by Gridferry in one run:
 * `sudo node bench/transfer-parallel.ts`. The image is there already, and nobody is watched after the move, so that what is
 * measured is the moving. `BENCH_ROUNDS` says how often, `BENCH_MIB` how much data each has, `BENCH_STEPS=1` shows where the
 * time of each move went.
 */
const FLEET = 'bench-parallel';
const SERVERS = ['alpha', 'beta', 'gamma', 'delta'] as const;
const COUNT = 8;
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const MIB = Number(process.env['BENCH_MIB'] ?? 64);
const LINK_MBIT = 1000;

/** Service n runs on server n mod 4 and moves to the next one: each server sends two and gets two. */
const sourceOf = (index: number): string => SERVERS[index % SERVERS.length]!;
const targetOf = (index: number): string => SERVERS[(index + 1) % SERVERS.length]!;

await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.94.0/24', servers: [...SERVERS] });
const gridferry = await startGridferry();
try {
  const image = { changes: ['CMD ["httpd","-f","-p","80","-h","/data"]', 'STOPSIGNAL SIGKILL'] };
  await Promise.all(SERVERS.map((server) => importTinyImage(FLEET, server, 'web:1', image)));
  await Promise.all(SERVERS.map((server) => shapeLink(FLEET, server, { rateMbit: LINK_MBIT })));
  await gridferry.addServers(fleet);
  const together: number[] = [];
  const inTurn: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    inTurn.push(await measure(`turn-${String(round)}`, false));
    together.push(await measure(`once-${String(round)}`, true));
  }
  const what = `${String(COUNT)} transfers of ${String(MIB)} MiB at once on ${String(SERVERS.length)} servers`;
  const row = atMost(0.6, { what, against: 'one after another', ours: together, baseline: inTurn, show: seconds });
  printRows([row]);
  if (!row.met) process.exitCode = 1;
} finally {
  await gridferry.stop();
  await fleetDown(FLEET);
}

/** How long it takes from the first Transfer's creation to the end of the last one, in ms. */
async function measure(prefix: string, atOnce: boolean): Promise<number> {
  const names = Array.from({ length: COUNT }, (_, index) => `${prefix}-${String(index)}`);
  for (const [index, name] of names.entries()) await startService(sourceOf(index), name);
  const begin = performance.now();
  const moves = names.map((name, index) => () => move(name, index));
  if (atOnce) await Promise.all(moves.map((start) => start()));
  else for (const start of moves) await start();
  const ms = performance.now() - begin;
  console.log(`${prefix}: ${seconds(ms)}`);
  for (const [index, name] of names.entries()) {
    for (const server of [sourceOf(index), targetOf(index)]) {
      await fleetExec(FLEET, server, ['sh', '-c', 'docker rm -f "$1" && docker volume rm "$1"', 'sh', name]);
    }
  }
  return ms;
}

async function startService(server: string, name: string): Promise<void> {
  const script =
    'docker run -d --name "$1" -v "$1:/data" web:1 >/dev/null && head -c "$2" /dev/urandom >"$(docker volume inspect -f "{{.Mountpoint}}" "$1")/data"';
  await fleetExec(FLEET, server, ['sh', '-c', script, 'sh', name, String(MIB << 20)]);
}

async function move(name: string, index: number): Promise<void> {
  await gridferry.transfer(name, {
    container: name,
    sourceServerRef: { name: sourceOf(index) },
    targetServerRef: { name: targetOf(index) },
    soak: { duration: '0s', failureThreshold: 1 },
  });
  const { status } = await gridferry.until(name, hasEnded);
  if (status?.phase !== 'Completed') throw new Error(`${name} ${status?.phase ?? ''}: ${status?.message ?? ''}`);
  if (process.env['BENCH_STEPS'] === '1') console.log(`${name}: ${stepTimes(status)}`);
  await gridferry.client.delete(Transfers, { namespace: 'default', name });
}

function stepTimes({ steps = [] }: TransferStatus): string {
  return steps
    .map(({ name, startTime = '', endTime = '' }) => [name, Date.parse(endTime) - Date.parse(startTime)] as const)
    .filter(([, ms]) => ms >= 50)
    .map(([name, ms]) => `${name} ${String(ms)}`)
    .join(', ');
}

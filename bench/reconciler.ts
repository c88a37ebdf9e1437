import { setTimeout as delay } from 'node:timers/promises';
import { startPeer } from './reconciler/peer-process.ts';
import type { Peer, PeerLine } from './reconciler/peer-process.ts';
import { openWorkshop } from './reconciler/workshop.ts';
import type { Workshop } from './reconciler/workshop.ts';

/**
 * Our runtime over the cluster adapter against controller-runtime and client-node's informer, on one real API server, in
 * one run and turn by turn: `node bench/reconciler.ts [N] [ROUNDS] [--large]`. Needs Go and the peers (see
 * `reconciler/workshop.ts`). Read the ratios: the figures are this machine's. `--large` adds 100,000 objects.
 *
 * What is measured is defined in the peers' README. "Heap per object" of ours counts buffers outside V8's heap, too.
 */

type Name = keyof Workshop['commands'];

interface Row {
  readonly what: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: number;
  readonly peerName: string;
  /** The ratio to stay below, or, with `unit` ms over the floor, the difference. */
  readonly goal: number;
  readonly difference?: true;
}

const NAMES: readonly Name[] = ['ours', 'controllerRuntime', 'clientNode'];
const LARGE = 100_000;
const BURST = 1_000;

const numbers = process.argv
  .slice(2)
  .filter((text) => /^\d+$/.test(text))
  .map(Number);
const [n = 10_000, rounds = 5] = numbers;
const opened = openWorkshop();
if (typeof opened === 'string') process.stdout.write(`${opened}\n`);
else {
  try {
    await main(opened);
  } finally {
    opened.close();
  }
}

async function main(workshop: Workshop): Promise<void> {
  note('empty peers');
  const empty = await heaps(workshop);
  note(`filling ${n}`);
  workshop.fill(n);
  const syncs = await measureSyncs(workshop);
  const peers = await startAll(workshop);
  note('heaps');
  const full = {} as Record<Name, number>;
  for (const name of NAMES) full[name] = heapOf(await peers[name].ask('gc'));
  const noops = await measureNoops(peers);
  const bursts = await measureBursts(workshop, peers);
  for (const name of NAMES) await peers[name].stop();
  const latency = await measureLatency(workshop);

  const syncMs = (name: Name): number => median(syncs[name].map((line) => line.syncMs));
  const better: Name = syncMs('clientNode') < syncMs('controllerRuntime') ? 'clientNode' : 'controllerRuntime';
  const heapEach = (name: Name): number => (full[name] - empty[name]) / n;
  const resident = (name: Name): number => median(syncs[name].map((line) => line.rssKiB)) / 1024;
  const rows: Row[] = [
    row('CPU per no-op reconcile', 'µs', noops, 'controllerRuntime', 1),
    row('CPU per event in a burst', 'µs', bursts, 'clientNode', 1),
    { what: 'first sync', unit: 'ms', ours: syncMs('ours'), peer: syncMs(better), peerName: better, goal: 1 },
    {
      what: 'heap per object',
      unit: 'B',
      ours: heapEach('ours'),
      peer: heapEach('controllerRuntime'),
      peerName: 'controllerRuntime',
      goal: 0.75,
    },
    {
      what: 'resident after sync',
      unit: 'MiB',
      ours: resident('ours'),
      peer: resident('clientNode'),
      peerName: 'clientNode',
      goal: 0.75,
    },
    {
      what: 'change to status seen, p50',
      unit: 'ms',
      ours: latency.ours,
      peer: latency.floor,
      peerName: 'floor',
      goal: 1,
      difference: true,
    },
  ];
  if (process.argv.includes('--large')) rows.push(await measureLarge(workshop));
  print(rows);
}

function row(what: string, unit: string, samples: Record<Name, number[]>, peerName: Name, goal: number): Row {
  return { what, unit, ours: median(samples.ours), peer: median(samples[peerName]), peerName, goal };
}

async function heaps(workshop: Workshop): Promise<Record<Name, number>> {
  const result = {} as Record<Name, number>;
  for (const name of NAMES) {
    const peer = await startPeer(workshop.commands[name], workshop.env);
    result[name] = heapOf(await peer.ask('gc'));
    await peer.stop();
  }
  return result;
}

function heapOf({ heapBytes, externalBytes = 0 }: PeerLine): number {
  return heapBytes + externalBytes;
}

async function measureSyncs(workshop: Workshop): Promise<Record<Name, PeerLine[]>> {
  const syncs: Record<Name, PeerLine[]> = { ours: [], controllerRuntime: [], clientNode: [] };
  for (let round = 0; round < rounds; round++) {
    for (const name of NAMES) {
      const peer = await startPeer(workshop.commands[name], workshop.env);
      syncs[name].push(peer.synced);
      await peer.stop();
      note(`${name} synced in ${Math.round(peer.synced.syncMs)} ms, ${Math.round(peer.synced.rssKiB / 1024)} MiB`);
    }
  }
  return syncs;
}

async function startAll({ commands, env }: Workshop): Promise<Record<Name, Peer>> {
  return {
    ours: await startPeer(commands.ours, env),
    controllerRuntime: await startPeer(commands.controllerRuntime, env),
    clientNode: await startPeer(commands.clientNode, env),
  };
}

/** The informer has no queue. */
async function measureNoops(peers: Record<Name, Peer>): Promise<Record<Name, number[]>> {
  const each: Record<Name, number[]> = { ours: [], controllerRuntime: [], clientNode: [] };
  // Long enough that compilation and collection are a part of it, as they are in a process that runs for days.
  const turns = Math.max(5, Math.ceil(100_000 / n));
  for (let round = 0; round < rounds; round++) {
    for (const name of ['ours', 'controllerRuntime'] as const) {
      each[name].push((await peers[name].ask(`noop ${turns}`)).cpuUsEach);
    }
  }
  note(`no-op reconciles: ${JSON.stringify(each)}`);
  return each;
}

/** Labels are patched while all peers stand still: the events lie in their sockets, and each takes its own in its turn. */
async function measureBursts(workshop: Workshop, peers: Record<Name, Peer>): Promise<Record<Name, number[]>> {
  const each: Record<Name, number[]> = { ours: [], controllerRuntime: [], clientNode: [] };
  const burst = Math.min(n, BURST);
  const stamp = Date.now().toString(36);
  for (let round = 0; round < 2 * rounds; round++) {
    const before = {} as Record<Name, number>;
    for (const name of NAMES) {
      await peers[name].ask('reset');
      before[name] = (await peers[name].ask('stats')).cpuMs;
      await peers[name].freeze();
    }
    workshop.fill('touch', burst, `${stamp}-${round}`);
    for (const name of NAMES) {
      const thawedNs = Date.now() * 1e6;
      peers[name].thaw();
      const now = await peers[name].until(burst);
      // As the peers' own run: it counts only if nothing was handled before.
      if (now.count === burst && now.firstNs > thawedNs) each[name].push(((now.cpuMs - before[name]) * 1e3) / burst);
    }
    await delay(500);
  }
  note(`bursts: ${JSON.stringify(each)}`);
  return each;
}

async function measureLatency(workshop: Workshop): Promise<{ readonly ours: number; readonly floor: number }> {
  const ours: number[] = [];
  const floor: number[] = [];
  for (let round = 0; round < rounds; round++) {
    floor.push(workshop.fill('floor', 100, n)['p50Ms'] ?? NaN);
    const peer = await startPeer(workshop.commands.ours, workshop.env);
    ours.push(workshop.fill('latency', 100, n)['p50Ms'] ?? NaN);
    await peer.stop();
  }
  note(`latency p50: ${JSON.stringify({ ours, floor })}`);
  return { ours: median(ours), floor: median(floor) };
}

async function measureLarge(workshop: Workshop): Promise<Row> {
  note(`filling ${LARGE}`);
  workshop.fill(LARGE);
  const peer = await startPeer(workshop.commands.ours, workshop.env);
  await peer.stop();
  const resident = Math.max(peer.synced.rssKiB, peer.synced.peakRssKiB) / 1024;
  return {
    what: `resident with ${LARGE} objects, peak`,
    unit: 'MiB',
    ours: resident,
    peer: 512,
    peerName: 'limit',
    goal: 1,
  };
}

function print(rows: readonly Row[]): void {
  const cells = rows.map(({ what, unit, ours, peer, peerName, goal, difference }) => {
    const value = difference === true ? ours - peer : ours / peer;
    return [
      `${what}, ${unit}`,
      short(ours),
      `${short(peer)} (${peerName})`,
      difference === true ? `+${short(value)}` : `${value.toFixed(2)}×`,
      difference === true ? `≤ +${goal}` : `≤ ${goal}×`,
      value <= goal ? 'yes' : 'NO',
    ];
  });
  const table = [['what', 'ours', 'peer', 'ratio', 'goal', 'met'], ...cells];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((line) => line[column]!.length)));
  process.stdout.write(`N = ${n}\n`);
  for (const line of table) {
    process.stdout.write(`${line.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')}\n`);
  }
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

function note(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}

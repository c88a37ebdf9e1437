/**
 * Our runtime with a reconciler that does nothing, measured: the commands and lines of the peers
 * (`controller-runtime/main.go` beside their `run`). Run with --expose-gc; KUBECONFIG names the server.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { GROUP, VERSION } from '../../src/api/meta.ts';
import type { API_VERSION, KubeObject, ResourceType } from '../../src/api/meta.ts';
import { connectCluster } from '../../src/home/cluster/cluster-client.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createManager } from '../../src/runtime/manager.ts';
import type { ReconcileContext } from '../../src/runtime/reconciler.ts';
import { done } from '../../src/runtime/result.ts';

interface PeerTransfer extends KubeObject {
  apiVersion: typeof API_VERSION;
  spec: { nonce?: string };
  status?: { nonce?: string; calledAt?: string };
}

const PeerTransfers: ResourceType<PeerTransfer> = {
  group: GROUP,
  version: VERSION,
  kind: 'Transfer',
  plural: 'transfers',
  singular: 'transfer',
  shortNames: [],
  categories: [],
  namespaced: true,
  hasStatus: true,
};

const wallMs = (): number => performance.timeOrigin + performance.now();
const nanoseconds = (ms: number): string => `${Math.round(ms * 1e3)}000`;
let count = 0;
let first = 0;
let last = 0;
let onCount: { readonly at: number; readonly resolve: () => void } | undefined;
/** Puts each key into the controller's queue again. */
const wakes = new Map<string, () => void>();

async function reconcile(object: Readonly<PeerTransfer>, context: ReconcileContext<PeerTransfer>) {
  const called = wallMs();
  if (object.spec.nonce !== object.status?.nonce) {
    context.setStatus({
      ...(object.spec.nonce === undefined ? {} : { nonce: object.spec.nonce }),
      calledAt: nanoseconds(called),
    });
  }
  wakes.set(object.metadata.name, context.wake);
  first ||= called;
  last = called;
  count++;
  if (count === onCount?.at) onCount.resolve();
  return Promise.resolve(done);
}

function cpuMs(): number {
  const used = process.cpuUsage();
  return (used.user + used.system) / 1e3;
}

function stats(): Record<string, number> {
  const status = readFileSync('/proc/self/status', 'utf8');
  const kib = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
  const memory = process.memoryUsage();
  return {
    count,
    firstNs: Number(nanoseconds(first)),
    lastNs: Number(nanoseconds(last)),
    heapBytes: memory.heapUsed,
    externalBytes: memory.external,
    rssKiB: kib('VmRSS'),
    peakRssKiB: kib('VmHWM'),
    cpuMs: cpuMs(),
  };
}

function say(event: string, more: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
}

function reached(at: number): Promise<void> {
  if (count >= at) return Promise.resolve();
  return new Promise((resolve) => (onCount = { at, resolve }));
}

/** Round after round, each ending when every key was reconciled, so that the queue merges none of them. */
async function noop(rounds: number): Promise<void> {
  const rates: number[] = [];
  const before = cpuMs();
  for (let round = 0; round < rounds; round++) {
    count = 0;
    const begin = performance.now();
    const all = reached(wakes.size);
    for (const wake of wakes.values()) wake();
    await all;
    rates.push(wakes.size / ((performance.now() - begin) / 1e3));
  }
  const total = wakes.size * rounds;
  say('noop', {
    medianRound: rates.sort((a, b) => a - b)[rates.length >> 1],
    cpuUsEach: ((cpuMs() - before) * 1e3) / total,
    total,
  });
}

async function main(): Promise<void> {
  const client = await connectCluster();
  const manager = createManager({
    client,
    clock: systemClock,
    log: pino({ level: 'silent' }),
    namespace: 'default',
    controllers: [{ reconciler: { name: 'peer', type: PeerTransfers, reconcile }, concurrency: 1 }],
  });
  const startedCpu = cpuMs();
  const started = performance.now();
  await manager.start();
  const synced = { syncMs: performance.now() - started, syncCpuMs: cpuMs() - startedCpu };
  const objects = manager.cache(PeerTransfers).size;
  await reached(objects);
  say('synced', { objects, ...synced, firstReconcileOfAllMs: performance.now() - started, ...stats() });

  for await (const line of createInterface({ input: process.stdin })) {
    const [word, argument] = line.split(' ');
    if (word === 'reset') {
      count = first = last = 0;
      say('reset', {});
    } else if (word === 'stats') say('stats', stats());
    else if (word === 'gc') {
      globalThis.gc?.();
      globalThis.gc?.();
      say('gc', stats());
    } else if (word === 'noop') await noop(Number(argument));
  }
  process.exit(0);
}

await main();

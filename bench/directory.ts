import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LineCounter, parseAllDocuments } from 'yaml';
import { Services, Sources } from '../src/api/resources.ts';
import type { Service } from '../src/api/resources.ts';
import { runDirectory } from '../src/cli/run-directory.ts';
import { connectCluster } from '../src/home/cluster/cluster-client.ts';
import type { ClusterClient } from '../src/home/cluster/cluster-client.ts';
import type { ControllerDefinition } from '../src/runtime/reconciler.ts';

/**
 * A directory of manifests: how long the first sync of 10,000 files takes, against parsing them alone, and how long from
 * a saved file to a changed status as a client of the API sees it.
 *
 *     node bench/directory.ts
 */

const FILES = Number(process.env['BENCH_FILES'] ?? 10_000);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const SAVES = Number(process.env['BENCH_SAVES'] ?? 200);

function manifest(name: string, nonce: number): string {
  return `apiVersion: gridferry.io/v1alpha1
kind: Service
metadata:
  name: ${name}
  labels: { app: bench }
  annotations: { bench/nonce: "${String(nonce)}" }
spec:
  container: ${name}-${String(nonce)}
  addons:
${[0, 1, 2, 3].map((i) => `    - { name: addon-${String(i)}, container: ${'x'.repeat(63)} }`).join('\n')}
  serverRef: { name: alpha }
`;
}

/** Does what a controller does at the least: says in the status that it has seen the specification. */
const observer: ControllerDefinition<Service> = {
  reconciler: {
    name: 'observer',
    type: Services,
    reconcile(object, context) {
      context.setStatus({ ...object.status, observedGeneration: object.metadata.generation ?? 0 });
      return Promise.resolve({ kind: 'done' });
    },
  },
};

/** Reads and parses every file, with the positions that an error would need, and does nothing else. In ms. */
function parseAlone(directory: string): number {
  const started = performance.now();
  for (let i = 0; i < FILES; i++) {
    const text = readFileSync(join(directory, `s${String(i)}.yaml`), 'utf8');
    for (const document of parseAllDocuments(text, { lineCounter: new LineCounter() })) document.toJS();
  }
  return performance.now() - started;
}

/** What `gridferry run` does, until it is told to stop. Says when it began. */
async function run(directory: string, state: string): Promise<void> {
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  process.stdout.write(`${String(wallClock())}\n`);
  await runDirectory({
    source: { type: 'Directory', directory },
    once: false,
    stateDirectory: state,
    namespace: 'default',
    logLevel: 'error',
    stop: stop.signal,
    controllers: () => ({ definitions: [observer], close: () => Promise.resolve() }),
  });
}

/** Ms that processes of one machine agree on. */
function wallClock(): number {
  return performance.timeOrigin + performance.now();
}

/** Starts over an empty state; resolves when the `Source` says that everything is applied. In ms, without Node's start. */
async function firstSync(directory: string, state: string): Promise<number> {
  const running = startChild('run', directory, state);
  const client = await connected(state);
  const watching = new AbortController();
  for await (const event of client.watch(Sources, { namespace: 'default', signal: watching.signal })) {
    if (event.type === 'BOOKMARK' || event.object.status?.objects !== FILES) continue;
    const ready = event.object.status.conditions?.find(({ type }) => type === 'Ready');
    if (ready?.status === 'True') break;
  }
  const ended = wallClock();
  client.close();
  return ended - Number((await running.end()).split('\n', 1)[0]);
}

async function connected(state: string): Promise<ClusterClient> {
  for (;;) {
    try {
      const client = await connectCluster({ kubeconfig: join(state, 'kubeconfig') });
      await client.version();
      return client;
    } catch {
      await delay(10);
    }
  }
}

/** From the save to the status as a watch over HTTPS shows it, in ms, one save at a time. */
async function savedToStatus(directory: string, state: string): Promise<number[]> {
  const running = startChild('run', directory, state);
  const client = await connected(state);
  const watching = new AbortController();
  let seen = 0;
  let wake: () => void = () => undefined;
  const watched = (async () => {
    for await (const event of client.watch(Services, { namespace: 'default', signal: watching.signal })) {
      if (event.type === 'BOOKMARK') continue;
      const { metadata, status } = event.object;
      if (metadata.name !== 's0' || status?.observedGeneration !== metadata.generation) continue;
      seen = Number(metadata.annotations?.['bench/nonce']);
      wake();
    }
  })();
  const times: number[] = [];
  for (let nonce = 1; nonce <= SAVES; nonce++) {
    const started = performance.now();
    writeFileSync(join(directory, 's0.yaml'), manifest('s0', nonce));
    while (seen !== nonce) await new Promise<void>((resolve) => (wake = resolve));
    times.push(performance.now() - started);
    await delay(20 + Math.random() * 60);
  }
  watching.abort();
  await watched.catch(() => undefined);
  client.close();
  await running.end();
  return times.sort((a, b) => a - b);
}

interface Child {
  /** Tells it to end, unless it does so by itself; resolves with what it said. */
  end(): Promise<string>;
}

/** Each measurement in a process of its own, so that none inherits another's heap or compiled code. */
function startChild(what: 'parse' | 'run', directory: string, state: string): Child {
  const child = spawn(process.execPath, [import.meta.filename, what, directory, state], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const closed = once(child, 'close') as Promise<[number | null]>;
  return {
    async end() {
      if (what === 'run') child.kill('SIGTERM');
      const [code] = await closed;
      if (code !== 0) throw new Error(`${what} ended with ${String(code)}`);
      return said;
    },
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

async function compare(): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), 'gridferry-bench-'));
  try {
    const directory = join(temporary, 'manifests');
    mkdirSync(directory);
    for (let i = 0; i < FILES; i++) writeFileSync(join(directory, `s${String(i)}.yaml`), manifest(`s${String(i)}`, 0));
    const parsing: number[] = [];
    const syncing: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      parsing.push(Number(await startChild('parse', directory, '').end()));
      syncing.push(await firstSync(directory, join(temporary, `state-${String(round)}`)));
    }
    const [parsed, synced] = [median(parsing), median(syncing)];
    process.stdout.write(
      `first sync of ${String(FILES)} files: ${synced.toFixed(0)} ms, parsing alone ${parsed.toFixed(0)} ms, ` +
        `ratio ${(synced / parsed).toFixed(2)} (goal 1.5)\n`,
    );
    const small = join(temporary, 'small');
    mkdirSync(small);
    for (let i = 0; i < 100; i++) writeFileSync(join(small, `s${String(i)}.yaml`), manifest(`s${String(i)}`, 0));
    const times = await savedToStatus(small, join(temporary, 'state-save'));
    const at = (quantile: number): string => (times[Math.floor(times.length * quantile)] ?? NaN).toFixed(1);
    process.stdout.write(`saved file to status seen: p50 ${at(0.5)} ms (goal 30), p99 ${at(0.99)} ms (goal 100)\n`);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

const [what, directory = '', state = ''] = process.argv.slice(2);
switch (what) {
  case 'parse':
    process.stdout.write(String(parseAlone(directory)));
    break;
  case 'run':
    await run(directory, state);
    break;
  default:
    await compare();
}

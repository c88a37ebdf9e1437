import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Services, servedTypes } from '../src/api/resources.ts';
import type { Service } from '../src/api/resources.ts';
import { openLocalHome } from '../src/home/local-client.ts';
import { createSchemaAdmission } from '../src/home/schema-admission.ts';

/**
 * How long the program takes from its start to its end, against `node -e 0`: the same processes in turn, many times, so
 * that whatever else the machine does falls on all of them alike.
 *
 *   node bench/cli.ts [rounds, default 40]
 */

const rounds = Number(process.argv[2] ?? 40);
const program = join(import.meta.dirname, '../bin/gridferry.js');
const folder = mkdtempSync(join(tmpdir(), 'gridferry-bench-cli-'));
const stateDir = join(folder, 'state');

const home = openLocalHome({ stateDir, types: servedTypes, admission: createSchemaAdmission() });
for (let index = 0; index < 10; index++) {
  await home.create(Services, {
    ...{ apiVersion: 'gridferry.io/v1alpha1', kind: 'Service' },
    metadata: { name: `service-${index}`, namespace: 'default' },
    spec: { container: 'web', serverRef: { name: 'alpha' } },
  } satisfies Service);
}
home.close();

const cases = [
  { name: 'node -e 0', args: ['-e', '0'], limit: 1 },
  { name: 'gridferry --help', args: [program, '--help'], limit: 2 },
  { name: 'gridferry get all', args: [program, 'get', 'all', '--state', stateDir], limit: 4 },
] as const;

/** Wall time of one run, in ms. */
function time(args: readonly string[]): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'cache') },
  });
  if (status !== 0) throw new Error(`${args.join(' ')} failed: ${stderr}`);
  return performance.now() - started;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

const times = new Map<string, number[]>(cases.map(({ name }) => [name, []]));
// The first round fills the compile cache, as the first use after an installation does.
for (const { args } of cases) time(args);
for (let round = 0; round < rounds; round++) for (const { name, args } of cases) times.get(name)?.push(time(args));

const base = times.get(cases[0].name) ?? [];
console.log(`| what | p10 ms | p50 ms | p90 ms | ratio of p50 | goal |\n| --- | --- | --- | --- | --- | --- |`);
let missed = false;
for (const { name, limit } of cases) {
  const own = times.get(name) ?? [];
  const ratio = quantile(own, 0.5) / quantile(base, 0.5);
  if (ratio > limit) missed = true;
  const [p10, p50, p90] = [0.1, 0.5, 0.9].map((share) => quantile(own, share).toFixed(0));
  console.log(`| ${name} | ${p10} | ${p50} | ${p90} | ${ratio.toFixed(2)} | ≤ ${limit} |`);
}
rmSync(folder, { recursive: true });
if (missed) process.exitCode = 1;

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { checkLicences } from './check-licences.ts';
import { checkErrorCodes } from './check-error-codes.ts';

/**
 * Runs the checks and tests: `static`, `unit`, `fleet`, or all of them. Ends with one line that counts the tests, and
 * fails when none ran.
 */

const root = join(import.meta.dirname, '..');
const parts = process.argv.slice(2);
const wanted = (part: string): boolean => parts.length === 0 || parts.includes(part);
const totals = { passed: 0, failed: 0, skipped: 0 };
let broken = false;

function run(title: string, program: string, args: readonly string[]): void {
  const started = Date.now();
  process.stdout.write(`\n## ${title}\n`);
  const result = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  const ok = result.status === 0;
  process.stdout.write(`${ok ? 'ok' : 'FAILED'} ${title} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`);
  if (!ok) broken = true;
}

function bin(name: string): string {
  return join(root, 'node_modules/.bin', name);
}

/** Runs test files and adds up what the runner counts at its end; a run that counts nothing has failed. */
async function runTap(title: string, files: readonly string[], jobs: number, timeoutSeconds: number): Promise<void> {
  const started = Date.now();
  process.stdout.write(`\n## ${title}\n`);
  const args = [`--jobs=${String(jobs)}`, `--timeout=${String(timeoutSeconds)}`, '--reporter=terse', ...files];
  const runner = spawn(bin('tap'), args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let tail = '';
  runner.stdout.on('data', (chunk: Buffer) => {
    process.stdout.write(chunk);
    tail = (tail + chunk.toString()).slice(-4096);
  });
  const [code] = (await once(runner, 'close')) as [number | null];
  const summary = /# \{ total: (?<total>\d+)(?<rest>[^}]*)\}/.exec(stripVTControlCharacters(tail))?.groups;
  const counted = (what: string): number =>
    Number(new RegExp(`${what}: (\\d+)`).exec(summary?.['rest'] ?? '')?.[1] ?? 0);
  totals.passed += counted('pass');
  totals.failed += counted('fail');
  totals.skipped += counted('skip') + counted('todo');
  const ok = code === 0 && Number(summary?.['total'] ?? 0) > 0;
  if (!ok) broken = true;
  process.stdout.write(`${ok ? 'ok' : 'FAILED'} ${title} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`);
}

if (wanted('static')) {
  run('format', bin('prettier'), ['--check', '--log-level', 'warn', '.']);
  run('types', process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.']);
  run('types, TypeScript 7', process.execPath, [join(root, 'node_modules/typescript7/bin/tsc'), '-p', '.']);
  run('lint', bin('eslint'), ['--max-warnings=0', '.']);
  run('import direction', bin('depcruise'), ['--config', '.dependency-cruiser.cjs', 'src', 'controllers', 'bin']);
  run('unused code', bin('knip'), []);
  run('generated files', process.execPath, ['scripts/generate.ts', '--check']);
  for (const [title, problems] of [
    ['licences', checkLicences(root)],
    ['error codes', checkErrorCodes(root)],
  ] as const) {
    process.stdout.write(`\n## ${title}\n${problems.length === 0 ? 'ok' : `FAILED\n  ${problems.join('\n  ')}`}\n`);
    if (problems.length > 0) broken = true;
  }
}

// On its first run in a checkout, tap would still load the plugin that .taprc leaves out: it takes effect once built.
if (wanted('unit') || wanted('fleet')) run('test runner', bin('tap'), ['build']);
const tests = globSync('test/**/*.test.ts', { cwd: root }).sort();
const isFleet = (file: string): boolean => file.startsWith('test/fleet/');
if (wanted('unit'))
  await runTap(
    'unit tests',
    tests.filter((file) => !isFleet(file)),
    2,
    120,
  );
// One at a time: each starts servers of its own, and two cores have enough to do with one fleet.
if (wanted('fleet')) await runTap('fleet tests', tests.filter(isFleet), 1, 900);

const { passed, failed, skipped } = totals;
if (wanted('unit') || wanted('fleet')) {
  if (passed + failed === 0) broken = true;
  process.stdout.write(`\n${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped\n`);
}
process.exitCode = broken || failed > 0 ? 1 : 0;

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { checkLicences } from './check-licences.ts';
import { checkErrorCodes } from './check-error-codes.ts';
import { checkRunbook } from './check-runbook.ts';
import { startControlPlane } from './control-plane.ts';

/**
 * Runs the checks and tests: `static`, `unit`, `conformance`, `fleet`, or all of them. Ends with one line that counts the
 * tests, and fails when none ran.
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

interface TapSettings {
  /** Test files at a time. */
  readonly jobs: number;
  /** For one test file. */
  readonly timeoutSeconds: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs test files and adds up what the runner counts at its end; a run that counts nothing has failed. */
async function runTap(title: string, files: readonly string[], settings: TapSettings): Promise<void> {
  const { jobs, timeoutSeconds, env } = settings;
  const started = Date.now();
  process.stdout.write(`\n## ${title}\n`);
  const args = [`--jobs=${String(jobs)}`, `--timeout=${String(timeoutSeconds)}`, '--reporter=terse', ...files];
  const runner = spawn(bin('tap'), args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
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
    ['runbook', checkRunbook(root)],
  ] as const) {
    process.stdout.write(`\n## ${title}\n${problems.length === 0 ? 'ok' : `FAILED\n  ${problems.join('\n  ')}`}\n`);
    if (problems.length > 0) broken = true;
  }
}

const testParts = ['unit', 'conformance', 'fleet'];
// On its first run in a checkout, tap would still load the plugin that .taprc leaves out: it takes effect once built.
if (testParts.some(wanted)) run('test runner', bin('tap'), ['build']);
const tests = globSync('test/**/*.test.ts', { cwd: root }).sort();
const below = (folder: string): string[] => tests.filter((file) => file.startsWith(`test/${folder}/`));
if (wanted('unit')) {
  const others = new Set([...below('conformance'), ...below('fleet')]);
  await runTap(
    'unit tests',
    tests.filter((file) => !others.has(file)),
    { jobs: 2, timeoutSeconds: 120 },
  );
}
if (wanted('conformance') || wanted('fleet')) {
  const controlPlane = await startControlPlane(root);
  try {
    const { env } = controlPlane;
    if (wanted('conformance'))
      await runTap('conformance tests', below('conformance'), { jobs: 2, timeoutSeconds: 900, env });
    // Each has servers and a subnet of its own, and waits more than it works.
    if (wanted('fleet')) await runTap('fleet tests', below('fleet'), { jobs: 2, timeoutSeconds: 900, env });
  } finally {
    controlPlane.stop();
  }
}

const { passed, failed, skipped } = totals;
if (testParts.some(wanted)) {
  if (passed + failed === 0) broken = true;
  process.stdout.write(`\n${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped\n`);
}
process.exitCode = broken || failed > 0 ? 1 : 0;

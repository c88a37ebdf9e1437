import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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

function run(title: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): boolean {
  const started = Date.now();
  process.stdout.write(`\n## ${title}\n`);
  const result = spawnSync(program, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  const ok = result.status === 0;
  process.stdout.write(`${ok ? 'ok' : 'FAILED'} ${title} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`);
  if (!ok) broken = true;
  return ok;
}

function bin(name: string): string {
  return join(root, 'node_modules/.bin', name);
}

function runTap(title: string, files: readonly string[], jobs: number, timeoutSeconds: number): void {
  if (files.length === 0) return;
  const report = join(root, '.tap', `${title.replaceAll(' ', '-')}.tap`);
  run(title, bin('tap'), [
    `--jobs=${String(jobs)}`,
    `--timeout=${String(timeoutSeconds)}`,
    '--reporter=terse',
    `--output-file=${report}`,
    ...files,
  ]);
  count(report);
}

/** Adds what a TAP file says at its end; a missing or empty one counts as a failure. */
function count(report: string): void {
  let text = '';
  try {
    text = readFileSync(report, 'utf8');
  } catch {
    // The runner died before it wrote anything: the check below says so.
  }
  let tests = 0;
  for (const line of text.split('\n')) {
    const match = /^( {4})*(not )?ok \d+(?<rest>.*)$/.exec(line);
    if (match === null || /\{$/.test(line) || /# time=.*\{?$/.test(match.groups?.['rest'] ?? '')) continue;
    tests++;
    if (/# SKIP/i.test(line)) totals.skipped++;
    else if (match[2] === undefined) totals.passed++;
    else totals.failed++;
  }
  if (tests === 0) {
    process.stdout.write(`no test ran: ${report} counts none\n`);
    broken = true;
  }
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

const tests = globSync('test/**/*.test.ts', { cwd: root }).sort();
const isFleet = (file: string): boolean => file.startsWith('test/fleet/');
if (wanted('unit')) runTap('unit tests', tests.filter((file) => !isFleet(file)), 2, 120);
// One at a time: each starts servers of its own, and two cores have enough to do with one fleet.
if (wanted('fleet')) runTap('fleet tests', tests.filter(isFleet), 1, 900);

const { passed, failed, skipped } = totals;
if (wanted('unit') || wanted('fleet')) {
  if (passed + failed === 0) broken = true;
  process.stdout.write(`\n${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped\n`);
}
process.exitCode = broken || failed > 0 ? 1 : 0;

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { startFirst, stopFirst, wayBack } from '../controllers/transfer/plan.ts';
import { describeFailure, namesOf, profile, runAll } from '../test/faults/matrix.ts';
import type { Kind, Size } from '../test/faults/matrix.ts';
import { faults } from '../test/faults/faults.ts';
import type { Result } from '../test/faults/run-schedule.ts';
import { scenarios } from '../test/faults/scenario.ts';

/**
 * Runs the fault matrix in the simulator and writes docs/faults.md from what came out.
 *
 * - `node scripts/fault-matrix.ts`: the standard schedules, as the tests run them. `--full`: all there are.
 * - `--check`: writes nothing, and fails when the page would be another one. The same schedules give the same page.
 *
 * Ends with 1 when a schedule breaks a rule.
 */

const root = join(import.meta.dirname, '..');
const page = join(root, 'docs/faults.md');
const realResults = join(root, 'test/faults/real-results.json');
const kinds: readonly Kind[] = ['kill', 'frozen', 'cancel', 'cell', 'random'];

/** One fault on the real fleet: written by the tests of test/fleet. */
interface RealResult {
  readonly fault: string;
  readonly when: string;
  readonly outcome: string;
  readonly test: string;
}

/** How the schedules of one fault in one phase ended. */
type Tally = Map<string, number>;

const columns = [
  'Preparing',
  'Uploading',
  'Restoring',
  'DNSCutover',
  'Verifying',
  'Completed',
  'Way back',
  'Undo',
] as const;
type Column = (typeof columns)[number];

const signs: Readonly<Record<Result['outcome'], string>> = {
  Completed: 'done',
  RolledBack: 'back',
  Undone: 'undone',
  'Failed after cutover': 'kept',
  Waits: 'waits',
  Deleted: 'deleted',
};

const phases = new Map([...stopFirst, ...startFirst].map(({ name, phase }): [string, Column] => [name, phase]));
for (const { name } of wayBack) phases.set(name, 'Way back');

function columnOf({ struckIn }: Result): Column | undefined {
  if (struckIn === undefined) return undefined;
  return struckIn.way === 'undo' ? 'Undo' : phases.get(struckIn.step);
}

const [...flags] = process.argv.slice(2);
const check = flags.includes('--check');
const written = existsSync(page) ? readFileSync(page, 'utf8') : '';
// A check repeats what the page says that was run.
const isFull = flags.includes('--full') || (check && written.includes('`--full`,'));
const size: Size = isFull ? 'full' : 'standard';

const profiles = await profile();
const table = new Map<string, Map<Column, Tally>>();
const counted = new Map<Kind, number>();
const totals: Tally = new Map();
let retried = 0;
let broken = 0;
let runs = 0;

for (const kind of kinds) {
  const names = namesOf(kind, size, profiles);
  counted.set(kind, names.length);
  for await (const result of runAll(names, profiles)) {
    runs++;
    if (runs % 200 === 0) process.stderr.write(`${String(runs)} schedules\n`);
    if (result.violations.length > 0) {
      broken++;
      process.stderr.write(`${describeFailure(result)}\n`);
    }
    if (result.attempts > 1) retried++;
    count(totals, signs[result.outcome]);
    tally(kind, result);
  }
}

/** Schedules with several faults at random places are counted in their own row: what did it cannot be told apart. */
function tally(kind: Kind, result: Result): void {
  const column = columnOf(result);
  if (column === undefined) return;
  const [first] = result.schedule.strikes;
  const row = kind === 'random' ? 'several of these at random' : (first?.fault ?? '');
  const cells = table.get(row) ?? new Map<Column, Tally>();
  table.set(row, cells);
  const cell = cells.get(column) ?? new Map<string, number>();
  cells.set(column, cell);
  count(cell, signs[result.outcome]);
}

function count(into: Tally, key: string): void {
  into.set(key, (into.get(key) ?? 0) + 1);
}

function show(cell: Tally | undefined): string {
  if (cell === undefined) return '';
  return [...cell]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([sign, number]) => `${String(number)} ${sign}`)
    .join(', ');
}

function rows(): string {
  const names = [...faults.map(({ name }) => name), 'several of these at random'].filter((name) => table.has(name));
  const head = `| fault | ${columns.join(' | ')} |\n| --- | ${columns.map(() => '---').join(' | ')} |`;
  const lines = names.map(
    (name) => `| ${name} | ${columns.map((column) => show(table.get(name)?.get(column))).join(' | ')} |`,
  );
  return [head, ...lines].join('\n');
}

function realSection(): string {
  if (!existsSync(realResults))
    return 'None recorded: see the tests in `test/fleet` that cut connections, kill and reboot.';
  const results = JSON.parse(readFileSync(realResults, 'utf8')) as readonly RealResult[];
  const lines = results.map(({ fault, when, outcome, test }) => `| ${fault} | ${when} | ${outcome} | \`${test}\` |`);
  return ['| fault | when | how it ended | test |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

const text = `# Faults

\`\`\`sh
node scripts/fault-matrix.ts --check           # runs the schedules again, and compares with this page
node test/faults/replay.ts random/119          # one schedule, with everything that happened
FAULTS=full npm run test:unit                  # every effect of every scenario instead of a sample
\`\`\`

This page is written by \`scripts/fault-matrix.ts\` from a run${isFull ? ' (`--full`, all schedules)' : ''}: do not edit it.

A transfer has to survive anything at any moment. So the real controller, with its real plan and steps, is run against
two model servers (Docker engine, files, jobs, keys, locks), a DNS provider, a home, and clients that write all the time,
on a clock that only the simulator moves. A schedule says which faults strike at which effect of which step; the same
schedule always gives the same run. Afterwards the servers are looked at by code that shares nothing with the controller:

- every write that a client was told is stored is on the side that serves in the end, and nothing else is;
- containers of a service with data never run on both sides at once;
- a transfer that did not commit leaves the source as it was: running, restart policy, data, DNS, image tags;
- nothing of ours is left on a server: containers, volumes, networks, folders, locks, keys, connections, jobs, forwards
  (but for the forward within its time, and what the user is told is kept);
- no planted secret is in a status, an event, a log or on a command line;
- it ends, or says what it waits for; and what it says is so.

## What was run

${String(runs)} schedules over ${String(scenarios.length)} scenarios (${scenarios.map(({ name }) => name).join('; ')}):

| schedules | what strikes |
| --- | --- |
| ${String(counted.get('kill') ?? 0)} | the controller is killed before or after an effect or a write of its status, and started again |
| ${String(counted.get('frozen') ?? 0)} | the leader is frozen at an effect, the next one is told to cancel, the first one thaws |
| ${String(counted.get('cancel') ?? 0)} | the user cancels at an effect |
| ${String(counted.get('cell') ?? 0)} | one fault of the table in one step |
| ${String(counted.get('random') ?? 0)} | up to three faults anywhere, 40 % of them while the transfer is being undone (seeds 1 to ${String(counted.get('random') ?? 0)}) |

They ended: ${show(totals)}. In ${String(retried)} of them a step was begun more than once. ${broken === 0 ? 'No schedule broke a rule.' : `${String(broken)} schedules broke a rule.`}

That the rules can be broken is tested with mistakes put into the steps on purpose (\`test/faults/mutants.ts\`): each shows
within 300 schedules.

## How it ended

By the phase in which the first fault struck. _done_: Completed. _undone_: Failed or Cancelled, the source is as before.
_kept_: Failed after the cutover, the service runs at the target. _back_: RolledBack, as the user asked in that scenario.
_deleted_: the user deleted the Transfer. _waits_: it says what it waits for.

${rows()}

## On real servers

${realSection()}

## What the model leaves out

Bytes inside files (a file is copied whole or not at all), rsync's and tar's own errors, sshd's limits, several transfers at
once, Docker's network internals, and IPv6. These are tested on the fleet (\`test/fleet\`).
`;

const options = await resolveConfig(page);
const formatted = await format(text, { ...options, parser: 'markdown' });
if (check && formatted !== written) {
  process.stderr.write('docs/faults.md is not what this run gives: run node scripts/fault-matrix.ts\n');
  process.exitCode = 1;
}
if (!check) writeFileSync(page, formatted);
if (broken > 0) process.exitCode = 1;
process.stdout.write(`${String(runs)} schedules: ${show(totals)}; ${String(broken)} broke a rule\n`);

import { runSchedule } from './run-schedule.ts';
import { profile, scheduleNamed } from './schedules.ts';

/** Runs one schedule again and prints everything that happened: `node test/faults/replay.ts random/119`. */

const [name] = process.argv.slice(2);
if (name === undefined) {
  process.stderr.write('Which schedule? For instance: node test/faults/replay.ts random/119\n');
  process.exit(2);
}
const schedule = scheduleNamed(name, await profile());
const { outcome, message, violations, trace } = await runSchedule(schedule);
for (const line of trace) process.stdout.write(`${line}\n`);
for (const strike of schedule.strikes) process.stdout.write(`strike: ${JSON.stringify(strike)}\n`);
process.stdout.write(`${outcome}: ${message}\n`);
for (const violation of violations) process.stdout.write(`VIOLATION: ${violation}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;

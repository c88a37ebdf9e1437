import { runSchedule } from './run-schedule.ts';
import type { Result } from './run-schedule.ts';
import { cellNames, everywhere, profile, randomNames, scheduleNamed } from './schedules.ts';
import type { Profiles, ScheduleName } from './schedules.ts';

/** Which schedules: the standard ones run in every test run, the full ones go through every effect of every scenario. */
export type Size = 'standard' | 'full';

export type Kind = 'kill' | 'cancel' | 'frozen' | 'cell' | 'random';

const strides: Readonly<Record<Size, Readonly<Record<'kill' | 'cancel' | 'frozen' | 'cell', number>>>> = {
  standard: { kill: 6, cancel: 11, frozen: 17, cell: 5 },
  full: { kill: 1, cancel: 2, frozen: 3, cell: 1 },
};

const randomCount: Readonly<Record<Size, number>> = { standard: 1_200, full: 5_000 };

export function namesOf(kind: Kind, size: Size, profiles: Profiles): ScheduleName[] {
  if (kind === 'random') return randomNames(randomCount[size]);
  const stride = strides[size][kind];
  return kind === 'cell' ? cellNames(profiles, 3, stride) : everywhere(kind, profiles, stride);
}

/** A schedule that broke a rule, ready to be told. */
export function describeFailure({ schedule, violations, trace, message, outcome }: Result): string {
  return [
    `${schedule.name} (${outcome}: ${message})`,
    ...violations.map((violation) => `  VIOLATION: ${violation}`),
    ...schedule.strikes.map((strike) => `  strike: ${JSON.stringify(strike)}`),
    `  again: node test/faults/replay.ts '${schedule.name}'`,
    ...trace.slice(-40).map((line) => `    ${line}`),
  ].join('\n');
}

/** Runs schedules one after the other. */
export async function* runAll(names: readonly ScheduleName[], profiles: Profiles): AsyncGenerator<Result> {
  for (const name of names) yield await runSchedule(scheduleNamed(name, profiles));
}

export { profile };

import type { Mutant } from './mutants.ts';
import { runSchedule } from './run-schedule.ts';
import { cellNames, everywhere, randomNames, scheduleNamed } from './schedules.ts';
import type { Profiles, ScheduleName } from './schedules.ts';

/** Runs schedules with a mistake in the plan until it shows; answers how, and after how many. */
export async function caughtBy(mutant: Mutant, profiles: Profiles, most: number): Promise<string | undefined> {
  for (const [n, name] of schedulesFor(mutant, profiles).slice(0, most).entries()) {
    const { mutate, scenario } = mutant;
    const options = { mutate, ...(scenario === undefined ? {} : { scenario }) };
    const { violations } = await runSchedule(scheduleNamed(name, profiles), options);
    const shown = violations.find((violation) => mutant.shows.test(violation));
    if (shown !== undefined) return `after ${String(n + 1)} schedules: ${shown}`;
  }
  return undefined;
}

function schedulesFor({ fault, kind, step }: Mutant, profiles: Profiles): ScheduleName[] {
  if (kind !== undefined) return everywhere(kind, profiles, 1, step);
  if (fault === undefined) return randomNames(300);
  const names = cellNames(profiles, 10).filter((name) => name.startsWith(`cell/${fault}/${step ?? ''}`));
  // Every step once, before any step twice.
  return names.toSorted((a, b) => Number(a.at(-1)) - Number(b.at(-1)));
}

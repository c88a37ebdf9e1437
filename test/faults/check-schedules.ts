import type { Test } from 'tap';
import { describeFailure, namesOf, profile, runAll } from './matrix.ts';
import type { Kind, Size } from './matrix.ts';

/** How many schedules that break a rule are told in full. */
const MOST_TOLD = 3;

/** Runs the schedules of these kinds; `FAULTS=full` runs all there are. */
export async function checkSchedules(t: Test, ...kinds: readonly Kind[]): Promise<void> {
  const size: Size = process.env['FAULTS'] === 'full' ? 'full' : 'standard';
  const profiles = await profile();
  let failures = 0;
  for (const kind of kinds) {
    const names = namesOf(kind, size, profiles);
    for await (const result of runAll(names, profiles)) {
      if (result.violations.length === 0) continue;
      failures++;
      if (failures <= MOST_TOLD) t.fail(describeFailure(result));
    }
    t.ok(names.length > 0, `${String(names.length)} schedules of kind ${kind}`);
  }
  t.equal(failures, 0, 'no schedule breaks a rule');
}

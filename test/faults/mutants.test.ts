import t from 'tap';
import { mutants } from './mutants.ts';
import { caughtBy } from './mutants-run.ts';
import { profile } from './schedules.ts';

/** A mistake has to show within so many schedules. */
const MOST = 300;

void t.test('the checks see mistakes in the steps', async (t) => {
  const profiles = await profile();
  for (const mutant of mutants) {
    const caught = await caughtBy(mutant, profiles, MOST);
    t.ok(caught !== undefined, `${mutant.name}: ${caught ?? 'not seen'}`);
  }
});

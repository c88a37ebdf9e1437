import t from 'tap';
import { runSchedule } from './run-schedule.ts';
import { profile, scheduleNamed } from './schedules.ts';

void t.test('the same schedule always gives the same trace', async (t) => {
  const profiles = await profile();
  for (const name of ['random/3', 'random/17', 'frozen/0/60/before', 'kill/4/300/after']) {
    const first = await runSchedule(scheduleNamed(name, profiles));
    const second = await runSchedule(scheduleNamed(name, profiles));
    t.same(second.trace, first.trace, name);
    t.ok(first.trace.length > 50, `${name} did something`);
  }
});

import t from 'tap';
import { checkSchedules } from './check-schedules.ts';

void t.test('the user may cancel at every effect, also while an older leader is frozen in it', (t) =>
  checkSchedules(t, 'cancel', 'frozen'),
);

import t from 'tap';
import { checkSchedules } from './check-schedules.ts';

void t.test('the controller may die before and after every effect', (t) => checkSchedules(t, 'kill'));

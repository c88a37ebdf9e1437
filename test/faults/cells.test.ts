import t from 'tap';
import { checkSchedules } from './check-schedules.ts';

void t.test('every fault may strike in every step', (t) => checkSchedules(t, 'cell'));

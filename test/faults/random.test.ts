import t from 'tap';
import { checkSchedules } from './check-schedules.ts';

void t.test('several faults may strike anywhere', (t) => checkSchedules(t, 'random'));

import t from 'tap';
import type { Test } from 'tap';
import { describeFailure } from './matrix.ts';
import { runSchedule } from './run-schedule.ts';
import type { Schedule, Strike } from './run-schedule.ts';
import { everywhere, profile, scheduleNamed } from './schedules.ts';

/** Schedules that broke a rule once, by what was wrong then. */

const profiles = await profile();

async function holds(t: Test, schedules: readonly Schedule[]): Promise<void> {
  t.ok(schedules.length > 0, 'there are such schedules');
  for (const schedule of schedules) {
    const result = await runSchedule(schedule);
    if (result.violations.length > 0) t.fail(describeFailure(result));
    t.ok(result.struckIn !== undefined, `${schedule.name} struck`);
  }
}

function throughout(kind: 'cancel' | 'frozen', step: string, stride: number): Schedule[] {
  return everywhere(kind, profiles, stride, step).map((name) => scheduleNamed(name, profiles));
}

/** Cells in which the fault stays until the transfer is over, or ten minutes. */
function lasting(fault: string, ...steps: readonly string[]): Schedule[] {
  return steps.map((step) => scheduleNamed(`cell/${fault}/${step}/2`, profiles));
}

function strike(fault: string, step: string, nth: number): Strike {
  return { fault, when: { step, way: 'do', nth, at: 'before' }, lastsMs: 0 };
}

void t.test('a target container that the user removed does not hold up bringing the data back', (t) =>
  holds(t, [
    {
      name: 'removed, then cancelled',
      ...{ seed: 1, scenario: 0 },
      strikes: [strike('user removes the target container by hand', 'soak', 1), strike('user cancels', 'soak', 2)],
    },
  ]),
);

void t.test('what clients with the old address write at the source survives a way back that is taken back', (t) =>
  holds(t, throughout('cancel', 'return-start', 3)),
);

void t.test('a process that dies while it looks for the way back leaves nothing open', (t) =>
  holds(t, throughout('frozen', 'return-preflight', 5)),
);

void t.test('a source that cannot be reached for long is stopped all the same once it can be', async (t) => {
  const [schedule] = lasting('no way between controller and source', 'stop-source');
  const result = await runSchedule(schedule!);
  t.same(result.violations, []);
  t.equal(result.outcome, 'Completed');
  t.ok(result.tookMs > 600_000, 'it waited for the source');
});

void t.test('nothing is written at the source that a way back without the data could still take back', (t) =>
  holds(t, [...throughout('cancel', 'return-start', 3), ...throughout('cancel', 'return-health', 2)]),
);

void t.test('a target container that is removed during the way back ends it, and is told', async (t) => {
  for (const scenario of [4, 5]) {
    const result = await runSchedule({
      ...{ name: 'removed, then cancelled on the way back', seed: 1, scenario },
      strikes: [
        strike('user removes the target container by hand', 'return-quiesce', 3),
        strike('user cancels', 'return-quiesce', 4),
      ],
    });
    t.same(result.violations, []);
    t.equal(result.outcome, 'Failed after cutover');
    t.match(result.message, /somebody removed web on server beta.*make it again/);
  }
});

void t.test('a cancel that comes when everything is being given back comes too late', async (t) => {
  const schedules = throughout('cancel', 'release', 9).filter(({ scenario }) => scenario < 4);
  for (const schedule of schedules) t.equal((await runSchedule(schedule)).outcome, 'Completed', schedule.name);
});

void t.test('what stays on a server that is away at the end goes when it is back', (t) =>
  holds(t, lasting('no way between controller and source', 'release', 'return-release', 'return-clean-target')),
);

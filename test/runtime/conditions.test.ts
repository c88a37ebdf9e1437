import t from 'tap';
import { findCondition, isTrue, setCondition } from '../../src/runtime/conditions.ts';

const NOON = Date.parse('2026-01-01T12:00:00.750Z');
const ready = { type: 'Ready', status: 'True', reason: 'AllGood', message: 'ready', observedGeneration: 1 } as const;

void t.test('a new condition is added with the time to the second', (t) => {
  t.same(setCondition(undefined, ready, NOON), [{ ...ready, lastTransitionTime: '2026-01-01T12:00:00Z' }]);
  t.end();
});

void t.test('lastTransitionTime moves only when the status changes', (t) => {
  const first = setCondition([], ready, NOON);
  const reworded = setCondition(first, { ...ready, reason: 'StillGood', observedGeneration: 2 }, NOON + 60_000);
  t.same(reworded, [
    { ...ready, reason: 'StillGood', observedGeneration: 2, lastTransitionTime: '2026-01-01T12:00:00Z' },
  ]);
  const flipped = setCondition(reworded, { ...ready, status: 'False' }, NOON + 60_000);
  t.equal(findCondition(flipped, 'Ready')?.lastTransitionTime, '2026-01-01T12:01:00Z');
  t.end();
});

void t.test('the given list is left alone and keeps its order', (t) => {
  const list = Object.freeze(setCondition(setCondition([], ready, NOON), { ...ready, type: 'Reachable' }, NOON));
  const next = setCondition(list, { ...ready, status: 'Unknown' }, NOON);
  t.same(
    next.map(({ type, status }) => [type, status]),
    [
      ['Ready', 'Unknown'],
      ['Reachable', 'True'],
    ],
  );
  t.ok(isTrue(list, 'Ready'));
  t.notOk(isTrue(next, 'Ready'));
  t.notOk(isTrue(undefined, 'Ready'));
  t.end();
});

void t.test('a reason that is not CamelCase is refused', (t) => {
  for (const reason of ['', 'not camel', 'lowerCase', 'With-Dash', 'With:Colon']) {
    t.throws(() => setCondition([], { ...ready, reason }, NOON), { code: 'GF_CONDITION_REASON' });
  }
  t.end();
});

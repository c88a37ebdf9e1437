import t from 'tap';
import { deepEqual } from '../../src/runtime/structural.ts';

void t.test('two JSON values are equal when they would be the same on the wire', (t) => {
  t.ok(deepEqual({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 }));
  t.ok(deepEqual({ a: undefined, b: 1 }, { b: 1 }));
  t.ok(deepEqual({ b: 1 }, { a: undefined, b: 1 }));
  t.notOk(deepEqual({ a: 1 }, { a: 1, b: 2 }));
  t.notOk(deepEqual({ a: undefined, b: 1 }, { b: 1, c: 1 }));
  t.notOk(deepEqual([1, 2], [2, 1]));
  t.notOk(deepEqual([], {}));
  t.notOk(deepEqual({}, []));
  t.notOk(deepEqual(null, {}));
  t.notOk(deepEqual(undefined, {}));
  t.notOk(deepEqual({ a: 1 }, { toString: 1 }));
  t.notOk(deepEqual({ constructor: Object }, {}));
  t.end();
});

import t from 'tap';
import { jsonCopy, jsonEqual, sharingParts } from '../../src/home/json.ts';
import { seededRandom } from '../support/seeded-random.ts';

const throughJson = (value: unknown): unknown => {
  const json = JSON.stringify(value) as string | undefined;
  return json === undefined ? undefined : JSON.parse(json);
};

void t.test('a copy is what JSON would make of the value', async (t) => {
  class Point {
    readonly x = 1;
  }
  const bare = Object.assign(Object.create(null) as object, { z: 1 });
  const hostile: unknown = JSON.parse('{"__proto__":{"polluted":true},"list":[1,null,{"__proto__":2}]}');
  const values: unknown[] = [
    ...[0, -0, 1.5, 2 ** 60, NaN, Infinity, 'text', '', true, null, undefined, () => 1],
    [undefined, () => 1, Symbol('none'), NaN, new Date(0), [[]]],
    { absent: undefined, code: () => 1, date: new Date(5), point: new Point(), map: new Map([[1, 2]]), zero: -0 },
    { toJSON: () => ({ told: 'by itself' }) },
    bare,
    hostile,
  ];
  for (const value of values) {
    const copy = jsonCopy(value);
    t.strictSame(copy, throughJson(value));
    t.equal(JSON.stringify(copy), JSON.stringify(value));
  }
  t.equal(({} as { polluted?: boolean }).polluted, undefined);
});

void t.test('a copy shares nothing with its original', async (t) => {
  const original = { list: [{ name: 'a' }] };
  const copy = jsonCopy(original);
  copy.list[0]!.name = 'b';
  t.same(original, { list: [{ name: 'a' }] });
});

void t.test('what JSON cannot hold is refused', async (t) => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = [cycle];
  t.throws(() => jsonCopy(cycle), TypeError);
  t.throws(() => jsonCopy({ count: 1n }), TypeError);
});

void t.test('parts that are as they were are told by their identity', async (t) => {
  const old = { spec: { a: [1, 2], b: { c: 'x' } }, status: { d: null } };
  const next = { status: { d: 1 }, spec: { b: { c: 'x' }, a: [1, 2] }, more: true };
  const shared = sharingParts(next, old) as typeof next;
  t.same(shared, next);
  t.equal(shared.spec, old.spec);
  t.not(shared.status, old.status);
  t.equal(sharingParts(jsonCopy(old), old), old);
});

void t.test('sharing changes neither value, for any two of them', async (t) => {
  const random = seededRandom(1);
  const below = (limit: number): number => Math.floor(random() * limit);
  const value = (depth: number): unknown => {
    const kind = below(depth > 3 ? 3 : 6);
    if (kind < 3) return [null, 1, 'x'][kind];
    if (kind === 3) return Array.from({ length: below(4) }, () => value(depth + 1));
    const names = ['a', 'b', '__proto__', 'c'].filter(() => random() < 0.5);
    const members = names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(value(depth + 1))}`);
    return JSON.parse(`{${members.join(',')}}`) as unknown;
  };
  const wrong: string[] = [];
  let equal = 0;
  for (let i = 0; i < 2000; i++) {
    const kept = value(0);
    const [next, old] = [
      { kept, other: value(1) },
      { kept: jsonCopy(kept), other: value(1) },
    ];
    const before = JSON.stringify([next, old]);
    const shared = sharingParts(next, old) as typeof next;
    const isRight =
      jsonEqual(shared, next) &&
      jsonEqual(next, shared) &&
      shared.kept === old.kept &&
      (shared === old) === jsonEqual(next, old) &&
      JSON.stringify([next, old]) === before;
    if (!isRight) wrong.push(before);
    if (shared === old) equal++;
  }
  t.same(wrong, []);
  t.ok(equal > 100 && equal < 1900, 'both cases occurred');
});

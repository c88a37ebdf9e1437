import t from 'tap';
import {
  difference,
  EMPTY,
  forEachPath,
  intersection,
  parseFieldSet,
  recursiveDifference,
  union,
} from '../../../src/home/managed-fields/field-set.ts';
import type { FieldSet } from '../../../src/home/managed-fields/field-set.ts';
import { keyElement, pathText, singleKeyElement, valueElement } from '../../../src/home/managed-fields/path-element.ts';
import { seededRandom } from '../../support/seeded-random.ts';

const leaf = {};

void t.test('a set is the sum, the rest and the common part of others', (t) => {
  const a = { 'f:a': { '.': leaf, 'f:x': leaf, 'f:y': leaf }, 'f:b': leaf };
  const b = { 'f:a': { 'f:x': leaf }, 'f:c': leaf };
  t.strictSame(union(a, b), { ...a, 'f:c': leaf });
  t.strictSame(difference(a, b), { 'f:a': { '.': leaf, 'f:y': leaf }, 'f:b': leaf });
  t.strictSame(intersection(a, b), { 'f:a': { 'f:x': leaf } });
  t.end();
});

void t.test('a parent and its child are different fields', (t) => {
  const parent = { 'f:a': leaf };
  const child = { 'f:a': { 'f:x': leaf } };
  t.strictSame(difference(parent, child), parent);
  t.strictSame(difference(child, parent), child);
  t.strictSame(union(parent, child), { 'f:a': { '.': leaf, 'f:x': leaf } });
  t.strictSame(intersection(parent, child), {});
  t.strictSame(recursiveDifference(child, parent), {});
  t.strictSame(difference(union(parent, child), child), parent);
  t.end();
});

void t.test('an operation that changes nothing gives back its operand itself', (t) => {
  const set = { 'f:a': { '.': leaf, 'f:x': leaf }, 'f:b': leaf };
  t.equal(union(set, { 'f:a': { 'f:x': leaf } }), set);
  t.equal(difference(set, { 'f:z': leaf }), set);
  t.equal(recursiveDifference(set, { 'f:z': leaf }), set);
  t.end();
});

void t.test('members are in the order of the API server, whatever order they came in', (t) => {
  const keys = [
    'i:10',
    'i:9',
    'v:"b"',
    'v:10',
    'v:9',
    'v:true',
    'k:{"port":443}',
    'k:{"port":80}',
    'f:b',
    'f:a',
    'f:B',
  ];
  const given = Object.fromEntries(keys.map((key) => [key, leaf]));
  const wanted = [
    'f:B',
    'f:a',
    'f:b',
    'k:{"port":80}',
    'k:{"port":443}',
    'v:9',
    'v:10',
    'v:"b"',
    'v:true',
    'i:9',
    'i:10',
  ];
  t.strictSame(Object.keys(union(EMPTY, given)), wanted);
  t.strictSame(Object.keys(union({ 'f:a': leaf }, given)), wanted);
  t.strictSame(Object.keys(parseFieldSet(given)), wanted);
  t.end();
});

void t.test('what a client sends is brought into canonical form', (t) => {
  t.strictSame(parseFieldSet({ '.': {}, 'k:{"b": 1, "a":"<"}': { '.': {} }, 'z:new': {}, 'f:n': null }), {
    'f:n': leaf,
    'k:{"a":"\\u003c","b":1}': leaf,
  });
  for (const wrong of [{ a: {} }, { 'k:[1]': {} }, { 'v:': {} }, { 'i:x': {} }, [], 'f:a', { 'f:a': 3 }]) {
    t.throws(() => parseFieldSet(wrong), SyntaxError, JSON.stringify(wrong));
  }
  t.end();
});

void t.test('paths read as in the messages of the API server', (t) => {
  const texts: string[] = [];
  const set = { 'f:spec': { 'f:list': { 'k:{"name":"a","port":80}': { '.': leaf, 'f:x.y': leaf }, 'v:"b"': leaf } } };
  forEachPath(set, (path) => texts.push(pathText(path)));
  t.strictSame(texts, ['.spec.list[name="a",port=80]', '.spec.list[="b"]', '.spec.list[name="a",port=80].x.y']);
  t.end();
});

void t.test('the short way to a key gives the same key', (t) => {
  for (const value of ['Ready', '', 'a b', 'a<b', 'a"b', 'a\\b', 'ü', 'a\nb', 3, true, null]) {
    t.equal(singleKeyElement('type', value), keyElement({ type: value }), String(value));
  }
  t.equal(valueElement('a&b'), 'v:"a\\u0026b"');
  t.end();
});

void t.test('random sets obey the laws of sets', (t) => {
  const random = seededRandom(4);
  const make = (depth: number): FieldSet => {
    const set: Record<string, FieldSet> = {};
    for (const name of ['f:c', 'f:a', 'f:b', 'k:{"n":1}']) {
      if (random() < 0.5) continue;
      const below = depth === 0 ? {} : make(depth - 1);
      set[name] = Object.keys(below).length > 0 && random() < 0.5 ? { '.': leaf, ...below } : below;
    }
    return set;
  };
  const paths = (set: FieldSet): Set<string> => {
    const found = new Set<string>();
    forEachPath(set, (path) => found.add(path.join('/')));
    return found;
  };
  for (let i = 0; i < 300; i++) {
    const [a, b] = [paths(make(2)), paths(make(2))];
    const [left, right] = [parseFieldSet(treeOf(a)), parseFieldSet(treeOf(b))];
    const where = `round ${String(i)}`;
    t.strictSame(paths(union(left, right)), new Set([...a, ...b]), where);
    t.strictSame(paths(intersection(left, right)), new Set([...a].filter((path) => b.has(path))), where);
    t.strictSame(paths(difference(left, right)), new Set([...a].filter((path) => !b.has(path))), where);
    if (!t.passing()) break;
  }
  t.end();
});

function treeOf(paths: ReadonlySet<string>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const path of paths) {
    let node = root;
    for (const element of path.split('/')) node = (node[element] ??= {}) as Record<string, unknown>;
    node['.'] = {};
  }
  return root;
}

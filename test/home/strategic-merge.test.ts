import t from 'tap';
import { ConfigMaps, Namespaces } from '../../src/api/core.ts';
import { strategicMerge } from '../../src/home/strategic-merge.ts';

const owner = (uid: string, name = uid): Record<string, string> => ({ apiVersion: 'v1', kind: 'ConfigMap', name, uid });

const old = {
  metadata: {
    name: 'a',
    labels: { keep: '1', drop: '2' },
    finalizers: ['a.io/a', 'b.io/b'],
    ownerReferences: [owner('1'), owner('2')],
  },
  data: { x: '1', y: '2' },
};

function merged(patch: Record<string, unknown>): typeof old {
  return strategicMerge(ConfigMaps, old, patch) as typeof old;
}

void t.test('maps merge, null removes', async (t) => {
  const result = merged({ metadata: { labels: { drop: null, add: '3' } }, data: { y: '3' } });
  t.same(result.metadata.labels, { keep: '1', add: '3' });
  t.same(result.data, { x: '1', y: '3' });
  t.same(old.data, { x: '1', y: '2' }, 'and the object is left as it is');
});

void t.test('finalizers are a set: added to, taken from, ordered', async (t) => {
  t.same(merged({ metadata: { finalizers: ['c.io/c', 'a.io/a'] } }).metadata.finalizers, [
    'a.io/a',
    'b.io/b',
    'c.io/c',
  ]);
  t.same(merged({ metadata: { '$deleteFromPrimitiveList/finalizers': ['a.io/a'] } }).metadata.finalizers, ['b.io/b']);
  const ordered = merged({
    metadata: {
      '$setElementOrder/finalizers': ['c.io/c', 'b.io/b'],
      finalizers: ['c.io/c'],
      '$deleteFromPrimitiveList/finalizers': ['a.io/a'],
    },
  });
  t.same(ordered.metadata.finalizers, ['c.io/c', 'b.io/b']);
});

void t.test('owner references go by their uid', async (t) => {
  const patch = {
    metadata: { ownerReferences: [{ uid: '1', $patch: 'delete' }, { uid: '2', name: 'new' }, owner('3')] },
  };
  t.same(merged(patch).metadata.ownerReferences, [owner('2', 'new'), owner('3')]);
  t.same(merged({ metadata: { ownerReferences: [{ $patch: 'replace' }, owner('4')] } }).metadata.ownerReferences, [
    owner('4'),
  ]);
  t.throws(() => merged({ metadata: { ownerReferences: [{ name: 'x' }] } }), {
    reason: 'BadRequest',
    message: /merge key: uid/,
  });
});

void t.test('conditions of a namespace go by their type; other lists are replaced', async (t) => {
  const namespace = { spec: { finalizers: ['a', 'b'] }, status: { conditions: [{ type: 'A', status: 'True' }] } };
  const patch = {
    spec: { finalizers: ['c'] },
    status: { conditions: [{ type: 'A', status: 'False' }, { type: 'B' }] },
  };
  t.match(strategicMerge(Namespaces, namespace, patch), {
    spec: { finalizers: ['c'] },
    status: { conditions: [{ type: 'A', status: 'False' }, { type: 'B' }] },
  });
});

void t.test('directives replace, delete and retain', async (t) => {
  t.same(merged({ data: { $patch: 'replace', z: '9' } }).data, { z: '9' });
  t.same(merged({ data: { $patch: 'delete' } }).data, {});
  t.same(merged({ data: { $retainKeys: ['x', 'z'], z: '9' } }).data, { x: '1', z: '9' });
  t.throws(() => merged({ data: { $patch: 'nonsense' } }), { code: 'GF_API_ERROR' });
  t.throws(() => merged({ data: { $retainKeys: 'x' } }), { code: 'GF_API_ERROR' });
});

void t.test('what there was nothing to merge with holds no directives', async (t) => {
  const patch = { metadata: { ownerReferences: [{ uid: '9', $patch: 'delete' }, owner('1')] } };
  t.same(strategicMerge(ConfigMaps, {}, patch), { metadata: { ownerReferences: [owner('1')] } });
});

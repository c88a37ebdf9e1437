import { ConfigMaps, Events, Namespaces, Secrets } from '../../src/api/core.ts';
import { Services, Transfers } from '../../src/api/resources.ts';
import { uid, spec, service, create, change, patch, json, me, withoutVersion } from './write-case.ts';
import type { WriteCase } from './write-case.ts';

/** What is left out, what stays, versions, and server-side apply. */
export const shapeCases: readonly WriteCase[] = [
  create('empty parts of metadata are left out', Transfers, {
    ...spec(),
    metadata: { labels: {}, annotations: {}, finalizers: [], ownerReferences: [], generateName: '' },
  }),
  create('empty parts of a core kind are left out', Secrets, { data: {}, stringData: {}, immutable: false }),
  create('an empty list of a custom resource stays', Services, service({ addons: [] })),
  create('an empty object of a custom resource stays', Transfers, spec({ healthCheck: { tcp: { port: 1 } }, dns: {} })),
  patch('nulls in what a merge patch adds', Transfers, spec(), 'merge', { spec: { dns: { name: null, skip: true } } }),
  patch('a merge patch that empties metadata', Transfers, { ...spec(), metadata: { labels: { a: 'b' } } }, 'merge', {
    metadata: { labels: { a: null }, annotations: null, finalizers: [] },
  }),
  patch('a merge patch that says nothing', Transfers, spec(), 'merge', {}),
  patch('a merge patch that replaces an object with a string', Transfers, spec({ dns: {} }), 'merge', {
    spec: { dns: 'x' },
  }),
  json(
    'a JSON patch that adds, moves and copies in a list',
    Services,
    service({ addons: [{ name: 'a', container: 'b' }] }),
    { op: 'add', path: '/spec/addons/-', value: { name: 'c', container: 'd' } },
    { op: 'move', from: '/spec/addons/0', path: '/spec/addons/1' },
    { op: 'copy', from: '/spec/container', path: '/spec/addons/0/container' },
  ),
  json(
    'a JSON patch whose path needs unescaping',
    ConfigMaps,
    { data: { 'a.b': '1' } },
    {
      op: 'add',
      path: '/metadata/annotations',
      value: { 'a/b': 'c' },
    },
  ),
  json('a JSON patch that makes an invalid object', Transfers, spec(), {
    op: 'replace',
    path: '/spec/verify',
    value: 'No',
  }),
  json('a JSON patch of the whole', ConfigMaps, {}, { op: 'replace', path: '', value: 'x' }),
  change('a ConfigMap may be replaced without a version', ConfigMaps, { data: { a: '1' } }, 'update', withoutVersion),
  change('a Namespace may be replaced without a version', Namespaces, {}, 'update', withoutVersion),
  change(
    'an Event may be replaced without a version',
    Events,
    { involvedObject: { namespace: 'NAMESPACE' } },
    'update',
    withoutVersion,
  ),
  change('an old version', ConfigMaps, {}, 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, resourceVersion: '1' },
  })),
  patch('a merge patch with an old version', Transfers, spec(), 'merge', { metadata: { resourceVersion: '1' } }),
  patch('an apply that carries managed fields', Transfers, spec(), 'apply', { metadata: { managedFields: [{}] } }, me),
  patch('an apply of another uid', Transfers, spec(), 'apply', { metadata: { uid } }, me),
  patch('an apply of an old version', Transfers, spec(), 'apply', { metadata: { resourceVersion: '1' } }, me),
  patch('an apply of an invalid value', Transfers, spec(), 'apply', { spec: { soak: { duration: 'soon' } } }, me),
  patch(
    'an apply with a list map key twice',
    Services,
    service(),
    'apply',
    {
      spec: { addons: ['b', 'c'].map((container) => ({ name: 'a', container })) },
    },
    me,
  ),
  patch(
    'an apply with a list map entry without its key',
    Services,
    service(),
    'apply',
    {
      spec: { addons: [{ container: 'b' }] },
    },
    me,
  ),
  patch('an apply with an unknown field of a core kind', ConfigMaps, {}, 'apply', { foo: 1 }, me),
  patch('an apply with a wrong type of a core kind', ConfigMaps, {}, 'apply', { data: { a: 5 } }, me),
  patch('an apply with an unknown field in metadata', Transfers, spec(), 'apply', { metadata: { label: 1 } }, me),
  patch('an apply with a label that is a number', Transfers, spec(), 'apply', { metadata: { labels: { a: 5 } } }, me),
  patch('an apply of stringData', Secrets, {}, 'apply', { stringData: { a: 'x' } }, me),
  patch('an apply of another kind', Transfers, spec(), 'apply', { kind: 'Service' }, me),
  patch('an apply of another group', Transfers, spec(), 'apply', { apiVersion: 'example.com/v1' }, me),
];

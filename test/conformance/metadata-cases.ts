import { ConfigMaps, Namespaces } from '../../src/api/core.ts';
import { Services, Transfers } from '../../src/api/resources.ts';
import { uid, spec, service, create, change, patch, json, metadata } from './write-case.ts';
import type { WriteCase } from './write-case.ts';

/** Names, labels, owners, and what else is in metadata; objects of the wrong kind. */
export const metadataCases: readonly WriteCase[] = [
  create('a name in upper case', Transfers, metadata({ name: 'Upper' })),
  create('a name that is too long', Transfers, metadata({ name: 'x'.repeat(254) })),
  create('no name', Transfers, metadata({ name: '' })),
  create('a generateName that is no name', Transfers, metadata({ name: '', generateName: 'Up_' })),
  create('a namespace that is no name', Namespaces, { metadata: { name: 'a.b' } }),
  create('a missing namespace', Transfers, metadata({ namespace: 'no-such-namespace' })),
  create('a missing namespace for a core kind', ConfigMaps, metadata({ namespace: 'no-such-namespace' }, {})),
  create('a version on create', Transfers, metadata({ resourceVersion: '5' })),
  create('a label key that is none', Transfers, metadata({ labels: { 'not ok': 'x' } })),
  create('a label value that is none', Transfers, metadata({ labels: { ok: 'not ok' } })),
  create('a label value that is too long', Transfers, metadata({ labels: { ok: 'x'.repeat(64) } })),
  create(
    'label keys with bad prefixes',
    Transfers,
    metadata({ labels: { '/a': '', 'A_/a': '', 'a/b/c': '', 'a/': '' } }),
  ),
  create('a label that is a number', Transfers, metadata({ labels: { a: 5 } })),
  create('a label that is a number, on a core kind', ConfigMaps, { metadata: { labels: { a: 5 } } }),
  create('a label that is null', Transfers, metadata({ labels: { a: null } })),
  create('labels that are a list', Transfers, metadata({ labels: ['a'] })),
  create('an annotation key that is none', Transfers, metadata({ annotations: { 'not ok': 'x' } })),
  create('an annotation key in upper case', Transfers, metadata({ annotations: { 'Example.COM/Key': 'x' } })),
  create('an annotation that is a boolean', Transfers, metadata({ annotations: { a: true } })),
  create('annotations that are too large', Transfers, metadata({ annotations: { a: 'x'.repeat(262145) } })),
  create('a finalizer that is no name', Transfers, metadata({ finalizers: ['not a name!'] })),
  create('a finalizer without a domain', Transfers, metadata({ finalizers: ['mine'] })),
  create('a finalizer that is a number', Transfers, metadata({ finalizers: [5] })),
  create(
    'finalizers orphan and foregroundDeletion together',
    Transfers,
    metadata({ finalizers: ['orphan', 'foregroundDeletion'] }),
  ),
  create('an incomplete owner', Transfers, metadata({ ownerReferences: [{ name: 'a' }] })),
  create(
    'an owner that is an Event',
    Transfers,
    metadata({ ownerReferences: [{ apiVersion: 'v1', kind: 'Event', name: 'a', uid }] }),
  ),
  create(
    'an owner of a bad version',
    Transfers,
    metadata({ ownerReferences: [{ apiVersion: 'a/b/c', kind: 'X', name: 'a', uid }] }),
  ),
  create(
    'two owners that control',
    Transfers,
    metadata({
      ownerReferences: ['a', 'b'].map((name) => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        name,
        uid: uid.replace('b', name),
        controller: true,
      })),
    }),
  ),
  create(
    'an owner twice',
    Transfers,
    metadata({
      finalizers: ['gridferry.io/test'],
      ownerReferences: ['a', 'a'].map((name) => ({ apiVersion: 'v1', kind: 'ConfigMap', name, uid })),
    }),
  ),
  create('a generation of the creator’s', Transfers, metadata({ generation: -1 })),
  create('a uid of the creator’s', Transfers, metadata({ uid: 'mine' })),
  create('another kind', Transfers, { ...spec(), kind: 'Service' }),
  create('another kind of the core group', ConfigMaps, { kind: 'Secret' }),
  create('no kind', Transfers, { ...spec(), kind: '' }),
  create('no apiVersion', Transfers, { ...spec(), apiVersion: '' }),
  change('another uid on update', Transfers, spec(), 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, uid },
  })),
  change('another time of creation', Transfers, spec(), 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, creationTimestamp: '2020-01-01T00:00:00Z' },
  })),
  change('a time of deletion', Transfers, spec(), 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, deletionTimestamp: '2020-01-01T00:00:00Z' },
  })),
  change('a grace period', Transfers, spec(), 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, deletionGracePeriodSeconds: 5 },
  })),
  change('a generation on update', Transfers, spec(), 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, generation: 9 },
  })),
  change('an update of a bad version', Transfers, spec(), 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, resourceVersion: 'x' },
  })),
  change('an update of a missing object', Transfers, spec(), 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, name: 'missing' },
  })),
  change('bad labels in a status update', Transfers, spec(), 'updateStatus', (given) => ({
    ...given,
    metadata: { ...given.metadata, labels: { 'not ok': '' } },
    status: { message: 'm' },
  })),
  patch('a patch of the name', Transfers, spec(), 'merge', { metadata: { name: 'b' } }),
  patch('a patch of the namespace', Transfers, spec(), 'merge', { metadata: { namespace: 'b' } }),
  patch('a patch of the uid', Transfers, spec(), 'merge', { metadata: { uid } }),
  patch('a patch of the kind', Transfers, spec(), 'merge', { kind: 'Service' }),
  patch('a patch that removes the kind', Transfers, spec(), 'merge', { kind: null }),
  patch('a patch that removes the metadata', Transfers, spec(), 'merge', { metadata: null }),
  patch('a patch with a wrong label', Transfers, spec(), 'merge', { metadata: { labels: { a: 5 } } }),
  patch('a patch of a core kind with a wrong label', ConfigMaps, {}, 'merge', { metadata: { labels: { a: 5 } } }),
  patch('a patch of the name of a core kind', ConfigMaps, {}, 'merge', { metadata: { name: 'b' } }),
  json('a JSON patch that removes what is not there', Transfers, spec(), { op: 'remove', path: '/spec/foo' }),
  json('a JSON patch that replaces what is not there', Transfers, spec(), {
    op: 'replace',
    path: '/spec/retryToken',
    value: 'x',
  }),
  json('a JSON patch that adds below what is not there', Transfers, spec(), {
    op: 'add',
    path: '/spec/dns/skip',
    value: true,
  }),
  json('a JSON patch whose test fails', Transfers, spec(), { op: 'test', path: '/spec/container', value: 'x' }),
  json('a JSON patch whose path is none', Transfers, spec(), { op: 'add', path: 'spec', value: 1 }),
  json('a JSON patch with an unknown operation', Transfers, spec(), { op: 'do' as 'add', path: '/spec', value: 1 }),
  json('a JSON patch that fails on a core kind', ConfigMaps, {}, { op: 'test', path: '/data/x', value: '1' }),
  json('a JSON patch beyond the end of a list', Services, service({ addons: [{ name: 'a', container: 'b' }] }), {
    op: 'replace',
    path: '/spec/addons/1',
    value: {},
  }),
];

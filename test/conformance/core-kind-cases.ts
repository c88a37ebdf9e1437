import { ConfigMaps, Events, Leases, Namespaces, Secrets } from '../../src/api/core.ts';
import { MANY, create, change, patch, base64 } from './write-case.ts';
import type { WriteCase } from './write-case.ts';

/** Secrets, ConfigMaps, Namespaces, Leases and Events. */
export const coreKindCases: readonly WriteCase[] = [
  create('a Secret with data that is not base64', Secrets, { data: { a: 'not base64!' } }),
  create('a Secret with data that is a number', Secrets, { data: { a: 5 } }),
  create('a Secret with stringData that is a number', Secrets, { stringData: { a: 5 } }),
  create('a Secret with stringData that is null', Secrets, { stringData: { a: null } }),
  create('a Secret with data that is null', Secrets, { data: { a: null } }),
  create('a Secret with data that is a list', Secrets, { data: [] }),
  create('a Secret with keys that are none', Secrets, {
    stringData: { 'a b': 'x', '..': 'x', '': 'x', '.': 'x', '..a': 'x' },
  }),
  create('a Secret with a key that is too long', Secrets, { stringData: { [MANY]: 'x' } }),
  create('a Secret of an unknown type', Secrets, { type: 'example.com/mine', stringData: { a: 'x' } }),
  create('a TLS Secret without its keys', Secrets, { type: 'kubernetes.io/tls' }),
  create('a TLS Secret with its keys', Secrets, {
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': 'x', 'tls.key': 'y' },
  }),
  create('a basic-auth Secret without its keys', Secrets, { type: 'kubernetes.io/basic-auth', stringData: { a: 'x' } }),
  create('a basic-auth Secret with one of its keys', Secrets, {
    type: 'kubernetes.io/basic-auth',
    stringData: { username: 'x' },
  }),
  create('an ssh-auth Secret without its key', Secrets, { type: 'kubernetes.io/ssh-auth' }),
  create('an ssh-auth Secret with an empty key', Secrets, {
    type: 'kubernetes.io/ssh-auth',
    stringData: { 'ssh-privatekey': '' },
  }),
  create('a dockerconfigjson Secret without its key', Secrets, { type: 'kubernetes.io/dockerconfigjson' }),
  create('a dockerconfigjson Secret that is not JSON', Secrets, {
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': 'hunter2' },
  }),
  create('a dockercfg Secret without its key', Secrets, { type: 'kubernetes.io/dockercfg' }),
  create('a dockercfg Secret that is not JSON', Secrets, {
    type: 'kubernetes.io/dockercfg',
    stringData: { '.dockercfg': 'hunter2' },
  }),
  create('a token Secret without its account', Secrets, { type: 'kubernetes.io/service-account-token' }),
  create('a Secret that is too large', Secrets, { data: { a: base64('x'.repeat(1048577)) } }),
  create('stringData goes over data', Secrets, {
    data: { a: base64('old'), b: base64('kept') },
    stringData: { a: 'new' },
  }),
  create('base64 with line breaks', Secrets, { data: { a: 'YWJj\nZGVm' } }),
  create('base64 without padding', Secrets, { data: { a: 'YQ' } }),
  create('a Secret whose immutable is a string', Secrets, { immutable: 'yes' }),
  patch('the type of a Secret cannot be changed', Secrets, { stringData: { a: 'x' } }, 'merge', { type: 'other' }),
  patch('a patch with stringData', Secrets, { stringData: { a: 'x' } }, 'merge', { stringData: { b: 'y' } }),
  patch('an immutable Secret', Secrets, { immutable: true, stringData: { a: 'x' } }, 'merge', {
    stringData: { b: 'y' },
  }),
  patch('an immutable Secret made mutable', Secrets, { immutable: true }, 'merge', { immutable: false }),
  patch('an immutable Secret may be labelled', Secrets, { immutable: true }, 'merge', {
    metadata: { labels: { a: 'b' } },
  }),
  patch(
    'a Secret made not to fit its type',
    Secrets,
    { type: 'kubernetes.io/ssh-auth', stringData: { 'ssh-privatekey': 'x' } },
    'merge',
    { data: null },
  ),
  change('a core kind may be replaced without a version', Secrets, { stringData: { a: 'x' } }, 'update', (given) => ({
    ...given,
    metadata: { name: given.metadata.name, namespace: given.metadata.namespace },
    data: { b: base64('y') },
  })),
  create('a ConfigMap with a number', ConfigMaps, { data: { a: 5 } }),
  create('a ConfigMap with a nested object', ConfigMaps, { data: { a: { b: 'c' } } }),
  create('a ConfigMap with keys that are none', ConfigMaps, { data: { 'a/b': 'x' }, binaryData: { 'c d': '' } }),
  create('a ConfigMap with a key in both parts', ConfigMaps, { data: { a: 'x' }, binaryData: { a: 'eA==' } }),
  create('a ConfigMap with bad binaryData', ConfigMaps, { binaryData: { a: '?' } }),
  create('a ConfigMap that is too large', ConfigMaps, { data: { a: 'x'.repeat(1048577) } }),
  create('a ConfigMap with null data', ConfigMaps, { data: { a: null } }),
  patch('an immutable ConfigMap', ConfigMaps, { immutable: true, data: { a: '1' } }, 'merge', {
    data: { a: '2' },
    binaryData: { b: 'eA==' },
  }),
  patch('an immutable ConfigMap made mutable', ConfigMaps, { immutable: true }, 'merge', { immutable: null }),
  create('a namespace is labelled with its name', Namespaces, { spec: { finalizers: ['example.com/mine'] } }),
  create('a namespace with a bad finalizer', Namespaces, { spec: { finalizers: ['mine'] } }),
  patch('the name label of a namespace cannot be changed', Namespaces, {}, 'merge', {
    metadata: { labels: { 'kubernetes.io/metadata.name': 'other' } },
  }),
  patch('the name label of a namespace comes back', Namespaces, {}, 'merge', {
    metadata: { labels: { 'kubernetes.io/metadata.name': null } },
  }),
  patch('the finalizers of a namespace are not changed by an update', Namespaces, {}, 'merge', {
    spec: { finalizers: [] },
  }),
  create('a lease', Leases, {
    spec: {
      holderIdentity: 'me',
      leaseDurationSeconds: 15,
      renewTime: '2026-01-01T00:00:00.000000Z',
      leaseTransitions: 0,
    },
  }),
  create('a lease without a spec', Leases, {}),
  create('a lease with bad numbers', Leases, { spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } }),
  create('a lease with an empty holder', Leases, { spec: { holderIdentity: '' } }),
  create('a lease with a bad time', Leases, { spec: { renewTime: 'now' } }),
  create('a lease with a time in seconds', Leases, { spec: { renewTime: '2026-01-01T00:00:00Z' } }),
  create('a lease with a string for a number', Leases, { spec: { leaseDurationSeconds: '15' } }),
  create('a lease with an unknown field', Leases, { spec: { holder: 'me' } }),
  patch('the duration of a lease made negative', Leases, { spec: { leaseDurationSeconds: 15 } }, 'merge', {
    spec: { leaseDurationSeconds: -5 },
  }),
  change('a lease may not be replaced without a version', Leases, {}, 'update', (given) => ({
    ...given,
    metadata: { name: given.metadata.name, namespace: given.metadata.namespace },
  })),
  create('an event', Events, {
    involvedObject: { kind: 'ConfigMap', name: 'a', namespace: 'NAMESPACE' },
    reason: 'R',
    message: 'm',
    type: 'Normal',
  }),
  create('an event without an object', Events, { reason: 'R', message: 'm', type: 'Normal' }),
  create('an event about another namespace', Events, {
    involvedObject: { kind: 'ConfigMap', name: 'a', namespace: 'other' },
    reason: 'R',
  }),
  create('an event with a wrong count', Events, { involvedObject: { namespace: 'NAMESPACE' }, count: 'x' }),
  create('an event with an unknown field', Events, { involvedObject: { namespace: 'NAMESPACE' }, foo: 1 }),
  create('an event with an eventTime and nothing else', Events, {
    involvedObject: { namespace: 'NAMESPACE' },
    eventTime: '2026-01-01T00:00:00.000000Z',
  }),
  create('an event of a series', Events, {
    involvedObject: { namespace: 'NAMESPACE' },
    series: { count: 2, lastObservedTime: '2026-01-01T00:00:00.000000Z' },
  }),
  patch('an event may be counted up', Events, { involvedObject: { namespace: 'NAMESPACE' }, count: 1 }, 'merge', {
    count: 2,
  }),
];

import { ConfigMaps, Events, Leases, Namespaces, Secrets } from '../../src/api/core.ts';
import { ManagedServers, Services, Transfers } from '../../src/api/resources.ts';
import { uid, spec, service, server, create, change, patch } from './write-case.ts';
import type { WriteCase } from './write-case.ts';

/** JSON of the wrong type, and other ends of the rules. */
export const typeCases: readonly WriteCase[] = [
  create('unknown fields come in the order of the alphabet', Transfers, {
    ...spec({ zz: 1, aa: 1 }),
    b: 1,
    metadata: { z: 1, a: 1 },
  }),
  create('another group', Transfers, { ...spec(), apiVersion: 'example.com/v1' }),
  create('a finalizer without a domain on a core kind', ConfigMaps, { metadata: { finalizers: ['mine'] } }),
  create('a creationTimestamp that is none', Transfers, { ...spec(), metadata: { creationTimestamp: 'x' } }),
  create('a creationTimestamp that is none on a core kind', ConfigMaps, {
    metadata: { creationTimestamp: '2026-13-01' },
  }),
  create('a version that is a number', Transfers, { ...spec(), metadata: { resourceVersion: 5 } }),
  create('a generation that is a string', Transfers, { ...spec(), metadata: { generation: 'x' } }),
  create('an owner that is a string', Transfers, { ...spec(), metadata: { ownerReferences: ['x'] } }),
  create('an owner with an unknown field', Transfers, {
    ...spec(),
    metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'a', uid, foo: 1 }] },
  }),
  create('an owner with a wrong type', ConfigMaps, { metadata: { ownerReferences: [{ controller: 'x' }] } }),
  create('finalizers that are a string', ConfigMaps, { metadata: { finalizers: 'x' } }),
  create('data that is a string', ConfigMaps, { data: 'x' }),
  create('a fraction where a Go integer is wanted', Leases, { spec: { leaseDurationSeconds: 1.5 } }),
  create('a number that no Go integer holds', Leases, { spec: { leaseDurationSeconds: 3000000000 } }),
  patch('too many entries', Transfers, spec(), 'mergeStatus', {
    status: { steps: Array.from({ length: 65 }, () => ({ name: 'n', phase: 'p', state: 'Done', attempts: 1 })) },
  }),
  patch('an integer below zero', Transfers, spec(), 'mergeStatus', { status: { queuePosition: -1 } }),
  patch('an integer that does not fit int64', Transfers, spec(), 'mergeStatus', {
    status: { queuePosition: 1e20 },
  }),
  patch('a fraction for int64', Transfers, spec(), 'mergeStatus', { status: { queuePosition: 1.5 } }),
  patch('a string where a number is wanted', Transfers, spec(), 'mergeStatus', { status: { downtimeSeconds: 'x' } }),
  patch('a map value of the wrong type', ManagedServers, server(), 'mergeStatus', {
    status: { facts: { tools: { tar: 5 } } },
  }),
  patch('a status patch beside a bad status entry', Transfers, spec(), 'mergeStatus', {
    status: { steps: [{ name: 5 }] },
  }),
  create('a TLS Secret with a certificate and a bad key', Secrets, {
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': '-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n', 'tls.key': 'y' },
  }),
  create('a dockerconfigjson Secret that is an empty list', Secrets, {
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': '[]' },
  }),
  create('a dockerconfigjson Secret that ends early', Secrets, {
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': '{"auths":' },
  }),
  patch('a patch of a Secret with bad base64 shows none of it', Secrets, { stringData: { a: 'x' } }, 'merge', {
    data: { b: '!hunter2' },
  }),
  patch('the type of an immutable Secret', Secrets, { immutable: true }, 'merge', { type: 'other' }),
  patch('a label on update that is none', ConfigMaps, {}, 'merge', { metadata: { labels: { 'not ok': '' } } }),
  patch('a bad finalizer on update', Transfers, spec(), 'merge', { metadata: { finalizers: ['mine'] } }),
  change('a time of deletion on a core kind', ConfigMaps, {}, 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, deletionTimestamp: '2020-01-01T00:00:00Z' },
  })),
  change('another uid on a core kind', ConfigMaps, {}, 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, uid },
  })),
  change('a name that differs only in the body', ConfigMaps, {}, 'update', (given) => ({
    ...given,
    metadata: { ...given.metadata, labels: null },
    data: null,
  })),
  create('a namespace made by generateName', Namespaces, { metadata: { name: '', generateName: 'Bad_' } }),
  create('an Event without a namespace in its object', Events, {
    metadata: { namespace: 'default', name: 'OWN_NAME' },
    involvedObject: { kind: 'Namespace', name: 'a' },
    reason: 'R',
  }),
  create('a whole number in another notation', Transfers, spec({ healthCheck: { http: { port: 8e1 } } })),
  create('a boolean where a list is wanted', Services, service({ addons: true })),
  create(
    'several unknown fields in lists',
    Services,
    service({ addons: [{ name: 'a', container: 'b', y: 1, x: { z: 1 } }] }),
  ),
];

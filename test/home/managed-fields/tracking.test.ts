import t from 'tap';
import type { Test } from 'tap';
import { ConfigMaps, Leases, Namespaces, Secrets } from '../../../src/api/core.ts';
import { API_VERSION } from '../../../src/api/meta.ts';
import type { KubeObject, ObjectKey } from '../../../src/api/meta.ts';
import { servedTypes, Services } from '../../../src/api/resources.ts';
import type { Service } from '../../../src/api/resources.ts';
import type { ApiError } from '../../../src/home/api-error.ts';
import type { LocalHome } from '../../../src/home/local-client.ts';
import type { ManagedFieldsEntry } from '../../../src/home/managed-fields/manager-entries.ts';
import { createSchemaAdmission } from '../../../src/home/schema-admission.ts';
import { temporaryHome } from '../../support/local-home.ts';
import { createVirtualClock } from '../../support/virtual-clock.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

/** Who owns what after creates, updates, patches and status writes. The answers were checked against kube-apiserver 1.36. */

const key: ObjectKey = { namespace: 'default', name: 'a' };
const ready = {
  type: 'Ready',
  status: 'True',
  reason: 'A',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
} as const;

function service(spec: Partial<Service['spec']> = {}): Service {
  const whole = { container: 'c', serverRef: { name: 's1' }, ...spec };
  return { apiVersion: API_VERSION, kind: 'Service', metadata: { name: 'a', namespace: 'default' }, spec: whole };
}

function homeOf(t: Test): { home: LocalHome; clock: VirtualClock } {
  const clock = createVirtualClock();
  return { home: temporaryHome(t, { types: servedTypes, admission: createSchemaAdmission(), clock }), clock };
}

/** `manager operation[/subresource]` → what it owns. */
function owners(object: KubeObject): Record<string, unknown> {
  return Object.fromEntries(
    ((object.metadata.managedFields ?? []) as ManagedFieldsEntry[]).map((entry) => [
      `${String(entry.manager)} ${entry.operation}${entry.subresource === undefined ? '' : `/${entry.subresource}`}`,
      entry.fieldsV1,
    ]),
  );
}

void t.test('a creator owns all it set, and defaults, but not what the server decides', async (t) => {
  const { home } = homeOf(t);
  const made = await home.create(
    Services,
    { ...service(), metadata: { ...service().metadata, labels: { x: 'y' }, finalizers: ['a.b/c'] } },
    { fieldManager: 'anna' },
  );
  t.strictSame(made.metadata.managedFields, [
    {
      manager: 'anna',
      operation: 'Update',
      apiVersion: API_VERSION,
      time: made.metadata.creationTimestamp,
      fieldsType: 'FieldsV1',
      fieldsV1: {
        'f:metadata': { 'f:finalizers': { '.': {}, 'v:"a.b/c"': {} }, 'f:labels': { '.': {}, 'f:x': {} } },
        'f:spec': { '.': {}, 'f:container': {}, 'f:serverRef': { '.': {}, 'f:name': {} } },
      },
    },
  ]);
  t.strictSame((await home.get(Services, key)).metadata.managedFields, made.metadata.managedFields);
});

void t.test('what a creator says of managedFields does not count', async (t) => {
  const { home } = homeOf(t);
  const managedFields = [
    { manager: 'x', operation: 'Apply', apiVersion: API_VERSION, fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': {} } },
  ];
  const made = await home.create(
    Services,
    { ...service(), metadata: { ...service().metadata, managedFields } },
    { fieldManager: 'anna' },
  );
  t.strictSame(Object.keys(owners(made)), ['anna Update']);
});

void t.test('a changed field changes hands; a removed one belongs to nobody; the rest stays', async (t) => {
  const { home } = homeOf(t);
  await home.create(Services, service({ publicName: 'x.example.com' }), { fieldManager: 'anna' });
  const patched = await home.patch(
    Services,
    key,
    { type: 'merge', body: { spec: { container: 'd', publicName: null } } },
    { fieldManager: 'bert' },
  );
  t.strictSame(owners(patched), {
    'anna Update': { 'f:spec': { '.': {}, 'f:serverRef': { '.': {}, 'f:name': {} } } },
    'bert Update': { 'f:spec': { 'f:container': {} } },
  });
});

void t.test('status and spec are owned apart', async (t) => {
  const { home } = homeOf(t);
  const made = await home.create(Services, service(), { fieldManager: 'anna' });
  const written = await home.updateStatus(
    Services,
    { ...made, status: { server: 's1', conditions: [ready] } } as Service,
    { fieldManager: 'ctrl' },
  );
  t.strictSame(owners(written)['ctrl Update/status'], {
    'f:status': {
      // The default was the server's.
      'f:conditions': {
        '.': {},
        'k:{"type":"Ready"}': {
          '.': {},
          'f:lastTransitionTime': {},
          'f:message': {},
          'f:reason': {},
          'f:status': {},
          'f:type': {},
        },
      },
      'f:server': {},
    },
  });
  const updated = await home.update(
    Services,
    { ...written, spec: { ...written.spec, container: 'd' }, status: { server: 'no' } } as Service,
    { fieldManager: 'ctrl' },
  );
  t.strictSame(owners(updated)['ctrl Update'], { 'f:spec': { 'f:container': {} } });
  t.strictSame(owners(updated)['ctrl Update/status'], owners(written)['ctrl Update/status']);
});

void t.test('a time changes only with the set of its entry, and entries are sorted by it', async (t) => {
  const { home, clock } = homeOf(t);
  const made = await home.create(Services, service(), { fieldManager: 'zoe' });
  await clock.advance(5_000);
  const same = await home.patch(
    Services,
    key,
    { type: 'merge', body: { spec: { container: 'c' } } },
    { fieldManager: 'anna' },
  );
  t.strictSame(same, made, 'no change is no write');
  const changed = await home.patch(
    Services,
    key,
    { type: 'merge', body: { spec: { container: 'd' } } },
    { fieldManager: 'anna' },
  );
  const entries = changed.metadata.managedFields as ManagedFieldsEntry[];
  t.strictSame(
    entries.map(({ manager }) => manager),
    ['zoe', 'anna'],
  );
  t.equal(entries[0]?.time, made.metadata.creationTimestamp);
  t.match(entries[1]?.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  t.not(entries[1]?.time, entries[0]?.time);
});

void t.test('no more than ten updaters are told apart; the oldest are one', async (t) => {
  const { home, clock } = homeOf(t);
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: key } as const;
  await home.create(ConfigMaps, { ...map, metadata: { ...key }, data: { k00: '' } }, { fieldManager: 'm00' });
  for (let i = 1; i <= 12; i++) {
    await clock.advance(1_000);
    const name = `k${String(i).padStart(2, '0')}`;
    await home.patch(
      ConfigMaps,
      key,
      { type: 'merge', body: { data: { [name]: '' } } },
      { fieldManager: `m${name.slice(1)}` },
    );
  }
  const found = owners(await home.get(ConfigMaps, key));
  t.equal(Object.keys(found).length, 10);
  t.strictSame(found['ancient-changes Update'], {
    'f:data': { '.': {}, 'f:k00': {}, 'f:k01': {}, 'f:k02': {}, 'f:k03': {} },
  });
});

void t.test('a client may take ownership away, or hand it over', async (t) => {
  const { home } = homeOf(t);
  const entry = (manager: string, apiVersion = API_VERSION): object => ({
    manager,
    operation: 'Apply',
    apiVersion,
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:spec': { 'f:container': {} } },
  });
  const cases: [given: unknown, left: string[]][] = [
    [null, ['anna Update']],
    [[], ['anna Update']],
    [[{}], []],
    [[entry('x')], ['x Apply']],
    [[{ ...entry('x'), fieldsV1: { oops: {} } }], ['anna Update']],
    [[{ ...entry('x'), operation: 'Own' }], ['anna Update']],
    [[{ ...entry('x'), fieldsType: undefined }], ['anna Update']],
    [[entry('x'), entry('y', 'gridferry.io/v9')], []],
  ];
  for (const [given, left] of cases) {
    await home.create(Services, service(), { fieldManager: 'anna' });
    const patched = await home.patch(
      Services,
      key,
      { type: 'merge', body: { metadata: { managedFields: given } } },
      { fieldManager: 'bert' },
    );
    t.strictSame(Object.keys(owners(patched)), left, JSON.stringify(given));
    await home.delete(Services, key);
  }
  await home.create(Services, service());
  const text = home.patch(Services, key, { type: 'merge', body: { metadata: { managedFields: 'x' } } });
  t.equal(await text.then(String, (error: unknown) => (error as ApiError).reason), 'Invalid');
});

void t.test('an object without managedFields stays without until somebody applies', async (t) => {
  const { home } = homeOf(t);
  await home.create(Services, service());
  await home.patch(Services, key, { type: 'merge', body: { metadata: { managedFields: [{}] } } });
  const written = await home.patch(
    Services,
    key,
    { type: 'merge', body: { spec: { container: 'd' } } },
    { fieldManager: 'bert' },
  );
  t.equal(written.metadata.managedFields, undefined);
  const applied = await home.patch(
    Services,
    key,
    { type: 'apply', body: { apiVersion: API_VERSION, kind: 'Service', spec: { container: 'd' } } },
    { fieldManager: 'gitops' },
  );
  t.strictSame(owners(applied), {
    'gitops Apply': { 'f:spec': { 'f:container': {} } },
    'before-first-apply Update': { 'f:spec': { '.': {}, 'f:container': {}, 'f:serverRef': { '.': {}, 'f:name': {} } } },
  });
});

void t.test('core kinds are owned by the schemas of the API server', async (t) => {
  const { home } = homeOf(t);
  const by = { fieldManager: 'anna' };
  const secret = await home.create(
    Secrets,
    { apiVersion: 'v1', kind: 'Secret', metadata: { ...key }, stringData: { x: '1' } },
    by,
  );
  t.strictSame(owners(secret), { 'anna Update': { 'f:data': { '.': {}, 'f:x': {} }, 'f:type': {} } });
  const lease = await home.create(
    Leases,
    { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { ...key }, spec: { holderIdentity: 'me' } },
    by,
  );
  t.strictSame(owners(lease), { 'anna Update': { 'f:spec': { 'f:holderIdentity': {} } } });
  const namespace = await home.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } }, by);
  t.strictSame(owners(namespace), {
    'anna Update': { 'f:metadata': { 'f:labels': { '.': {}, 'f:kubernetes.io/metadata.name': {} } } },
  });
});

void t.test('who is not named is this program', async (t) => {
  const { home } = homeOf(t);
  t.strictSame(Object.keys(owners(await home.create(Services, service()))), ['gridferry Update']);
});

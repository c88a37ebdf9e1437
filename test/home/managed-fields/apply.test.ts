import t from 'tap';
import type { Test } from 'tap';
import { ConfigMaps, Secrets } from '../../../src/api/core.ts';
import { API_VERSION } from '../../../src/api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../../../src/api/meta.ts';
import { PlatformConfigs, servedTypes, Services } from '../../../src/api/resources.ts';
import { ApiError } from '../../../src/home/api-error.ts';
import type { StatusReason } from '../../../src/home/api-error.ts';
import type { WriteOptions } from '../../../src/home/client.ts';
import type { LocalHome } from '../../../src/home/local-client.ts';
import { LAST_APPLIED } from '../../../src/home/managed-fields/last-applied.ts';
import type { ManagedFieldsEntry } from '../../../src/home/managed-fields/manager-entries.ts';
import { createSchemaAdmission } from '../../../src/home/schema-admission.ts';
import { temporaryHome } from '../../support/local-home.ts';

/** Server-side apply, scenario by scenario. The answers were checked against kube-apiserver 1.36. */

type Json = Record<string, unknown>;

const key: ObjectKey = { namespace: 'default', name: 'a' };
const base = { apiVersion: API_VERSION, kind: 'Service', metadata: { name: 'a' } };
const spec = { container: 'c', serverRef: { name: 's1' } };
const whole = { ...base, spec };

interface Scene {
  readonly home: LocalHome;
  readonly apply: (manager: string, body: Json, options?: ApplyOptions) => Promise<KubeObject>;
}

interface ApplyOptions extends WriteOptions {
  readonly force?: boolean;
  readonly subresource?: 'status';
  readonly type?: ResourceType;
  readonly key?: ObjectKey;
}

function sceneOf(t: Test): Scene {
  const home = temporaryHome(t, { types: servedTypes, admission: createSchemaAdmission() });
  return {
    home,
    apply: (fieldManager, body, { force = false, type = Services, key: at = key, ...options } = {}) =>
      home.patch(type, at, { type: 'apply', body, force }, { fieldManager, ...options }),
  };
}

function ownedBy(object: KubeObject, manager: string, operation = 'Apply'): unknown {
  const entries = (object.metadata.managedFields ?? []) as ManagedFieldsEntry[];
  return entries.find((entry) => entry.manager === manager && entry.operation === operation)?.fieldsV1;
}

async function refused(t: Test, call: Promise<unknown>, reason: StatusReason, message: string): Promise<ApiError> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    t.strictSame([error.reason, error.message], [reason, message]);
    return error;
  }
  throw new Error(`expected: ${message}`);
}

void t.test('an apply makes what is not there, and owns what it says', async (t) => {
  const { apply, home } = sceneOf(t);
  const created: boolean[] = [];
  const onCreated = (): number => created.push(true);
  const made = await apply('gitops', whole, { onCreated });
  t.strictSame(ownedBy(made, 'gitops'), { 'f:spec': { 'f:container': {}, 'f:serverRef': { 'f:name': {} } } });
  t.equal(made.metadata.namespace, 'default');
  const again = await apply('gitops', whole, { onCreated });
  t.strictSame(again, made, 'the same again is no write: neither version nor times move');
  t.strictSame(created, [true]);
  await apply('gitops', { ...whole, metadata: { name: 'b' } }, { key: { ...key, name: 'b' }, dryRun: true });
  await refused(t, home.get(Services, { ...key, name: 'b' }), 'NotFound', 'services.gridferry.io "b" not found');
});

void t.test('what others own with other values is a conflict that names them, unless forced', async (t) => {
  const { apply, home } = sceneOf(t);
  await home.create(Services, { ...whole, metadata: { ...key } } as never, { fieldManager: 'kubectl-edit' });
  const other = { ...base, spec: { container: 'd' } };
  const one = 'Apply failed with 1 conflict: conflict with "kubectl-edit" using gridferry.io/v1alpha1: .spec.container';
  const error = await refused(t, apply('gitops', other), 'Conflict', one);
  t.strictSame(error.statusDetails, {
    causes: [
      {
        reason: 'FieldManagerConflict',
        message: 'conflict with "kubectl-edit" using gridferry.io/v1alpha1',
        field: '.spec.container',
      },
    ],
  });
  await apply('second', whole);
  const many = [
    'Apply failed with 3 conflicts: conflicts with "kubectl-edit" using gridferry.io/v1alpha1:',
    '- .spec.container',
    'conflicts with "second":',
    '- .spec.container',
    '- .spec.serverRef.name',
  ];
  const both = { ...base, spec: { container: 'd', serverRef: { name: 's2' } } };
  await home.patch(
    Services,
    key,
    { type: 'merge', body: { spec: { serverRef: { name: 's3' } } } },
    { fieldManager: 'x' },
  );
  await apply('second', { ...base, spec: { ...spec, serverRef: { name: 's3' } } });
  many[0] = many[0]?.replace('3 conflicts', '4 conflicts') ?? '';
  many.push('conflicts with "x" using gridferry.io/v1alpha1:', '- .spec.serverRef.name');
  await refused(t, apply('gitops', both), 'Conflict', many.join('\n'));
  const forced = await apply('gitops', both, { force: true });
  t.strictSame(forced.spec, { container: 'd', serverRef: { name: 's2' } });
  t.equal(ownedBy(forced, 'second'), undefined);
  t.strictSame(ownedBy(forced, 'gitops'), { 'f:spec': { 'f:container': {}, 'f:serverRef': { 'f:name': {} } } });
});

void t.test('equal values are owned together, and whoever lets go last removes them', async (t) => {
  const { apply } = sceneOf(t);
  const labelled = { ...whole, metadata: { name: 'a', labels: { shared: 'x', mine: 'y' } } };
  await apply('one', labelled);
  const shared = await apply('two', { ...base, metadata: { name: 'a', labels: { shared: 'x' } } });
  t.strictSame(ownedBy(shared, 'two'), { 'f:metadata': { 'f:labels': { 'f:shared': {} } } });
  t.strictSame((await apply('one', whole)).metadata.labels, { shared: 'x' });
  t.equal((await apply('two', base)).metadata.labels, undefined);
});

void t.test('lists are merged by key, as sets, or replaced whole, as the schema says', async (t) => {
  const { apply, home } = sceneOf(t);
  const addons = (...names: string[]): Json[] => names.map((name) => ({ name, container: `c-${name}` }));
  await apply('one', { ...base, spec: { ...spec, addons: addons('db', 'cache') } });
  const both = await apply('two', { ...base, spec: { addons: addons('queue') } });
  t.strictSame((both.spec as { addons: unknown }).addons, addons('db', 'cache', 'queue'));
  t.strictSame(ownedBy(both, 'two'), {
    'f:spec': { 'f:addons': { 'k:{"name":"queue"}': { '.': {}, 'f:container': {}, 'f:name': {} } } },
  });
  const less = await apply('one', { ...base, spec: { ...spec, addons: addons('cache') } });
  t.strictSame((less.spec as { addons: unknown }).addons, addons('cache', 'queue'));

  const platform = { apiVersion: API_VERSION, kind: 'PlatformConfig', metadata: { name: 'default' } };
  const at = { type: PlatformConfigs, key: { ...key, name: 'default' } };
  await apply('one', { ...platform, spec: { domain: 'example.com', resolvers: ['1.1.1.1', '8.8.8.8'] } }, at);
  await apply('two', { ...platform, spec: { resolvers: ['9.9.9.9', '8.8.8.8'] } }, at);
  const set = await apply('one', { ...platform, spec: { domain: 'example.com', resolvers: ['1.1.1.1'] } }, at);
  t.strictSame(new Set((set.spec as { resolvers: string[] }).resolvers), new Set(['1.1.1.1', '8.8.8.8', '9.9.9.9']));

  const event = { time: '2026-01-01T00:00:00Z', reason: 'R', message: 'm' };
  await apply('one', { ...base, status: { events: [event] } }, { subresource: 'status' });
  const message = 'Apply failed with 1 conflict: conflict with "one" with subresource "status": .status.events';
  await refused(t, apply('two', { ...base, status: { events: [] } }, { subresource: 'status' }), 'Conflict', message);
  t.strictSame(ownedBy(await home.get(Services, key), 'two'), ownedBy(both, 'two'));
});

void t.test('the body must be of the kind, fit the schema and leave managedFields alone', async (t) => {
  const { apply } = sceneOf(t);
  await apply('one', whole);
  const typed = 'failed to create typed patch object (/a; gridferry.io/v1alpha1, Kind=Service): ';
  const cases: [body: Json, reason: StatusReason, message: string][] = [
    [{ ...whole, kind: 'Foo' }, 'BadRequest', 'invalid object type: gridferry.io/v1alpha1, Kind=Foo'],
    [{ ...whole, apiVersion: 'v1' }, 'BadRequest', 'invalid object type: /v1, Kind=Service'],
    [{ spec }, 'BadRequest', 'invalid object type: /, Kind='],
    [{ ...whole, metadata: { name: 'a', managedFields: [] } }, 'BadRequest', 'metadata.managedFields must be nil'],
    [{ ...base, spec: { ...spec, foo: 1 } }, 'Unknown', `${typed}.spec.foo: field not declared in schema`],
    [
      { ...base, spec: { ...spec, container: 3, addons: 'x' } },
      'Unknown',
      `${typed}errors:\n  .spec.addons: expected list, got &{x}\n  .spec.container: expected string, got &value.valueUnstructured{Value:3}`,
    ],
    [
      { ...base, spec: { addons: [{ name: 'x' }, { name: 'x' }, {}] } },
      'Unknown',
      `${typed}errors:\n  .spec.addons: duplicate entries for key [name="x"]\n  .spec.addons: element 2: associative list with keys has an element that omits all key fields ["name"] (and doesn't have default values for any key fields)`,
    ],
    [
      { ...whole, metadata: { name: 'z' } },
      'BadRequest',
      'the name of the object (z) does not match the name on the URL (a)',
    ],
    [
      { ...whole, metadata: { name: 'a', namespace: 'other' } },
      'BadRequest',
      'the namespace of the provided object does not match the namespace sent on the request',
    ],
  ];
  for (const [body, reason, message] of cases) await refused(t, apply('one', body), reason, message);
  const nameless = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch';
  await refused(t, apply('', whole), 'Invalid', nameless);
  const undeterminable = 'the name of the object (b based on URL) was undeterminable: name must be provided';
  const generated = { ...whole, metadata: { generateName: 'x-' } };
  await refused(t, apply('one', generated, { key: { ...key, name: 'b' } }), 'BadRequest', undeterminable);
});

void t.test('version and uid in the body are preconditions', async (t) => {
  const { apply } = sceneOf(t);
  const made = await apply('one', { ...whole, metadata: { name: 'a', resourceVersion: '77' } });
  const { resourceVersion, uid } = made.metadata;
  await apply('one', { ...whole, metadata: { name: 'a', resourceVersion, uid } });
  const modified =
    'Operation cannot be fulfilled on services.gridferry.io "a": the object has been modified; please apply your changes to the latest version and try again';
  await refused(t, apply('one', { ...whole, metadata: { name: 'a', resourceVersion: '1' } }), 'Conflict', modified);
  const immutable = 'Service.gridferry.io "a" is invalid: metadata.uid: Invalid value: "u": field is immutable';
  await refused(t, apply('one', { ...whole, metadata: { name: 'a', uid: 'u' } }), 'Invalid', immutable);
  const mismatch =
    'Operation cannot be fulfilled on services.gridferry.io "b": uid mismatch: the provided object specified uid u, and no existing object was found';
  const absent = { ...whole, metadata: { name: 'b', uid: 'u' } };
  await refused(t, apply('one', absent, { key: { ...key, name: 'b' } }), 'Conflict', mismatch);
});

void t.test('a status is applied through its own endpoint, which makes no objects', async (t) => {
  const { apply } = sceneOf(t);
  const status = { ...base, status: { server: 's1' } };
  await refused(t, apply('ctrl', status, { subresource: 'status' }), 'NotFound', 'services.gridferry.io "a" not found');
  await apply('one', { ...whole, ...status });
  const applied = await apply('ctrl', { ...status, spec: { container: 'no' } }, { subresource: 'status' });
  t.match(applied, { spec, status: { server: 's1' } });
  t.strictSame(ownedBy(applied, 'ctrl'), { 'f:status': { 'f:server': {} } });
  t.strictSame(ownedBy(applied, 'one'), { 'f:spec': { 'f:container': {}, 'f:serverRef': { 'f:name': {} } } });
});

void t.test('who applied with the client before may go on with the server, and back', async (t) => {
  const { apply, home } = sceneOf(t);
  const lastApplied = JSON.stringify({ ...whole, metadata: { name: 'a', namespace: 'default' } });
  const metadata = { ...key, annotations: { [LAST_APPLIED]: lastApplied } };
  await home.create(Services, { ...whole, metadata } as never, { fieldManager: 'kubectl-client-side-apply' });
  const changed = { ...base, spec: { ...spec, container: 'd' } };
  const foreign =
    'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using gridferry.io/v1alpha1: .spec.container';
  await refused(t, apply('other', changed), 'Conflict', foreign);
  const applied = await apply('kubectl', changed);
  t.match(applied.spec, { container: 'd' });
  t.equal(
    applied.metadata.annotations?.[LAST_APPLIED],
    `{"apiVersion":"${API_VERSION}","kind":"Service","metadata":{"name":"a"},"spec":{"container":"d","serverRef":{"name":"s1"}}}\n`,
  );
});

void t.test('core kinds are applied too; what a Secret hides in stringData stays owned there', async (t) => {
  const { apply } = sceneOf(t);
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } };
  const at = { type: Secrets };
  const made = await apply('one', { ...secret, stringData: { x: '1' }, data: { y: 'MQ==' } }, at);
  t.strictSame((made as { data?: unknown }).data, { x: 'MQ==', y: 'MQ==' });
  t.strictSame(ownedBy(made, 'one'), { 'f:data': { 'f:y': {} }, 'f:stringData': { 'f:x': {} } });
  const less = await apply('one', { ...secret, stringData: { x: '2' } }, at);
  t.strictSame((less as { data?: unknown }).data, { x: 'Mg==' });

  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } };
  const problem =
    'failed to create typed patch object (/a; /v1, Kind=ConfigMap): errors:\n  .data.x: expected string, got &value.valueUnstructured{Value:1}\n  .immutable: expected boolean, got &{s}';
  await refused(t, apply('one', { ...map, data: { x: 1 }, immutable: 's' }, { type: ConfigMaps }), 'Unknown', problem);
});

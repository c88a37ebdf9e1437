import t from 'tap';
import { CONFIG_MAPS, configMap, listed, openApi, patch, post, send, service, SERVICES } from './wire.ts';

const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' };

void t.test('discovery, plain and aggregated, names every kind with its verbs', async (t) => {
  const api = await openApi(t);
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
  const aggregated = await send(api, 'GET', '/apis?timeout=32s', { headers: { accept } });
  t.equal(aggregated.headers['content-type'], 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
  const custom = listed(aggregated.body.items).findIndex((item) => item.metadata.name === 'gridferry.io');
  t.match(
    listed(aggregated.body.items[custom].versions[0].resources).find(({ resource }) => resource === 'transfers'),
    { shortNames: ['xfer'], categories: ['gridferry'], scope: 'Namespaced', subresources: [{ subresource: 'status' }] },
  );
  t.match((await send(api, 'GET', '/apis')).body, { kind: 'APIGroupList' });
  t.match((await send(api, 'GET', '/api')).body, { kind: 'APIVersions', versions: ['v1'] });
  const core = await send(api, 'GET', '/api/v1');
  t.same(
    listed(core.body.resources).map(({ name }) => name),
    ['configmaps', 'events', 'namespaces', 'namespaces/status', 'secrets'],
  );
});

void t.test('the OpenAPI index leads to documents whose references all resolve', async (t) => {
  const api = await openApi(t);
  const { paths } = (await send(api, 'GET', '/openapi/v3')).body;
  t.same(Object.keys(paths).toSorted(), ['api/v1', 'apis/coordination.k8s.io/v1', 'apis/gridferry.io/v1alpha1']);
  for (const { serverRelativeURL } of Object.values(paths) as { serverRelativeURL: string }[]) {
    const document = await send(api, 'GET', serverRelativeURL);
    const names = new Set(Object.keys(document.body.components.schemas));
    for (const [, name = ''] of document.text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      t.ok(names.has(name), name);
  }
  const transfers = (await send(api, 'GET', '/openapi/v3/apis/gridferry.io/v1alpha1')).body;
  const named = transfers.paths['/apis/gridferry.io/v1alpha1/namespaces/{namespace}/transfers/{name}'];
  t.match(named.patch['x-kubernetes-group-version-kind'], { kind: 'Transfer', version: 'v1alpha1' });
  t.ok(listed(named.patch.parameters).some(({ name }) => name === 'fieldValidation'));
  t.match(transfers.components.schemas['io.gridferry.v1alpha1.Transfer'].properties.metadata.allOf, [
    { $ref: /ObjectMeta$/ },
  ]);
});

void t.test('the old OpenAPI document has nothing in it, as JSON and as protobuf', async (t) => {
  const api = await openApi(t);
  const { body } = await send(api, 'GET', '/openapi/v2');
  t.match(body, { swagger: '2.0', info: { title: 'Gridferry' }, definitions: {} });
  const media = 'application/com.github.proto-openapi.spec.v2';
  for (const accept of [`${media}@v1.0+protobuf`, `${media}.v1.0+protobuf, application/json`]) {
    const document = await send(api, 'GET', '/openapi/v2', { headers: { accept } });
    t.equal(document.headers['content-type'], `${media}.v1.0+protobuf`);
    t.equal(document.text, '\n\u00032.0\u0012\u0012\n\tGridferry\u0012\u00050.0.0');
  }
  t.equal((await send(api, 'GET', '/openapi/v2', { headers: { accept: 'text/html' } })).code, 406);
  t.equal((await send(api, 'DELETE', '/openapi/v2')).code, 405);
  t.equal((await send(api, 'GET', '/openapi/v2/x')).code, 404);
});

void t.test('a list goes on over writes where it was, and inconsistently once its snapshot is gone', async (t) => {
  const api = await openApi(t, { changeWindow: 20 });
  for (const name of ['a', 'b', 'c', 'd']) await post(api, SERVICES, service(name));
  const first = (await send(api, 'GET', `${SERVICES}?limit=2`)).body;
  t.match(first, {
    items: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }],
    metadata: { remainingItemCount: 2 },
  });
  await send(api, 'DELETE', `${SERVICES}/c`);
  await post(api, SERVICES, service('bb'));
  const more = encodeURIComponent(first.metadata.continue);
  const second = (await send(api, 'GET', `${SERVICES}?limit=2&continue=${more}`)).body;
  t.match(second, { items: [{ metadata: { name: 'c' } }, { metadata: { name: 'd' } }] });
  t.equal(second.metadata.continue, '');
  t.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
  for (let i = 0; i < 60; i++) await post(api, CONFIG_MAPS, configMap(`c${String(i)}`));
  const expired = await send(api, 'GET', `${SERVICES}?limit=2&continue=${more}`);
  t.match(expired, { code: 410, body: { reason: 'Expired' } });
  const again = encodeURIComponent(expired.body.metadata.continue);
  const rest = (await send(api, 'GET', `${SERVICES}?continue=${again}`)).body;
  t.match(rest, { items: [{ metadata: { name: 'bb' } }, { metadata: { name: 'd' } }] });
  t.equal((await send(api, 'GET', `${SERVICES}?continue=${again}&resourceVersion=5`)).code, 400);
});

void t.test('resourceVersion and resourceVersionMatch mean what they mean in Kubernetes', async (t) => {
  const api = await openApi(t);
  const { resourceVersion } = (await post(api, SERVICES, service('a'))).body.metadata;
  await post(api, SERVICES, service('b'));
  const names = async (query: string): Promise<string[]> =>
    listed((await send(api, 'GET', `${SERVICES}?${query}`)).body.items).map(({ metadata }) => metadata.name);
  t.same(await names(`resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`), ['a']);
  t.same(await names(`resourceVersion=${resourceVersion}&resourceVersionMatch=NotOlderThan`), ['a', 'b']);
  t.same(await names(`resourceVersion=${resourceVersion}`), ['a', 'b']);
  t.same(await names('resourceVersion=0'), ['a', 'b']);
  const future = await send(api, 'GET', `${SERVICES}?resourceVersion=999999`);
  t.match(future, { code: 504, headers: { 'retry-after': '1' }, body: { reason: 'Timeout' } });
  t.equal((await send(api, 'GET', `${SERVICES}/a?resourceVersion=999999`)).code, 504);
  for (const query of [
    'resourceVersionMatch=Exact',
    'resourceVersion=0&resourceVersionMatch=Exact',
    'sendInitialEvents=true',
  ]) {
    t.match(await send(api, 'GET', `${SERVICES}?${query}`), { code: 422, body: { reason: 'Invalid' } }, query);
  }
});

void t.test('tables have the columns of the kind, and of each object what was asked for', async (t) => {
  const api = await openApi(t);
  await post(api, SERVICES, service('a'));
  const table = (await send(api, 'GET', SERVICES, { headers: TABLE })).body;
  t.match(table, {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    rows: [{ cells: ['a'], object: { kind: 'PartialObjectMetadata' } }],
  });
  t.match(table.columnDefinitions[0], {
    name: 'Name',
    type: 'string',
    format: 'name',
    description: /^Name must be unique/,
  });
  const one = await send(api, 'GET', `${SERVICES}/a?includeObject=Object`, { headers: TABLE });
  t.match(one.body.rows, [{ object: { kind: 'Service', spec: { container: 'c' } } }]);
  const none = await send(api, 'GET', `${SERVICES}/a?includeObject=None`, { headers: TABLE });
  t.equal(none.body.rows[0].object, null);
  t.equal((await send(api, 'GET', `${SERVICES}?includeObject=x`, { headers: TABLE })).code, 400);
  await post(api, '/api/v1/namespaces/default/secrets', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    stringData: { password: 'hidden' },
  });
  const secrets = await send(api, 'GET', '/api/v1/secrets', { headers: TABLE });
  t.match(secrets.body.rows, [{ cells: ['s', 'Opaque', 1, String] }]);
  t.notMatch(secrets.text, /hidden|aGlkZGVu/);
});

void t.test('an answer comes as JSON, YAML or metadata only, or is not acceptable', async (t) => {
  const api = await openApi(t);
  await post(api, SERVICES, service('a'));
  const yaml = await send(api, 'GET', SERVICES, { headers: { accept: 'application/yaml' } });
  t.match(yaml, { headers: { 'content-type': 'application/yaml' }, text: /kind: ServiceList/ });
  const partial = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';
  t.match((await send(api, 'GET', SERVICES, { headers: { accept: partial } })).body, {
    kind: 'PartialObjectMetadataList',
    items: [{ metadata: { name: 'a' } }],
  });
  for (const accept of [
    'text/html',
    'application/vnd.kubernetes.protobuf',
    'application/json;as=Table;v=v9;g=meta.k8s.io',
  ]) {
    t.match(
      await send(api, 'GET', SERVICES, { headers: { accept } }),
      { code: 406, body: { reason: 'NotAcceptable' } },
      accept,
    );
  }
});

void t.test('unknown and doubled fields are refused, warned of, or dropped', async (t) => {
  const api = await openApi(t);
  const body = JSON.stringify(service('a')).replace('"container"', '"typo":1,"container":"b","container"');
  const create = (validation: string): ReturnType<typeof send> =>
    send(api, 'POST', `${SERVICES}?dryRun=All&fieldValidation=${validation}`, {
      body,
      headers: { 'content-type': 'application/json' },
    });
  const strict = await create('Strict');
  t.match(strict, { code: 400, body: { message: /duplicate field "spec.container", unknown field "spec.typo"/ } });
  const warned = await create('Warn');
  t.equal(warned.code, 201);
  t.match(warned.headers['warning'], String.raw`299 - "duplicate field \"spec.container\""`);
  t.match(warned.headers['warning'], String.raw`299 - "unknown field \"spec.typo\""`);
  const ignored = await create('Ignore');
  t.equal(ignored.code, 201);
  t.equal(ignored.headers['warning'], undefined);
  t.equal(ignored.body.metadata.resourceVersion, undefined, 'what is not stored has no version');
  t.equal((await send(api, 'GET', `${SERVICES}/a`)).code, 404);
  const refused = await post(api, `${SERVICES}?fieldValidation=Warn`, { ...service('b'), spec: { typo: 1 } });
  t.match(refused, { code: 422, headers: { warning: String.raw`299 - "unknown field \"spec.typo\""` } });
});

void t.test('a subresource that a custom kind lacks is not found on its object', async (t) => {
  const api = await openApi(t);
  const message = 'services.gridferry.io "a" not found';
  t.match(await send(api, 'GET', `${SERVICES}/a/scale`), { code: 404, body: { message, details: { name: 'a' } } });
  const unserved = { code: 404, body: { message: 'the server could not find the requested resource' } };
  t.match(await send(api, 'GET', `${CONFIG_MAPS}/a/scale`), unserved);
});

void t.test('a deletion answers with Success, or with the object that still waits for something', async (t) => {
  const api = await openApi(t);
  const { uid } = (await post(api, SERVICES, service('a'))).body.metadata;
  await post(api, SERVICES, service('b', { finalizers: ['x.io/y'] }));
  const wrong = { body: '{"preconditions":{"uid":"other"}}', headers: { 'content-type': 'application/json' } };
  t.match(await send(api, 'DELETE', `${SERVICES}/a`, wrong), { code: 409, body: { reason: 'Conflict' } });
  t.match(await send(api, 'DELETE', `${SERVICES}/a?dryRun=All`), { code: 200, body: { status: 'Success' } });
  t.match(await send(api, 'DELETE', `${SERVICES}/a`), {
    code: 200,
    body: { kind: 'Status', status: 'Success', details: { name: 'a', group: 'gridferry.io', kind: 'services', uid } },
  });
  t.match(await send(api, 'DELETE', `${SERVICES}/b`), {
    code: 200,
    body: { kind: 'Service', metadata: { deletionTimestamp: String } },
  });
  await patch(api, `${SERVICES}/b`, 'merge-patch+json', { metadata: { finalizers: null } });
  t.equal((await send(api, 'GET', `${SERVICES}/b`)).code, 404);
  t.equal((await send(api, 'DELETE', `${SERVICES}/b?propagationPolicy=Sometimes`)).code, 422);
});

void t.test('a collection is deleted by selection, a namespace with all that is in it', async (t) => {
  const api = await openApi(t);
  await post(api, '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
  const services = SERVICES.replace('default', 'team');
  for (const name of ['a', 'b']) await post(api, services, service(name, { labels: { name } }));
  t.match((await send(api, 'DELETE', `${services}?labelSelector=name%3Da`)).body, {
    kind: 'ServiceList',
    items: [{ metadata: { name: 'a' } }],
  });
  t.equal((await send(api, 'GET', services)).body.items.length, 1);
  const gone = await send(api, 'DELETE', '/api/v1/namespaces/team');
  t.match(gone, {
    code: 200,
    body: { kind: 'Namespace', metadata: { deletionTimestamp: String }, status: { phase: 'Terminating' } },
  });
  t.equal((await send(api, 'GET', services)).body.items.length, 0);
  t.match(await post(api, services, service('c')), { code: 404, body: { message: 'namespaces "team" not found' } });
});

void t.test('patches of core kinds may be strategic, those of custom kinds may not', async (t) => {
  const api = await openApi(t);
  await post(api, CONFIG_MAPS, configMap('a', { x: '1' }));
  await post(api, SERVICES, service('a'));
  const merged = await patch(api, `${CONFIG_MAPS}/a`, 'strategic-merge-patch+json', { data: { y: '2' } });
  t.match(merged, { code: 200, body: { data: { x: '1', y: '2' } } });
  const late = { metadata: { resourceVersion: '1' } };
  t.equal((await patch(api, `${CONFIG_MAPS}/a`, 'strategic-merge-patch+json', late)).code, 409);
  const refused = await patch(api, `${SERVICES}/a`, 'strategic-merge-patch+json', {});
  t.match(refused, { code: 415, body: { message: /accepted media types include: application\/json-patch\+json/ } });
  const writers = Array.from({ length: 4 }, (_, i) =>
    patch(api, `${CONFIG_MAPS}/a`, 'strategic-merge-patch+json', { data: { [`w${String(i)}`]: 'x' } }),
  );
  t.same(
    (await Promise.all(writers)).map((reply) => reply.code),
    [200, 200, 200, 200],
  );
  t.equal(Object.keys((await send(api, 'GET', `${CONFIG_MAPS}/a`)).body.data).length, 6);
});

void t.test('who applies names itself; what it makes is 201, what it changes 200', async (t) => {
  const api = await openApi(t);
  const apply = (query: string): ReturnType<typeof send> =>
    send(api, 'PATCH', `${SERVICES}/a${query}`, {
      body: JSON.stringify(service('a')),
      headers: { 'content-type': 'application/apply-patch+yaml' },
    });
  t.match(await apply(''), { code: 422, body: { details: { kind: 'PatchOptions' } } });
  t.equal((await apply('?fieldManager=me')).code, 201);
  t.equal((await apply('?fieldManager=me')).code, 200);
});

void t.test('the writer of a change is recorded by the name it gives, or by that of its program', async (t) => {
  const api = await openApi(t);
  t.match((await post(api, SERVICES, service('a'))).body.metadata.managedFields, [{ manager: 'test' }]);
  t.match((await post(api, `${SERVICES}?fieldManager=me`, service('b'))).body.metadata.managedFields, [
    { manager: 'me' },
  ]);
  t.equal((await post(api, `${SERVICES}?fieldManager=${'x'.repeat(129)}`, service('c'))).code, 422);
});

void t.test('the status is a resource of its own', async (t) => {
  const api = await openApi(t);
  await post(api, SERVICES, service('a'));
  const changed = await patch(api, `${SERVICES}/a/status`, 'merge-patch+json', {
    spec: { container: 'd' },
    status: { server: 's1' },
  });
  t.match(changed, { code: 200, body: { spec: { container: 'c' }, status: { server: 's1' } } });
  t.match((await send(api, 'GET', `${SERVICES}/a/status`)).body, { status: { server: 's1' } });
  t.equal((await send(api, 'GET', `${CONFIG_MAPS}/a/status`)).code, 404);
});

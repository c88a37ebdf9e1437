import t from 'tap';
import type { Test as Tap } from 'tap';
import { Secrets } from '../../src/api/core.ts';
import { crdOf } from '../../src/api/crds.ts';
import { nearest } from '../../src/api/nearest.ts';
import { ManagedServers, PlatformConfigs, Services, servedTypes, Transfers } from '../../src/api/resources.ts';
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import type { OpenApiSchema } from '../../src/api/schema/crd.ts';
import { validate } from '../../src/api/validation.ts';

function object(type: ResourceType, spec: unknown, name = 'one'): KubeObject & { spec: Record<string, unknown> } {
  const apiVersion = `${type.group}/${type.version}`;
  return { apiVersion, kind: type.kind, metadata: { name }, spec: spec as Record<string, unknown> };
}

const transfer = (spec: object = {}) =>
  object(Transfers, {
    container: 'web',
    sourceServerRef: { name: 'alpha' },
    targetServerRef: { name: 'beta' },
    ...spec,
  });

const problems = (type: ResourceType, candidate: KubeObject, old?: KubeObject) =>
  validate(type, candidate, old).map(({ field, message }) => `${field}: ${message}`);

void t.test('defaults are filled in as the API server does', async (t) => {
  const candidate = transfer({ healthCheck: { http: { port: 8080 } } });
  t.same(validate(Transfers, candidate), []);
  t.match(candidate.spec, {
    type: 'Service',
    strategy: 'Auto',
    verify: 'Changed',
    rollbackWindow: '48h',
    cancel: false,
    healthCheck: { timeout: '60s', http: { path: '/', scheme: 'http', expectedStatus: '200-399' } },
  });
  const server = object(ManagedServers, { address: '10.0.0.1', ssh: { credentialsRef: { name: 'key' } } });
  t.same(validate(ManagedServers, server), []);
  t.match(server.spec, { ssh: { port: 22, user: 'root', hostKeyPolicy: 'Strict' }, allowUserWorkloads: true });
});

void t.test('a typo is named with the field that was meant', async (t) => {
  t.same(problems(Transfers, transfer({ helthCheck: {} })), [
    'spec.helthCheck: unknown field "spec.helthCheck", did you mean "healthCheck"?',
  ]);
  t.match(problems(Transfers, transfer({ verify: 'Ful' })), [/^spec.verify: Unsupported value: "Ful".*"Full"\?$/]);
  const misplaced = { ...transfer(), metadata: { name: 'one', label: {} } } as unknown as KubeObject;
  t.match(problems(Transfers, misplaced), [/metadata.label: unknown field .* did you mean "labels"/]);
});

void t.test('every problem is named at once, each with its field', async (t) => {
  const found = problems(
    Transfers,
    transfer({ healthCheck: { http: { port: 'high', path: 'x' } }, targetServerRef: {}, soak: 'soon' }),
  );
  t.match(found.sort(), [
    /^spec.healthCheck.http.path: /,
    /^spec.healthCheck.http.port: Invalid value: "high": must be of type integer, not string/,
    /^spec.soak: /,
    /^spec.targetServerRef.name: Required value/,
  ]);
});

void t.test('exactly one thing is moved, and between two servers', async (t) => {
  t.match(problems(Transfers, transfer({ composeProject: 'blog' })), [/exactly one of/]);
  t.match(problems(Transfers, transfer({ container: undefined })), [/exactly one of/]);
  t.match(problems(Transfers, transfer({ targetServerRef: { name: 'alpha' } })), [/same server/]);
  t.match(problems(Transfers, transfer({ sourceServerRef: undefined })), [/sourceServerRef is required/]);
  const service = transfer({ container: undefined, sourceServerRef: undefined, serviceRef: { name: 'shop' } });
  t.same(problems(Transfers, service), []);
});

void t.test('what is moved and where cannot be changed, verbs can', async (t) => {
  const old = transfer();
  validate(Transfers, old);
  t.match(problems(Transfers, transfer({ container: 'other' }), old), [/cannot be changed/]);
  t.match(problems(Transfers, transfer({ targetServerRef: { name: 'gamma' } }), old), [/servers cannot be changed/]);
  t.same(problems(Transfers, transfer({ cancel: true, suspend: true, retryToken: '2' }), old), []);
});

void t.test('a server is either this machine or reached over SSH', async (t) => {
  t.same(problems(ManagedServers, object(ManagedServers, { local: true })), []);
  t.match(problems(ManagedServers, object(ManagedServers, {})), [/address is required/, /ssh is required/]);
  t.match(problems(ManagedServers, object(ManagedServers, { local: true, address: '10.0.0.1' })), [/local excludes/]);
});

void t.test('a namespace has one PlatformConfig, named default', async (t) => {
  t.same(problems(PlatformConfigs, object(PlatformConfigs, { domain: 'example.org' }, 'default')), []);
  t.match(problems(PlatformConfigs, object(PlatformConfigs, { domain: 'example.org' }, 'other')), [/named "default"/]);
});

void t.test('addons have distinct names, and core kinds are checked too', async (t) => {
  const addon = { name: 'db', container: 'pg' };
  const twice = { container: 'web', serverRef: { name: 'alpha' }, addons: [addon, addon] };
  t.match(problems(Services, object(Services, twice)), [/^spec.addons\[1\]: Duplicate value: {"name":"db"}$/]);
  t.same(
    problems(Services, object(Services, { container: 'web', serverRef: { name: 'alpha' } })),
    [],
    'a Service needs no addons',
  );
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringdata: {} } as KubeObject;
  t.match(problems(Secrets, secret), [/did you mean "stringData"/]);
});

void t.test('the nearest word is found, and nothing when none is near', async (t) => {
  t.equal(nearest('conatiner', ['container', 'composeProject']), 'container');
  t.equal(nearest('TargetserverRef', ['targetServerRef']), 'targetServerRef');
  t.equal(nearest('xyz', ['container', 'composeProject']), undefined);
  t.equal(nearest('a', []), undefined);
});

void t.test('the CRDs keep the rules of structural schemas and the API conventions', async (t) => {
  for (const type of servedTypes.filter(({ group }) => group === 'gridferry.io')) {
    const crd = crdOf(type);
    t.match(crd?.spec.names, { kind: type.kind, plural: type.plural, categories: ['gridferry'] });
    t.same(crd?.spec.names.shortNames, type.shortNames);
    const version = crd?.spec.versions[0];
    t.ok(version?.subresources.status, `${type.kind} has status as a subresource`);
    t.ok((version?.additionalPrinterColumns.length ?? 0) > 0);
    const { spec, status } = version?.schema.openAPIV3Schema.properties ?? {};
    for (const [part, schema] of Object.entries({ spec, status })) walk(t, `${type.kind}.${part}`, schema ?? {});
  }
});

function walk(t: Tap, path: string, schema: OpenApiSchema): void {
  t.ok(schema.type, `${path} has a type`);
  t.ok(schema.description, `${path} has a description`);
  if (schema.type === 'array') t.ok(schema['x-kubernetes-list-type'], `${path} says how lists merge`);
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    t.match(name, /^[a-z][a-zA-Z]*$/, `${path}.${name} is camelCase`);
    walk(t, `${path}.${name}`, child);
  }
  // Entries of a list are described by the list.
  if (schema.items?.properties !== undefined) {
    for (const [name, child] of Object.entries(schema.items.properties)) walk(t, `${path}[].${name}`, child);
  }
}

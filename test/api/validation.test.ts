import t from 'tap';
import type { Test as Tap } from 'tap';
import { Secrets } from '../../src/api/core.ts';
import { crdOf } from '../../src/api/crds.ts';
import { nearest } from '../../src/api/nearest.ts';
import { ManagedServers, PlatformConfigs, Services, servedTypes, Transfers } from '../../src/api/resources.ts';
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import type { OpenApiSchema } from '../../src/api/schema/crd.ts';
import { ruleViolations } from '../../src/api/cel-rules.ts';
import { explainSchema } from '../../src/api/explanation.ts';
import { dropUnknown, fillDefaults, unknownMembers } from '../../src/api/structural.ts';
import { duplicates, schemaErrors, schemaViolations } from '../../src/api/validation.ts';

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

const problems = (type: ResourceType, candidate: KubeObject) =>
  explainSchema(type, candidate).map(({ field, message }) => `${field}: ${message}`);

void t.test('defaults are filled in as the API server does', async (t) => {
  const candidate = transfer({ healthCheck: { http: { port: 8080 } } });
  t.same(problems(Transfers, candidate), []);
  t.match(candidate.spec, {
    type: 'Service',
    strategy: 'Auto',
    verify: 'Changed',
    rollbackWindow: '48h',
    cancel: false,
    healthCheck: { timeout: '60s', http: { path: '/', scheme: 'http', expectedStatus: '200-399' } },
  });
  const server = object(ManagedServers, { address: '10.0.0.1', ssh: { credentialsRef: { name: 'key' } } });
  t.same(problems(ManagedServers, server), []);
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
    transfer({ healthCheck: { http: { port: 'high', path: 'x' } }, targetServerRef: {}, soak: { duration: 'soon' } }),
  );
  t.match(found.sort(), [
    /^spec.healthCheck.http.path: /,
    /^spec.healthCheck.http.port: Invalid value: "high": must be of type integer, not string/,
    /^spec.soak.duration: /,
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
  const schema = crdOf(Transfers)?.spec.versions[0]?.schema.openAPIV3Schema ?? {};
  const changed = (spec: object): string[] => {
    const [old, next] = [transfer(), transfer(spec)];
    fillDefaults(schema, old);
    fillDefaults(schema, next);
    return ruleViolations(schema, next, old).map(({ message }) => message);
  };
  t.match(changed({ container: 'other' }), [/cannot be changed/]);
  t.match(changed({ targetServerRef: { name: 'gamma' } }), [/servers cannot be changed/]);
  t.same(changed({ cancel: true, suspend: true, retryToken: '2' }), []);
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

void t.test('what people read of a Secret shows none of its values', async (t) => {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    stringData: { a: { b: 'hunter2' }, c: 7 },
  };
  const found = problems(Secrets, secret as unknown as KubeObject);
  t.equal(found.length, 2);
  t.notMatch(found.join(), /hunter2|7/);
});

const listed: OpenApiSchema = {
  type: 'object',
  properties: {
    entries: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string' }, size: { type: 'integer', format: 'int32', maximum: 5, default: 1 } },
        'x-kubernetes-validations': [{ rule: 'self.size >= oldSelf.size', message: 'size cannot shrink' }],
      },
    },
  },
  'x-kubernetes-validations': [{ rule: 'self.entries.size() < 3', message: 'two at most' }],
};

void t.test('entries of a map list are followed by their key when a rule is about a change', async (t) => {
  const old = { entries: [{ name: 'a', size: 3 }] };
  const next = {
    entries: [
      { name: 'new', size: 1 },
      { name: 'a', size: 2 },
    ],
  };
  t.same(ruleViolations(listed, next, old), [
    { reason: 'FieldValueInvalid', field: 'entries[1]', message: 'Invalid value: size cannot shrink' },
  ]);
});

void t.test('what an update leaves as it was is not held against it', async (t) => {
  const three = {
    entries: [
      { name: 'a', size: 1 },
      { name: 'b', size: 1 },
      { name: 'c', size: 1 },
    ],
  };
  t.same(ruleViolations(listed, three, three), []);
  t.equal(ruleViolations(listed, { ...three, other: 1 }, three).length, 1, 'the object changed, so its rule counts');
  const [old, next] = [
    transfer({ soak: { duration: 'soon' } }),
    transfer({ soak: { duration: 'soon' }, retryToken: 'x'.repeat(64) }),
  ];
  t.same(
    schemaViolations(Transfers, next, old, 'all').map(({ field }) => field),
    ['spec.retryToken'],
  );
  t.equal(schemaViolations(Transfers, next, undefined, 'all').length, 2);
});

void t.test('doubles count in a list that changed, and in one that is new', async (t) => {
  const doubled = { entries: [{ name: 'a' }, { name: 'b' }, { name: 'a' }, { name: 'a' }] };
  const found = (next: unknown, old: unknown): string[] => duplicates(listed, next, old, '').map(({ field }) => field);
  t.same(duplicates(listed, doubled, undefined, ''), [
    { reason: 'FieldValueDuplicate', field: 'entries[2]', message: 'Duplicate value: {"name":"a"}' },
  ]);
  t.same(found(doubled, structuredClone(doubled)), []);
  t.same(found({ ...doubled, other: 1 }, doubled), []);
  t.same(found({ entries: [...doubled.entries, { name: 'c' }] }, doubled), ['entries[2]']);
});

void t.test('defaults reach into lists, and null is as good as absent', async (t) => {
  const value = { entries: [{ name: 'a' }, { name: 'b', size: null }], gone: null };
  fillDefaults(listed, value);
  t.same(value.entries, [
    { name: 'a', size: 1 },
    { name: 'b', size: 1 },
  ]);
  t.same(schemaErrors('test/listed', listed, { entries: [] }), []);
});

void t.test('unknown fields are dropped at every depth, and named in order', async (t) => {
  const value = { z: 1, entries: [{ name: 'a', zz: {}, aa: 1 }], metadata: { free: 1 } };
  const unknown = unknownMembers(listed, value);
  t.same(
    unknown.map(({ field }) => field),
    ['entries[0].aa', 'entries[0].zz', 'z'],
  );
  dropUnknown(unknown);
  t.same(value, { entries: [{ name: 'a' }], metadata: { free: 1 } });
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

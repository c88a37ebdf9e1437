import { documents, server, service, transfer } from '../manifests.ts';
import type { Scenario } from '../scenario.ts';

const unknown = service('web', { colour: 'blue', healthCheck: { http: { port: 80, pathh: '/' } } });
const services = '/apis/gridferry.io/v1alpha1/namespaces/${namespace}/services';
const twice = `{
  "apiVersion": "gridferry.io/v1alpha1", "kind": "Service", "metadata": { "name": "twice" },
  "spec": { "container": "one", "container": "two", "serverRef": { "name": "alpha" } }
}`;
const stamped = (metadata: object): string => service({ name: 'web', ...metadata });

export const validating: readonly Scenario[] = [
  {
    title: 'unknown and doubled fields are refused, warned of, or dropped, as --validate says',
    everyKubectl: true,
    files: { 'unknown.yaml': unknown, 'double.json': twice },
    steps: [
      {
        run: 'create -f unknown.yaml',
        exit: 1,
        says: ['strict decoding error: unknown field "spec.colour"', 'unknown field "spec.healthCheck.http.pathh"'],
      },
      { run: 'create -f unknown.yaml --validate=strict', exit: 1 },
      { run: 'apply -f unknown.yaml', exit: 1 },
      // Of several unknown fields it is chance which ones a cluster tells.
      {
        run: 'apply --server-side -f -',
        stdin: service('web', { colour: 'red' }),
        exit: 1,
        says: '.spec.colour: field',
      },
      { run: 'create -f unknown.yaml --validate=warn', says: 'Warning: unknown field "spec.colour"' },
      { run: 'get gsvc web -o yaml' },
      { run: 'apply -f unknown.yaml --validate=warn' },
      { run: 'replace -f unknown.yaml --validate=warn' },
      { run: 'apply -f unknown.yaml --validate=ignore' },
      { run: 'replace -f unknown.yaml --validate=false' },
      { run: 'replace -f unknown.yaml', exit: 1 },
      {
        run: `create --raw ${services}?fieldValidation=Strict -f double.json`,
        exit: 1,
        says: 'duplicate field "spec.container"',
      },
      {
        run: `create --raw ${services}?fieldValidation=Warn -f double.json`,
        says: 'Warning: duplicate field "spec.container"',
      },
      { run: 'apply -f unknown.yaml --validate=nonsense', exit: 1 },
    ],
  },
  {
    title: 'values that do not fit the schema are refused, all at once and with their fields',
    steps: [
      {
        run: 'create -f -',
        stdin: service('web', { container: 7 }),
        exit: 1,
        says: 'spec.container: Invalid value: "integer": spec.container in body must be of type string: "integer"',
      },
      {
        run: 'create -f -',
        stdin: service('web', { container: '-', publicName: 'x'.repeat(300) }),
        exit: 1,
        says: 'The Service "web" is invalid:',
      },
      {
        run: 'create -f -',
        stdin: service('web', { container: null }),
        exit: 1,
        says: 'spec.container: Required value',
      },
      {
        run: 'create -f -',
        stdin: service('web', { serverRef: {} }),
        exit: 1,
        says: 'spec.serverRef.name: Required value',
      },
      { run: 'create -f -', stdin: service('web', { serverRef: 'alpha' }), exit: 1 },
      { run: 'create -f -', stdin: service('web', { addons: {} }), exit: 1 },
      {
        run: 'create -f -',
        stdin: service('web', {
          addons: [
            { name: 'a', container: 'x' },
            { name: 'a', container: 'y' },
          ],
        }),
        exit: 1,
        says: 'Duplicate value',
      },
      {
        run: 'create -f -',
        stdin: service('web', {
          addons: Array.from({ length: 21 }, (_, i) => ({ name: `a${String(i)}`, container: 'x' })),
        }),
        exit: 1,
        says: 'must have at most 20 items',
      },
      { run: 'create -f -', stdin: service('web', { healthCheck: { http: { port: 0 }, timeout: 'soon' } }), exit: 1 },
      { run: 'create -f -', stdin: service('web', { healthCheck: { http: { port: 80.5 } } }), exit: 1 },
      {
        run: 'create -f -',
        stdin: service('web', { healthCheck: { http: { port: 70000, scheme: 'gopher' } } }),
        exit: 1,
        says: 'Unsupported value: "gopher": supported values: "http", "https"',
      },
      {
        run: 'create -f -',
        stdin: server('alpha', { ssh: { credentialsRef: { name: 'Not_A_Name' }, user: '' } }),
        exit: 1,
      },
      { run: 'create -f -', stdin: server('alpha', { local: 'yes', address: '' }), exit: 1 },
      {
        run: 'create -f -',
        stdin: 'apiVersion: gridferry.io/v1alpha1\nkind: Service\nmetadata: { name: web }\n',
        exit: 1,
        says: 'spec: Required value',
      },
      {
        run: 'create -f -',
        stdin: 'apiVersion: gridferry.io/v1alpha1\nkind: Service\nmetadata: { name: web }\nspec: 7\n',
        exit: 1,
      },
      {
        run: 'create -f -',
        stdin:
          'apiVersion: gridferry.io/v1alpha1\nkind: PlatformConfig\nmetadata: { name: default }\nspec: { domain: example.org, resolvers: [a, a] }\n',
        exit: 1,
      },
      {
        run: 'create -f -',
        stdin: 'apiVersion: gridferry.io/v9\nkind: Service\nmetadata: { name: web }\n',
        exit: 1,
        says: 'no matches for kind "Service" in version "gridferry.io/v9"',
      },
      {
        run: 'create -f -',
        stdin: 'apiVersion: gridferry.io/v1alpha1\nkind: Wombat\nmetadata: { name: web }\n',
        exit: 1,
      },
      { run: 'create -f -', stdin: 'kind: Service\nmetadata: { name: web }\n', exit: 1 },
      { run: 'create -f -', stdin: 'just words\n', exit: 1 },
      { run: 'apply -f -', stdin: service('web', { container: 7 }), exit: 1 },
      { run: 'apply --server-side -f -', stdin: service('web', { container: 7 }), exit: 1 },
      { run: 'apply --server-side -f -', stdin: service('web', { container: '-' }), exit: 1 },
    ],
  },
  {
    title: 'rules about the whole object, and fields that never change, are enforced',
    files: { 'move.yaml': transfer('move') },
    steps: [
      { run: 'create -f -', stdin: transfer('both', { composeProject: 'blog' }), exit: 1, says: 'spec: Invalid value' },
      {
        run: 'create -f -',
        stdin: transfer('same', { targetServerRef: { name: 'alpha' } }),
        exit: 1,
        says: 'sourceServerRef and targetServerRef name the same server: choose another target',
      },
      {
        run: 'create -f -',
        stdin: server('nowhere', { address: null, ssh: null }),
        exit: 1,
        says: 'address is required unless local is true',
      },
      {
        run: 'create -f -',
        stdin: service('web', { healthCheck: { http: { port: 80 }, tcp: { port: 80 } } }),
        exit: 1,
      },
      {
        run: 'create -f -',
        stdin:
          'apiVersion: gridferry.io/v1alpha1\nkind: PlatformConfig\nmetadata: { name: other }\nspec: { domain: example.org }\n',
        exit: 1,
      },
      { run: 'create -f move.yaml' },
      {
        run: `patch xfer move --type=merge -p '{"spec":{"container":"other"}}'`,
        exit: 1,
        says: 'what is moved cannot be changed: make a new Transfer',
      },
      {
        run: `patch xfer move --type=merge -p '{"spec":{"targetServerRef":{"name":"gamma"}}}'`,
        exit: 1,
        says: 'the servers cannot be changed',
      },
      { run: 'apply -f -', stdin: transfer('move', { container: null, serviceRef: { name: 'x' } }), exit: 1 },
      {
        run: `patch xfer move --type=merge --subresource=status -p '{"status":{"phase":"Flying"}}'`,
        exit: 1,
        says: 'Unsupported value: "Flying"',
      },
      { run: `patch xfer move --type=merge --subresource=status -p '{"status":{"progressPercent":"many"}}'`, exit: 1 },
      {
        run: `patch xfer move --type=merge --subresource=status -p '{"status":{"conditions":[{"type":"Ready"}]}}'`,
        exit: 1,
      },
      { run: 'get xfer move -o yaml' },
    ],
  },
  {
    title: 'metadata is validated',
    steps: [
      ...['Upper', '-a', 'a_b', 'a..b', 'x'.repeat(254)].map((name) => ({
        run: 'create -f -',
        stdin: service({ name }),
        exit: 1,
        says: 'metadata.name: Invalid value',
      })),
      { run: 'create -f -', stdin: service({ name: 'a/b' }), exit: 1 },
      { run: 'create -f -', stdin: service({ generateName: 'Generated-' }), exit: 1 },
      {
        run: 'create -f -',
        stdin: stamped({ labels: { 'bad key': 'x' } }),
        exit: 1,
        says: 'metadata.labels: Invalid value',
      },
      { run: 'create -f -', stdin: stamped({ labels: { key: 'bad value' } }), exit: 1 },
      { run: 'create -f -', stdin: stamped({ labels: { key: 7 } }), exit: 1 },
      { run: 'create -f -', stdin: stamped({ labels: ['x'] }), exit: 1 },
      { run: 'create -f -', stdin: stamped({ annotations: { 'bad key': 'x' } }), exit: 1 },
      { run: 'create -f -', stdin: stamped({ annotations: { big: 'x'.repeat(262_145) } }), exit: 1, says: 'Too long' },
      { run: 'create -f -', stdin: stamped({ finalizers: ['unqualified'] }) },
      { run: `patch gsvc web --type=merge -p '{"metadata":{"finalizers":null}}'` },
      { run: 'delete gsvc web' },
      { run: 'create -f -', stdin: stamped({ finalizers: ['a b/c'] }), exit: 1 },
      {
        run: 'create -f -',
        stdin: stamped({ ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x' }] }),
        exit: 1,
      },
      {
        run: 'create -f -',
        stdin: stamped({ ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: '', uid: '' }] }),
        exit: 1,
      },
      {
        run: 'create -f -',
        stdin: stamped({ resourceVersion: '7' }),
        says: 'created',
      },
      { run: 'delete gsvc web' },
      { run: 'create -f -', stdin: stamped({ wheels: 4 }), exit: 1 },
      { run: 'create -f -', stdin: stamped({ creationTimestamp: 'yesterday' }), exit: 1 },
      {
        run: 'create -f -',
        stdin: stamped({ generation: 7, uid: 'mine', selfLink: '/x', deletionTimestamp: '2001-02-03T04:05:06Z' }),
      },
      { run: 'get gsvc web -o yaml' },
      { run: 'create -f - -n other', stdin: stamped({ namespace: 'another' }), exit: 1 },
    ],
  },
  {
    title: 'defaults of the schema are stored, in nested objects as well',
    steps: [
      {
        run: 'create -f -',
        stdin: documents(
          server('alpha'),
          server('local', { address: null, ssh: null, local: true }),
          transfer('move', { healthCheck: { http: { port: 80 } } }),
          service('web', { healthCheck: {} }),
        ),
      },
      { run: 'get ms,xfer,gsvc -o yaml' },
      { run: `patch ms alpha --type=merge -p '{"spec":{"ssh":{"port":null}}}' -o yaml`, says: 'port: 22' },
    ],
  },
];

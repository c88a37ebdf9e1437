import { documents, service } from '../manifests.ts';
import type { Scenario, Step } from '../scenario.ts';

const kinds = ['managedservers', 'platformconfigs', 'gsvc', 'transfers'];
const fields = [
  'managedservers.spec',
  'managedservers.spec.ssh',
  'managedservers.spec.ssh.credentialsRef.name',
  'managedservers.spec.ssh.hostKeyPolicy',
  'managedservers.status',
  'managedservers.status.conditions',
  'managedservers.status.conditions.lastTransitionTime',
  'managedservers.status.facts.tools',
  'managedservers.status.facts.filesystems',
  'managedservers.metadata',
  'managedservers.metadata.ownerReferences',
  'managedservers.kind',
  'managedservers.apiVersion',
  'platformconfigs.spec.resolvers',
  'gsvc.spec.addons.container',
  'transfers.spec.healthCheck.http',
  'transfers.status.steps',
];

export const discovery: readonly Scenario[] = [
  {
    title: 'the kinds of the group are discovered with their names, verbs and categories',
    everyKubectl: true,
    steps: [
      {
        run: 'api-resources --api-group=gridferry.io',
        says: /^transfers +xfer +gridferry.io\/v1alpha1 +true +Transfer$/m,
      },
      {
        run: 'api-resources --api-group=gridferry.io -o wide',
        says: 'delete,deletecollection,get,list,patch,create,update,watch',
      },
      { run: 'api-resources --api-group=gridferry.io -o name --sort-by=kind' },
      { run: 'api-resources --categories=gridferry --no-headers', says: 'managedservers' },
      { run: 'api-resources --api-group=gridferry.io --namespaced=false' },
      { run: 'api-resources --api-group=gridferry.io --verbs=list,create -o name' },
      { run: 'api-resources --api-group=gridferry.io --verbs=fly -o name' },
      { run: 'api-resources --api-group=coordination.k8s.io -o wide' },
      {
        run: 'get --raw /apis/gridferry.io/v1alpha1',
        says: '"shortNames":["xfer"]',
        differs: { row: 'Discovery', embedded: '"resources":[', real: '"storageVersionHash":' },
      },
      { run: 'get --raw /apis/gridferry.io' },
      {
        run: 'get --raw /api',
        says: '"versions":["v1"]',
        differs: { row: 'Discovery', embedded: '"serverAddressByClientCIDRs":[]', real: '"clientCIDR":' },
      },
      { run: 'get --raw /apis/wombat.io/v1', exit: 1 },
      { run: 'get --raw /readyz', says: 'ok' },
      { run: 'get --raw /healthz', says: 'ok' },
      { run: 'get --raw /livez', says: 'ok' },
    ],
  },
  {
    title: 'explain shows every kind',
    steps: kinds.flatMap((kind): Step[] => [
      { run: `explain ${kind}`, says: ['GROUP:      gridferry.io', 'VERSION:    v1alpha1', 'FIELDS:'] },
      { run: `explain ${kind} --recursive` },
    ]),
  },
  {
    title: 'explain shows nested fields, and names what it does not know',
    everyKubectl: true,
    steps: [
      ...fields.map((field): Step => ({ run: `explain ${field}`, says: 'DESCRIPTION:' })),
      { run: 'explain ms.spec.ssh --recursive', says: /credentialsRef\s+<Object> -required-/ },
      { run: 'explain managedservers --api-version=gridferry.io/v1alpha1' },
      { run: 'explain managedservers --api-version=gridferry.io/v9', exit: 1 },
      { run: 'explain managedservers.spec.wheels', exit: 1, says: 'error: field "wheels" does not exist' },
      { run: 'explain wombats', exit: 1 },
    ],
  },
  {
    title: 'explain shows the core kinds',
    steps: ['secrets', 'configmaps', 'namespaces', 'events', 'leases'].flatMap((kind): Step[] => [
      { run: `explain ${kind}`, says: 'VERSION:    v1' },
      { run: `explain ${kind} --recursive` },
    ]),
  },
  {
    title: 'the user is told who he is and what he may do',
    everyKubectl: true,
    steps: [
      {
        run: 'auth whoami',
        differs: {
          row: 'Who you are',
          embedded: /^Username +admin$/m,
          real: /^Username +\S/m,
        },
      },
      { run: 'auth whoami -o jsonpath={.kind}', says: 'SelfSubjectReview' },
      { run: 'auth can-i create transfers', says: 'yes' },
      { run: `auth can-i '*' '*'`, says: 'yes' },
      { run: 'auth can-i get secrets -A', says: 'yes' },
      { run: 'auth can-i update transfers.gridferry.io/move-web --subresource=status', says: 'yes' },
      { run: 'auth can-i delete wombats', says: `Warning: the server doesn't have a resource type 'wombats'` },
      { run: 'auth can-i get /healthz', says: 'yes' },
      {
        run: 'auth can-i --list --no-headers',
        differs: { row: 'Who you are', embedded: /^\*\.\* +\[\] +\[\] +\[\*\]$/m, real: 'selfsubjectreviews' },
      },
    ],
  },
  {
    title: 'versions, addresses and settings are shown',
    steps: [
      {
        run: 'version',
        says: /^Client Version: /m,
        differs: {
          row: 'The server version',
          embedded: /^Server Version: v1\.\d+\.\d+\+gridferry-\S+$/m,
          real: /^Server Version: v1\.\d+\.\d+\S*$/m,
        },
      },
      {
        run: 'version -o json',
        says: '"serverVersion"',
        differs: { row: 'The server version', embedded: '"compiler": "node"', real: '"compiler": "gc"' },
      },
      { run: 'version --client' },
      { run: 'config view', says: ['server: https://<server>', 'token: REDACTED', 'namespace: namespace-of-test'] },
      { run: 'config current-context', says: 'test' },
      { run: 'config get-contexts' },
      {
        run: 'cluster-info',
        differs: {
          row: '`services` without a group',
          embedded: 'no kind "ServiceList" is registered for version "gridferry.io/v1alpha1"',
          exit: 1,
          real: /is running at .*https:\/\/<server>/,
        },
      },
      {
        run: 'api-versions',
        says: ['coordination.k8s.io/v1\n', 'gridferry.io/v1alpha1\n', /^v1$/m],
        differs: { row: 'Kinds that are served', embedded: 'authentication.k8s.io/v1\n', real: 'apps/v1\n' },
      },
      {
        run: 'api-resources -o name',
        says: ['configmaps\n', 'events\n', 'namespaces\n', 'secrets\n', 'leases.coordination.k8s.io\n'],
        differs: { row: 'Kinds that are served', embedded: 'transfers.gridferry.io\n[exit 0]', real: 'pods\n' },
      },
      {
        run: 'get pods',
        differs: {
          row: 'Kinds that are served',
          embedded: `error: the server doesn't have a resource type "pods"`,
          exit: 1,
          real: 'No resources found in namespace-of-test namespace.',
        },
      },
    ],
  },
  {
    title: 'services without a group are ours where there are no others',
    files: { 'web.yaml': service('web') },
    steps: [
      { run: 'create -f web.yaml' },
      { run: 'get services.gridferry.io', says: /^web /m },
      {
        run: 'get services',
        differs: { row: '`services` without a group', embedded: /^web /m, real: 'No resources found' },
      },
      {
        run: 'explain services',
        differs: {
          row: '`services` without a group',
          embedded: 'GROUP:      gridferry.io',
          real: /^KIND: +Service\nVERSION: +v1$/m,
        },
      },
    ],
  },
  {
    title: '--raw reads, creates, replaces and deletes',
    everyKubectl: true,
    files: {
      'web.json': JSON.stringify({
        apiVersion: 'gridferry.io/v1alpha1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { container: 'web', serverRef: { name: 'alpha' } },
      }),
      'more.yaml': documents(service('one'), service('two'), service('three')),
    },
    steps: [
      {
        run: 'create --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services -f web.json',
        says: '"name":"web"',
      },
      {
        run: 'create --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services -f web.json',
        exit: 1,
        says: 'AlreadyExists',
      },
      { run: 'get --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services/web', says: '"generation":1' },
      { run: 'replace --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services/web -f web.json', exit: 1 },
      {
        run: 'get --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services/ghost',
        exit: 1,
        says: 'NotFound',
      },
      { run: 'create -f more.yaml' },
      {
        run: 'get --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services?labelSelector=none',
        says: '"items":[]',
      },
      { run: 'get --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services?limit=-1' },
      { run: 'get --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services?resourceVersion=old', exit: 1 },
      {
        run: 'get --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services?continue=nonsense',
        exit: 1,
        differs: {
          row: 'Texts about malformed JSON',
          embedded: 'invalid continue token: continue key is not valid',
          real: 'looking for beginning of value',
        },
      },
      {
        run: 'delete --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services/web',
        says: '"status":"Success"',
      },
      { run: 'get --raw /nowhere', exit: 1 },
      { run: 'get --raw /apis/gridferry.io/v1alpha1/namespaces/${namespace}/services/one/scale', exit: 1 },
    ],
  },
];

import { configMap, documents, secret, service } from '../manifests.ts';
import type { Scenario } from '../scenario.ts';

export const coreKinds: readonly Scenario[] = [
  {
    title: 'secrets are made from literals and files, shown without their data, and edited',
    everyKubectl: true,
    files: {
      id_ed25519: 'a key\n',
      'login.yaml': secret('login', { stringData: { user: 'pat', password: 's3cret' } }),
      'login2.yaml': secret('login', { stringData: { user: 'kim' } }),
      'bad.yaml': secret('bad', { data: { key: 'not base64!' } }),
    },
    steps: [
      {
        run: 'create secret generic fleet --from-file=ssh-privatekey=id_ed25519 --from-literal=passphrase=x',
        says: 'secret/fleet created',
      },
      {
        run: 'create secret generic fleet',
        exit: 1,
        says: 'error: failed to create secret secrets "fleet" already exists',
      },
      { run: 'create secret generic typed --type=example.org/custom --from-literal=a=b -o yaml' },
      { run: 'create secret generic try --from-literal=a=b --dry-run=server -o yaml' },
      { run: 'create secret generic try --from-literal=a=b --dry-run=client -o yaml' },
      { run: 'apply -f login.yaml', says: 'secret/login created' },
      { run: 'get secrets', says: [/^NAME +TYPE +DATA +AGE$/m, /^fleet +Opaque +2 /m] },
      { run: 'get secret login -o wide' },
      { run: 'get secret login -o yaml', says: ['password: czNjcmV0', 'type: Opaque'] },
      { run: 'get secret login -o jsonpath={.data.user}', says: 'cGF0' },
      // One key: kubectl 1.32 prints them in random order.
      { run: 'describe secret typed', says: [/^a: +1 bytes$/m, /^Type: +example.org\/custom$/m] },
      { run: 'apply -f login.yaml' },
      { run: 'apply -f login2.yaml' },
      { run: 'get secret login -o yaml --show-managed-fields' },
      { run: 'apply --server-side -f login.yaml --field-manager=other' },
      { run: 'apply --server-side -f login.yaml --force-conflicts' },
      { run: 'diff -f login2.yaml', exit: 1, says: '***' },
      { run: 'label secret login tier=front', says: 'secret/login labeled' },
      { run: 'annotate secret login note=x' },
      { run: 'get secrets -l tier=front' },
      { run: 'get secrets --field-selector type=example.org/custom', says: 'typed' },
      { run: 'edit secret login', editor: `sed -i 's/cGF0/a2lt/'`, says: 'secret/login edited' },
      { run: `patch secret login -p '{"stringData":{"user":"max"}}'`, says: 'secret/login patched' },
      { run: `patch secret login --type=merge -p '{"data":{"password":null}}'` },
      { run: 'get secret login -o yaml' },
      { run: `patch secret login --type=merge -p '{"type":"other"}'`, exit: 1, says: 'field is immutable' },
      { run: `patch secret login --type=merge -p '{"immutable":true}'` },
      {
        run: `patch secret login --type=merge -p '{"data":{"user":"YQ=="}}'`,
        exit: 1,
        says: 'field is immutable when `immutable` is set',
      },
      { run: 'create -f bad.yaml', exit: 1 },
      { run: `create secret generic 'Bad_Name' --from-literal=a=b`, exit: 1 },
      { run: 'delete secret login fleet' },
      { run: 'get secrets -o name', says: 'secret/typed' },
    ],
  },
  {
    title: 'config maps are made, shown, patched and deleted',
    files: {
      'settings.yaml': configMap({ name: 'applied', labels: { a: 'b' } }, { colour: 'blue' }),
      'app.properties': 'a=1\nb=2\n',
    },
    steps: [
      {
        run: 'create configmap settings --from-literal=a=1 --from-file=app.properties',
        says: 'configmap/settings created',
      },
      { run: 'get cm settings -o yaml --show-managed-fields' },
      { run: 'get cm settings', says: /^settings +2 /m },
      { run: 'describe cm settings', says: 'BinaryData' },
      { run: 'apply -f settings.yaml' },
      { run: 'apply --server-side -f settings.yaml' },
      { run: 'get cm -l a=b -o yaml --show-managed-fields' },
      { run: `patch cm settings -p '{"data":{"a":null,"c":"3"}}'`, says: 'configmap/settings patched' },
      { run: `patch cm settings --type=json -p '[{"op":"remove","path":"/data/c"}]'` },
      { run: 'replace -f settings.yaml' },
      { run: 'create -f -', stdin: configMap('bad', { 'no/slash': 'x' }), exit: 1 },
      {
        run: 'apply -f -',
        stdin: 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: wrong }\ndata: { n: 7 }\n',
        exit: 1,
      },
      {
        run: 'apply -f -',
        stdin: 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: wrong }\ndatum: { n: "7" }\n',
        exit: 1,
      },
      { run: 'edit cm settings', editor: `sed -i 's/a=1/a=5/'` },
      { run: 'get cm settings applied -o yaml' },
      { run: 'delete cm settings applied' },
      {
        run: 'get cm -o name',
        differs: {
          row: 'contents of a new namespace',
          embedded: /-o name\n\[exit 0\]/,
          real: 'configmap/kube-root-ca.crt',
        },
      },
    ],
  },
  {
    title: 'namespaces are made, labelled, and deleted with all that is in them',
    steps: [
      { run: 'get namespace ${namespace}', says: /^namespace-of-test +Active/m },
      { run: 'get ns default', says: /^default +Active/m },
      { run: 'create namespace ${namespace}', exit: 1, says: 'namespaces "namespace-of-test" already exists' },
      { run: 'create namespace Bad_Name', exit: 1 },
      { run: 'create ns ${namespace}-b', says: 'namespace/namespace-of-test-b created' },
      { run: 'create configmap inside -n ${namespace}-b --from-literal=a=1' },
      { run: 'create -n ${namespace}-b -f -', stdin: service('inside') },
      {
        run: 'get ns ${namespace}-b -o yaml',
        says: ['kubernetes.io/metadata.name: namespace-of-test-b', '- kubernetes', 'phase: Active'],
      },
      { run: 'label ns ${namespace}-b team=ferry' },
      { run: 'get ns -l team=ferry,kubernetes.io/metadata.name=${namespace}-b' },
      {
        run: 'describe ns ${namespace}-b',
        differs: { row: 'Kinds that are served', embedded: /^Status: +Active$/m, real: 'No resource quota.' },
      },
      { run: 'apply -f -', stdin: 'apiVersion: v1\nkind: Namespace\nmetadata: { name: "${namespace}-b" }\n' },
      { run: 'delete ns ${namespace}-b', says: 'namespace "namespace-of-test-b" deleted' },
      { run: 'get ns ${namespace}-b', exit: 1 },
      { run: 'get gsvc inside -n ${namespace}-b', exit: 1 },
      {
        run: 'delete ns default',
        exit: 1,
        says: 'namespaces "default" is forbidden: this namespace may not be deleted',
      },
    ],
  },
  {
    title: 'nothing new begins in a namespace that is being deleted',
    steps: [
      { run: 'create ns ${namespace}-b' },
      { run: 'create -n ${namespace}-b -f -', stdin: service({ name: 'held', finalizers: ['example.org/hold'] }) },
      { run: 'delete ns ${namespace}-b --wait=false' },
      { run: 'get ns ${namespace}-b', says: 'Terminating' },
      { run: 'create configmap late -n ${namespace}-b', exit: 1, says: 'because it is being terminated' },
      { run: `patch gsvc held -n \${namespace}-b --type=merge -p '{"metadata":{"finalizers":null}}'` },
      { run: 'get ns ${namespace}-b --ignore-not-found', until: /^$/ },
    ],
  },
  {
    title: 'leases are served, for leader election',
    files: {
      'lease.yaml':
        'apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: { name: leader }\nspec: { holderIdentity: me, leaseDurationSeconds: 15, leaseTransitions: 3, renewTime: "2001-02-03T04:05:06.123456Z" }\n',
    },
    steps: [
      { run: 'apply -f lease.yaml' },
      { run: 'get leases', says: /^leader +me /m },
      { run: 'get lease leader -o yaml', says: 'renewTime: "2001-02-03T04:05:06.123456Z"' },
      { run: 'describe lease leader' },
      { run: `patch lease leader --type=merge -p '{"spec":{"leaseDurationSeconds":0}}'`, exit: 1 },
      { run: 'delete lease leader' },
    ],
  },
  {
    title: 'a file of core kinds and our own is one apply',
    everyKubectl: true,
    files: {
      'all.yaml': documents(
        secret('key', { data: { 'ssh-privatekey': 'eA==' } }),
        configMap('settings', { a: '1' }),
        service('web'),
      ),
    },
    steps: [
      {
        run: 'apply -f all.yaml',
        says: 'secret/key created\nconfigmap/settings created\nservice.gridferry.io/web created\n',
      },
      {
        run: 'apply -f all.yaml',
        says: 'secret/key unchanged\nconfigmap/settings unchanged\nservice.gridferry.io/web unchanged\n',
      },
      { run: 'get -f all.yaml' },
      { run: 'delete -f all.yaml', says: 'secret "key" deleted' },
    ],
  },
];

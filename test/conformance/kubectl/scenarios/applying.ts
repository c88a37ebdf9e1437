import { configMap, documents, server, service } from '../manifests.ts';
import type { Scenario } from '../scenario.ts';

const labelled = (name: string, rest: Readonly<Record<string, unknown>> = {}): string =>
  service({ name, labels: { part: 'shop' } }, rest);

export const applying: readonly Scenario[] = [
  {
    title: 'apply creates, changes, and says when there is nothing to do',
    everyKubectl: true,
    files: {
      'web.yaml': service('web', { publicName: 'www', addons: [{ name: 'db', container: 'db' }] }),
      'changed.yaml': service(
        { name: 'web', labels: { a: 'b' } },
        {
          container: 'web-2',
          addons: [
            { name: 'db', container: 'db-2' },
            { name: 'cache', container: 'redis' },
          ],
        },
      ),
    },
    steps: [
      { run: 'apply -f web.yaml', says: 'service.gridferry.io/web created\n' },
      { run: 'apply -f web.yaml', says: 'service.gridferry.io/web unchanged\n' },
      {
        run: 'get gsvc web -o yaml --show-managed-fields',
        says: ['kubectl.kubernetes.io/last-applied-configuration', 'manager: kubectl-client-side-apply'],
      },
      { run: 'apply -f changed.yaml', says: 'service.gridferry.io/web configured\n' },
      { run: 'get gsvc web -o yaml --show-managed-fields', says: ['container: web-2', 'generation: 2'] },
      { run: 'apply view-last-applied gsvc web', says: 'container: web-2' },
      { run: 'apply view-last-applied gsvc/web -o json' },
      { run: 'apply set-last-applied -f web.yaml', says: 'service.gridferry.io/web configured' },
      { run: 'apply -f web.yaml -o yaml' },
      { run: 'apply -f web.yaml -o name' },
      { run: 'apply --force -f changed.yaml' },
      { run: 'apply --overwrite=false -f web.yaml' },
    ],
  },
  {
    title: 'apply adopts what create made, with a warning',
    files: { 'web.yaml': service('web') },
    steps: [
      { run: 'create -f web.yaml' },
      {
        run: 'apply -f web.yaml',
        says: 'Warning: resource services/web is missing the kubectl.kubernetes.io/last-applied-configuration annotation',
      },
      { run: 'apply -f web.yaml' },
      {
        run: 'create -f web.yaml --save-config',
        exit: 1,
        says: 'Error from server (AlreadyExists): error when creating "web.yaml": services.gridferry.io "web" already exists',
      },
    ],
  },
  {
    title: 'a dry run stores nothing',
    files: {
      'web.yaml': service('web'),
      'changed.yaml': service('web', { container: 'web-2' }),
      'bad.yaml': service('web', { container: '-' }),
    },
    steps: [
      { run: 'apply --dry-run=client -f web.yaml', says: 'service.gridferry.io/web created (dry run)' },
      { run: 'apply --dry-run=server -f web.yaml', says: 'service.gridferry.io/web created (server dry run)' },
      { run: 'apply --dry-run=server -f web.yaml -o yaml' },
      { run: 'get gsvc web', exit: 1 },
      {
        run: 'apply --server-side --dry-run=server -f web.yaml',
        says: 'service.gridferry.io/web serverside-applied (server dry run)',
      },
      { run: 'get gsvc web', exit: 1 },
      { run: 'create --dry-run=server -f web.yaml' },
      { run: 'create --dry-run=client -f web.yaml -o yaml' },
      { run: 'apply -f web.yaml' },
      { run: 'apply --dry-run=server -f changed.yaml', says: 'service.gridferry.io/web configured (server dry run)' },
      { run: 'apply --dry-run=client -f changed.yaml' },
      { run: 'apply --dry-run=server -f bad.yaml', exit: 1, says: 'is invalid' },
      { run: 'patch gsvc web --type=merge --dry-run=server -p {"spec":{"container":"x"}}' },
      { run: 'label gsvc web a=b --dry-run=server' },
      { run: 'replace --dry-run=server -f changed.yaml' },
      { run: 'delete gsvc web --dry-run=server', says: 'service.gridferry.io "web" deleted' },
      { run: 'delete gsvc web --dry-run=client' },
      { run: 'get gsvc web -o yaml', says: ['container: web\n', 'generation: 1\n'] },
    ],
  },
  {
    title: 'server-side apply owns fields, reports conflicts, and drops what is no longer said',
    everyKubectl: true,
    files: {
      'web.yaml': service(
        { name: 'web', labels: { a: '1', b: '2' } },
        { publicName: 'www', addons: [{ name: 'db', container: 'db' }] },
      ),
      'less.yaml': service({ name: 'web', labels: { a: '1' } }, { addons: [] }),
      'theirs.yaml': service(
        { name: 'web', labels: { c: '3' } },
        {
          container: 'other',
          addons: [
            { name: 'cache', container: 'redis' },
            { name: 'db', container: 'pg' },
          ],
        },
      ),
      'with-managed.yaml': service({ name: 'web', managedFields: [{ manager: 'x' }] }),
    },
    steps: [
      { run: 'apply --server-side -f web.yaml', says: 'service.gridferry.io/web serverside-applied\n' },
      { run: 'apply --server-side -f web.yaml' },
      {
        run: 'get gsvc web -o yaml --show-managed-fields',
        says: ['manager: kubectl\n', 'operation: Apply', 'k:{"name":"db"}:'],
      },
      {
        run: 'apply --server-side --field-manager=they -f theirs.yaml',
        exit: 1,
        says: [
          'Apply failed with 2 conflicts: conflicts with "kubectl":',
          '- .spec.container',
          'Please review the fields above--they currently have other managers.',
        ],
      },
      { run: 'apply --server-side --field-manager=they --force-conflicts -f theirs.yaml', says: 'serverside-applied' },
      { run: 'get gsvc web -o yaml --show-managed-fields', says: ['manager: they\n', 'container: other'] },
      { run: 'apply --server-side -f web.yaml', exit: 1 },
      { run: 'apply --server-side -f less.yaml', exit: 1 },
      { run: 'apply --server-side --force-conflicts -f less.yaml' },
      { run: 'get gsvc web -o yaml --show-managed-fields' },
      { run: 'patch gsvc web --type=merge -p {"spec":{"container":"patched"}}' },
      {
        run: 'apply --server-side -f less.yaml',
        exit: 1,
        says: 'conflict with "kubectl-patch" using gridferry.io/v1alpha1',
      },
      { run: 'apply --server-side -f with-managed.yaml', exit: 1, says: 'metadata.managedFields must be nil' },
      {
        run: 'apply --server-side --force-conflicts --field-manager= -f less.yaml',
        exit: 1,
        says: 'fieldManager: Required value',
      },
      { run: 'apply --force-conflicts -f web.yaml', exit: 1 },
    ],
  },
  {
    title: 'client-side apply and server-side apply take over from each other',
    files: {
      'web.yaml': service('web', { publicName: 'www' }),
      'less.yaml': service('web'),
    },
    steps: [
      { run: 'apply -f web.yaml' },
      { run: 'apply --server-side -f web.yaml' },
      { run: 'get gsvc web -o yaml --show-managed-fields' },
      { run: 'apply --server-side -f less.yaml' },
      { run: 'get gsvc web -o yaml --show-managed-fields' },
      { run: 'apply -f web.yaml' },
      { run: 'get gsvc web -o yaml --show-managed-fields' },
    ],
  },
  {
    title: 'server-side apply of a status goes to the subresource',
    files: {
      'web.yaml': service('web'),
      'status.json': JSON.stringify({
        apiVersion: 'gridferry.io/v1alpha1',
        kind: 'Service',
        metadata: { name: 'web' },
        status: { server: 'beta' },
      }),
    },
    steps: [
      { run: 'apply -f web.yaml' },
      {
        run: 'apply --server-side --subresource=status --field-manager=controller -f status.json',
        says: 'service.gridferry.io/web serverside-applied',
      },
      {
        run: 'get gsvc web -o yaml --show-managed-fields',
        says: ['subresource: status', 'server: beta', 'generation: 1'],
      },
      { run: 'apply --server-side -f status.json --field-manager=wrong' },
    ],
  },
  {
    title: 'apply reads directories, trees, standard input and kustomizations',
    everyKubectl: true,
    files: {
      'top/a.yaml': service('a'),
      'top/deeper/b.yaml': service('b'),
      'top/deeper/c.json': JSON.stringify({
        apiVersion: 'gridferry.io/v1alpha1',
        kind: 'Service',
        metadata: { name: 'c' },
        spec: { container: 'c', serverRef: { name: 'alpha' } },
      }),
      'k/kustomization.yaml':
        'namePrefix: prod-\nlabels: [{ pairs: { env: prod } }]\nresources: [web.yaml]\nconfigMapGenerator: [{ name: settings, literals: [a=1] }]\nsecretGenerator: [{ name: login, literals: [password=s3cret] }]\n',
      'k/web.yaml': service('web'),
    },
    steps: [
      { run: 'apply -f top', says: 'service.gridferry.io/a created\n' },
      {
        run: 'apply -R -f top',
        says: ['service.gridferry.io/a unchanged', 'service.gridferry.io/b created', 'service.gridferry.io/c created'],
      },
      {
        run: 'apply -f -',
        stdin: documents(service('d'), '# nothing\n', service('e')),
        says: 'service.gridferry.io/e created',
      },
      {
        run: 'apply -k k',
        says: [
          'service.gridferry.io/prod-web created',
          /^configmap\/prod-settings-\w+ created$/m,
          /^secret\/prod-login-\w+ created$/m,
        ],
      },
      { run: 'diff -k k' },
      { run: 'get -k k' },
      { run: 'delete -k k', says: 'service.gridferry.io "prod-web" deleted' },
      { run: 'apply --server-side -R -f top' },
      { run: 'apply -f nowhere.yaml', exit: 1, says: 'error: the path "nowhere.yaml" does not exist' },
      { run: 'apply -f -', stdin: '{{{', exit: 1 },
      { run: 'apply -f -', stdin: '', exit: 1, says: 'no objects passed to apply' },
      {
        run: 'apply -f - ',
        stdin: 'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: listed}\n',
      },
    ],
  },
  {
    title: 'prune removes what was applied with the label and is no longer there',
    files: {
      'all.yaml': documents(
        labelled('one'),
        labelled('two'),
        configMap({ name: 'three', labels: { part: 'shop' } }, { a: '1' }),
      ),
      'one.yaml': labelled('one'),
    },
    steps: [
      { run: 'apply -f all.yaml' },
      { run: 'create -f -', stdin: labelled('by-hand') },
      {
        run: 'apply -f one.yaml --prune -l part=shop --prune-allowlist=gridferry.io/v1alpha1/Service --dry-run=server',
        says: 'service.gridferry.io/two pruned (server dry run)',
      },
      {
        run: 'apply -f one.yaml --prune -l part=shop --prune-allowlist=gridferry.io/v1alpha1/Service',
        says: 'service.gridferry.io/two pruned',
      },
      {
        run: 'apply -f one.yaml --prune -l part=shop --prune-allowlist=core/v1/ConfigMap',
        says: 'configmap/three pruned',
      },
      { run: 'get gsvc,cm -l part=shop -o name', says: 'service.gridferry.io/by-hand\nservice.gridferry.io/one\n' },
      { run: 'apply -f one.yaml --prune', exit: 1 },
      { run: 'apply -f one.yaml --prune --all --prune-allowlist=gridferry.io/v1alpha1/Wombat', exit: 1 },
      {
        run: 'apply -f one.yaml --prune -l part=shop',
        differs: {
          row: '`apply --prune` without `--prune-allowlist`',
          embedded: 'error: error retrieving RESTMappings to prune: invalid resource /v1, Kind=',
          exit: 1,
          real: 'service.gridferry.io/one unchanged',
        },
      },
    ],
  },
  {
    title: 'apply of all our kinds at once comes back as it went',
    files: {
      'fleet.yaml': documents(
        server('alpha'),
        server('here', { address: null, ssh: null, local: true }),
        service('web'),
        'apiVersion: gridferry.io/v1alpha1\nkind: PlatformConfig\nmetadata: { name: default }\nspec: { domain: example.org, resolvers: ["192.0.2.1"] }\n',
      ),
    },
    steps: [
      { run: 'apply -f fleet.yaml' },
      { run: 'apply -f fleet.yaml' },
      { run: 'get -f fleet.yaml -o yaml' },
      {
        run: 'apply --server-side -f fleet.yaml',
        exit: 1,
        says: 'spec.address in body must be of type string: "null"',
      },
      { run: 'get -f fleet.yaml -o yaml --show-managed-fields' },
      { run: 'delete -f fleet.yaml', says: 'platformconfig.gridferry.io "default" deleted' },
      { run: 'delete -f fleet.yaml', exit: 1 },
      { run: 'delete -f fleet.yaml --ignore-not-found' },
    ],
  },
];

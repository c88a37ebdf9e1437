import { documents, service, transfer } from '../manifests.ts';
import type { Scenario } from '../scenario.ts';

/** An editor that makes one change each time it is opened, and shows what it was given. */
const editAndShow = (change: string): string => `edit() { cat $1; sed -i '${change}' $1; }; edit`;

export const writing: readonly Scenario[] = [
  {
    title: 'create makes an object once, with a name given or generated',
    files: {
      'web.yaml': service('web'),
      'generated.yaml': service({ generateName: 'generated-' }),
      'nameless.yaml': service({ labels: { a: 'b' } }),
      'elsewhere.yaml': service({ name: 'web', namespace: 'nowhere-at-all' }),
      'with-status.yaml': `${service('with-status')}status:\n  server: beta\n`,
    },
    steps: [
      { run: 'create -f web.yaml', says: 'service.gridferry.io/web created\n' },
      {
        run: 'create -f web.yaml',
        exit: 1,
        says: 'Error from server (AlreadyExists): error when creating "web.yaml": services.gridferry.io "web" already exists',
      },
      { run: 'create -f generated.yaml', says: 'service.gridferry.io/generated-<suffix> created' },
      { run: 'create -f generated.yaml -o yaml', says: 'generateName: generated-' },
      { run: 'apply -f generated.yaml', exit: 1, says: 'cannot use generate name with apply' },
      { run: 'create -f nameless.yaml', exit: 1 },
      { run: 'apply -f nameless.yaml', exit: 1 },
      { run: 'create -f elsewhere.yaml', exit: 1 },
      { run: 'create -f elsewhere.yaml -n nowhere-at-all', exit: 1, says: 'namespaces "nowhere-at-all" not found' },
      { run: 'create -f with-status.yaml -o yaml' },
      { run: 'create -f web.yaml --save-config --dry-run=client -o json' },
    ],
  },
  {
    title: 'replace needs the object, keeps its status, and is refused with a version that is no longer current',
    files: {
      'web.yaml': service('web'),
      'changed.yaml': service('web', { container: 'web-2' }),
    },
    steps: [
      {
        run: 'replace -f web.yaml',
        exit: 1,
        says: 'Error from server (NotFound): error when replacing "web.yaml": services.gridferry.io "web" not found',
      },
      { run: 'create -f web.yaml' },
      { run: 'get gsvc web -o jsonpath={.metadata.resourceVersion}', keep: 'version' },
      { run: `patch gsvc web --subresource=status --type=merge -p '{"status":{"server":"beta"}}'` },
      { run: 'replace -f changed.yaml', says: 'service.gridferry.io/web replaced' },
      {
        run: 'get gsvc web -o yaml --show-managed-fields',
        says: ['server: beta', 'generation: 2', 'manager: kubectl-replace'],
      },
      {
        run: 'replace -f -',
        stdin: service({ name: 'web', resourceVersion: '${version}' }),
        exit: 1,
        says: 'the object has been modified; please apply your changes to the latest version and try again',
      },
      { run: 'replace -f -', stdin: service({ name: 'web', resourceVersion: 'mine' }), exit: 1 },
      { run: 'replace -f -', stdin: service({ name: 'web', uid: '01234567-89ab-cdef-0123-456789abcdef' }), exit: 1 },
      {
        run: 'replace --force -f changed.yaml',
        says: ['service.gridferry.io "web" deleted', 'service.gridferry.io/web replaced'],
      },
      { run: 'get gsvc web -o jsonpath={.metadata.generation}/{.status}', says: '1/' },
      {
        run: 'replace --subresource=status -f -',
        stdin: `${service('web', { container: 'ignored' })}status:\n  server: gamma\n`,
      },
      { run: 'get gsvc web -o yaml', says: ['server: gamma', 'container: web-2'] },
    ],
  },
  {
    title: 'edit opens the object in an editor, and again with the reason when it is refused',
    everyKubectl: true,
    files: { 'web.yaml': service('web'), 'two.yaml': documents(service('one'), service('two')) },
    steps: [
      { run: 'create -f web.yaml -f two.yaml' },
      { run: 'edit gsvc web', editor: 'true', says: 'Edit cancelled, no changes made.' },
      {
        run: 'edit gsvc web',
        editor: `sed -i 's/container: web/container: web-2/'`,
        says: 'service.gridferry.io/web edited',
      },
      { run: 'get gsvc web -o yaml --show-managed-fields', says: ['container: web-2', 'manager: kubectl-edit'] },
      {
        run: 'edit gsvc web',
        editor: editAndShow('s/container: web-2/container: -x/'),
        exit: 1,
        says: [
          '# services.gridferry.io "web" was not valid:\n# * spec.container: Invalid value: "-x"',
          'Edit cancelled, no valid changes were saved.',
        ],
      },
      { run: 'edit gsvc web', editor: editAndShow('s/container: web-2/colour: blue/'), exit: 1 },
      { run: 'edit gsvc web', editor: editAndShow('s/^kind:.*/: {/'), exit: 1 },
      { run: 'edit gsvc web -o json', editor: `sed -i 's/"web-2"/"web-3"/'` },
      { run: 'edit gsvc web --save-config', editor: `sed -i 's/container: web-3/container: web-4/'` },
      {
        run: 'edit gsvc web --subresource=status',
        editor: `sed -i '$ a status: {server: delta}'`,
        says: 'service.gridferry.io/web edited',
      },
      {
        run: 'edit gsvc one two',
        editor: `sed -i 's/container: web/container: both/'`,
        says: ['service.gridferry.io/one edited', 'service.gridferry.io/two edited'],
      },
      { run: 'edit gsvc web', editor: `sed -i 's/name: web$/name: renamed/'`, exit: 1 },
      { run: 'edit gsvc ghost', editor: 'true', exit: 1 },
      { run: 'edit gsvc web', editor: 'false', exit: 1 },
      { run: 'apply edit-last-applied gsvc/web', editor: `sed -i 's/container: web-4/container: web-5/'` },
      { run: 'get gsvc web -o yaml' },
    ],
  },
  {
    title: 'patch merges, follows JSON operations, and refuses what custom resources cannot do',
    files: {
      'web.yaml': service('web', { publicName: 'www', addons: [{ name: 'db', container: 'db' }] }),
      'patch.yaml': 'spec:\n  container: from-file\n',
    },
    steps: [
      { run: 'create -f web.yaml' },
      {
        run: `patch gsvc web --type=merge -p '{"spec":{"container":"web-2","publicName":null}}'`,
        says: 'service.gridferry.io/web patched',
      },
      {
        run: `patch gsvc web --type=merge -p '{"spec":{"container":"web-2"}}'`,
        says: 'service.gridferry.io/web patched (no change)',
      },
      {
        run: `patch gsvc web --type=json -p '[{"op":"test","path":"/spec/container","value":"web-2"},{"op":"replace","path":"/spec/container","value":"web-3"},{"op":"add","path":"/spec/addons/-","value":{"name":"cache","container":"redis"}}]'`,
      },
      { run: 'get gsvc web -o yaml --show-managed-fields', says: ['container: web-3', 'manager: kubectl-patch'] },
      {
        run: `patch gsvc web -p '{"spec":{"container":"x"}}'`,
        exit: 1,
        says: 'application/strategic-merge-patch+json is not supported by gridferry.io/v1alpha1, Kind=Service',
      },
      { run: `patch gsvc web --type=strategic -p '{"spec":{"container":"x"}}'`, exit: 1 },
      { run: `patch gsvc web --type=json -p '[{"op":"test","path":"/spec/container","value":"no"}]'`, exit: 1 },
      { run: `patch gsvc web --type=json -p '[{"op":"remove","path":"/spec/nothing"}]'`, exit: 1 },
      { run: `patch gsvc web --type=json -p '[{"op":"remove","path":"/spec/addons/7"}]'`, exit: 1 },
      { run: `patch gsvc web --type=json -p '[{"op":"fly","path":"/spec"}]'`, exit: 1 },
      {
        run: `patch gsvc web --type=json -p '{"op":"add"}'`,
        exit: 1,
        differs: {
          row: 'Texts about malformed JSON',
          embedded: 'error decoding patch: ',
          real: 'json: cannot unmarshal object into Go value',
        },
      },
      {
        run: `patch gsvc web --type=merge -p '[1]'`,
        exit: 1,
        differs: {
          row: 'Texts about malformed JSON',
          embedded: 'error decoding patch: ',
          real: 'json: cannot unmarshal array into Go value',
        },
      },
      {
        run: `patch gsvc web --type=merge -p '{{'`,
        exit: 1,
        differs: {
          row: 'Texts about malformed JSON',
          embedded: 'error decoding patch: ',
          real: 'looking for beginning of object key string',
        },
      },
      {
        run: `patch gsvc web --type=merge -p '{"spec":{"container":"-"}}'`,
        exit: 1,
        says: 'The Service "web" is invalid: spec.container: Invalid value',
      },
      {
        run: `patch gsvc web --type=merge -p '{"spec":{"colour":"blue"}}'`,
        says: 'Warning: unknown field "spec.colour"',
      },
      { run: `patch gsvc web --type=merge -p '{"metadata":{"name":"other"}}'`, exit: 1 },
      {
        run: `patch gsvc web --type=merge -p '{"metadata":{"resourceVersion":"1"}}'`,
        exit: 1,
        says: 'Error from server (Conflict)',
      },
      { run: `patch gsvc web --type=merge -p '{"metadata":{"uid":"01234567-89ab-cdef-0123-456789abcdef"}}'`, exit: 1 },
      { run: `patch gsvc web --type=merge -p '{"kind":"Transfer"}'`, exit: 1 },
      { run: `patch gsvc web --type=merge -p '{"status":{"server":"ignored"}}'` },
      {
        run: `patch gsvc web --type=merge --subresource=status -p '{"status":{"server":"beta"},"spec":{"container":"ignored"}}'`,
      },
      {
        run: `patch gsvc web --type=json --subresource=status -p '[{"op":"replace","path":"/status/server","value":"gamma"}]' -o yaml`,
        says: 'server: gamma',
      },
      { run: `patch gsvc web --type=merge --subresource=scale -p '{"spec":{"replicas":2}}'`, exit: 1 },
      { run: 'patch -f web.yaml --type=merge --patch-file=patch.yaml' },
      { run: `patch -f web.yaml --local --type=merge -p '{"spec":{"container":"local"}}' -o yaml` },
      { run: `patch gsvc ghost --type=merge -p '{}'`, exit: 1 },
      { run: 'get gsvc web -o yaml' },
    ],
  },
  {
    title: 'labels and annotations are set, overwritten and removed',
    steps: [
      { run: 'create -f -', stdin: documents(service('web'), service('api')) },
      { run: 'label gsvc web tier=front', says: 'service.gridferry.io/web labeled' },
      {
        run: 'label gsvc web tier=back',
        exit: 1,
        says: `'tier' already has a value (front), and --overwrite is false`,
      },
      { run: 'label gsvc web tier=back --overwrite' },
      { run: 'label gsvc web tier=back' },
      { run: 'label gsvc web --list', says: 'tier=back' },
      { run: 'label gsvc --all env=prod' },
      { run: 'label gsvc -l env=prod env-', says: 'service.gridferry.io/api unlabeled' },
      { run: 'label gsvc web nothing-', says: 'label "nothing" not found.' },
      { run: `label gsvc web 'bad key=x'`, exit: 1 },
      { run: `label gsvc web tier=${'x'.repeat(64)} --overwrite`, exit: 1 },
      { run: 'label gsvc web a=b --resource-version=1', exit: 1 },
      { run: `label gsvc web 'tier=not valid' --overwrite`, exit: 1 },
      { run: `annotate gsvc web 'note=some text'`, says: 'service.gridferry.io/web annotated' },
      { run: 'annotate gsvc web note=other', exit: 1 },
      { run: 'annotate gsvc web note=other --overwrite' },
      { run: 'annotate gsvc web --list' },
      { run: 'annotate gsvc web note-', says: 'service.gridferry.io/web annotated' },
      { run: 'annotate gsvc ghost note=x', exit: 1 },
      { run: 'get gsvc web -o yaml --show-managed-fields', says: 'generation: 1' },
    ],
  },
  {
    title: 'what our kinds cannot do is refused as in a cluster',
    steps: [
      { run: 'create -f -', stdin: documents(service('web'), transfer('move')) },
      { run: 'scale gsvc/web --replicas=2', exit: 1 },
      { run: 'rollout status gsvc/web', exit: 1 },
      { run: 'rollout restart gsvc/web', exit: 1 },
      { run: 'rollout history xfer/move', exit: 1 },
      { run: 'autoscale gsvc/web --max=2', exit: 1 },
      { run: 'set image gsvc/web a=b', exit: 1 },
      { run: 'logs gsvc/web', exit: 1 },
      { run: 'get gsvc web --subresource=scale', exit: 1 },
      { run: 'expose gsvc web --port=80', exit: 1 },
    ],
  },
];

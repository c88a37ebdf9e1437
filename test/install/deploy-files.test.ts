import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../src/api/meta.ts';
import type { InstallOptions } from '../../src/install/identity.ts';
import { definitions, installation, workload } from '../../src/install/manifests.ts';
import { controllerPermissions, leaderPermissions } from '../../src/install/permissions.ts';
import { renderHelm } from '../support/helm-template.ts';
import { runProgram } from '../support/run-program.ts';

const deploy = join(import.meta.dirname, '../../deploy');
const chart = join(deploy, 'helm/gridferry');
const read = (...path: string[]): string => readFileSync(join(deploy, ...path), 'utf8');
const defaults = parse(readFileSync(join(chart, 'values.yaml'), 'utf8')) as InstallOptions & Record<string, unknown>;

/** Objects in no order, as whoever applies them sees them. */
function sorted(objects: readonly unknown[]): unknown[] {
  const nameOf = (object: unknown): string => {
    const { kind, metadata } = object as KubeObject;
    return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
  };
  return objects.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)));
}

function objectsIn(text: string): unknown[] {
  return parseAllDocuments(text).map((document) => document.toJS() as unknown);
}

const variants: readonly (readonly [string, Partial<InstallOptions>])[] = [
  ['as it comes', {}],
  ['one namespace', { watchNamespace: 'team-a' }],
  ['another image, more replicas, more ports', { image: 'r.example.com/g:2', replicas: 5, egressPorts: [2222, 5432] }],
];

void t.test('the chart makes what "gridferry install" prints', async (t) => {
  const templates = readdirSync(join(chart, 'templates')).map((name) => read('helm/gridferry/templates', name));
  for (const [what, change] of variants) {
    const values = { ...defaults, ...change };
    const { watchNamespace, egressPorts, image, replicas } = values;
    const wanted = workload({
      namespace: 'apps',
      image,
      replicas,
      ...(egressPorts === undefined ? {} : { egressPorts }),
      ...(watchNamespace === undefined || watchNamespace === '' ? {} : { watchNamespace }),
    });
    const made = templates.flatMap((template) => renderHelm(template, { namespace: 'apps', values }));
    t.same(sorted(made), sorted(wanted), what);
    const real = helm(values);
    if (real !== undefined) t.same(sorted(real), sorted(wanted), `${what}, by Helm itself`);
  }
  t.same(sorted(objectsIn(read('helm/gridferry/crds/crds.yaml'))), sorted(definitions()));
});

/** What Helm makes of the chart; `undefined` where there is no Helm. */
function helm(values: Readonly<Record<string, unknown>>): unknown[] | undefined {
  const args = ['template', 'gridferry', chart, '-n', 'apps', '--kube-version', '1.32', '-f', '-'];
  const { error, status, stdout, stderr } = spawnSync('helm', args, {
    input: JSON.stringify(values),
    encoding: 'utf8',
  });
  if (error !== undefined) return undefined;
  if (status !== 0) throw new Error(stderr);
  return objectsIn(stdout);
}

void t.test('what is put into the Pods by the chart comes out', async (t) => {
  const values = { ...defaults, podSpec: { nodeSelector: { disk: 'ssd' } }, resources: { limits: { memory: '1Gi' } } };
  const [made] = renderHelm(read('helm/gridferry/templates/deployment.yaml'), { namespace: 'apps', values });
  t.match(made, {
    spec: {
      template: {
        spec: {
          nodeSelector: { disk: 'ssd' },
          serviceAccountName: 'gridferry',
          containers: [{ resources: { limits: { memory: '1Gi' } } }],
        },
      },
    },
  });
});

void t.test('the kustomization holds what "gridferry install" prints', async (t) => {
  const base = parse(read('kustomize/base/kustomization.yaml')) as { resources: string[] };
  const held = base.resources.flatMap((name) => objectsIn(read('kustomize/base', name)));
  const printed = await runProgram(['install']);
  t.equal(printed.code, 0);
  t.same(sorted(held), sorted(objectsIn(printed.stdout)));
  t.same(sorted(held), sorted(installation({ namespace: 'gridferry-system', image: defaults.image, replicas: 2 })));
});

void t.test('the example overlay', { skip: !hasKubectl() && 'there is no kubectl' }, async (t) => {
  const args = ['kustomize', join(deploy, 'kustomize/overlays/example')];
  const { status, stdout, stderr } = spawnSync('kubectl', args, { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  const objects = objectsIn(stdout) as KubeObject[];
  const namespaces = new Set(objects.map(({ metadata }) => metadata.namespace).filter((one) => one !== undefined));
  t.same([...namespaces], ['gridferry']);
  const bindings = objects.filter(({ kind }) => kind.endsWith('Binding')) as unknown as { subjects: unknown[] }[];
  t.ok(bindings.every(({ subjects }) => JSON.stringify(subjects).includes('"namespace":"gridferry"')));
  t.match(
    objects.find(({ kind }) => kind === 'Deployment'),
    { spec: { replicas: 3, template: { spec: { imagePullSecrets: [{ name: 'registry-login' }] } } } },
  );
});

function hasKubectl(): boolean {
  return spawnSync('kubectl', ['version', '--client']).status === 0;
}

void t.test('docs/cluster.md explains every permission, and no other', async (t) => {
  const text = readFileSync(join(deploy, '../docs/cluster.md'), 'utf8');
  const chapter = text.slice(text.indexOf('## What it may do'), text.indexOf('Who may use it'));
  const explained = [...chapter.matchAll(/^\| (`[^|]+) \| (`[^|]+) \|/gm)].flatMap(([, resources = '', verbs = '']) =>
    words(resources).flatMap((resource) => words(verbs).map((verb) => `${verb} ${resource}`)),
  );
  const given = [...controllerPermissions, ...leaderPermissions].flatMap(({ resources, verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)),
  );
  t.same(explained.toSorted(), given.toSorted());
});

function words(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);
}

void t.test('install says what is wrong with its options', async (t) => {
  for (const wrong of [
    ['--namespace', 'Team_A'],
    ['--watch-namespace', '-a'],
    ['--replicas', '0'],
    ['--replicas', '1.5'],
    ['--egress-port', '70000'],
  ]) {
    const { code, stderr } = await runProgram(['install', ...wrong]);
    t.equal(code, 2, wrong.join(' '));
    t.match(stderr, /^error GF_CLI_USAGE: /);
  }
  const { stdout } = await runProgram(['install', '--crds-only']);
  t.same(
    objectsIn(stdout).map((object) => (object as KubeObject).kind),
    definitions().map(() => 'CustomResourceDefinition'),
  );
  const ports = await runProgram(['install', '--egress-port', '2222', '--egress-port', '5432']);
  t.match(ports.stdout, /port: 2222[^]*port: 5432/);
});

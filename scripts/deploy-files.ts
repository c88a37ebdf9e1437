import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CustomResourceDefinition } from '../src/api/schema/crd.ts';
import type { InstallOptions } from '../src/install/identity.ts';
import { namespaceObject, workload } from '../src/install/manifests.ts';
import { chartFiles } from './helm-chart.ts';
import { documents } from './yaml-documents.ts';

const root = join(import.meta.dirname, '..');
const GENERATED = '# Generated from src/install by "npm run generate"; do not edit.\n';

/** What is in deploy/ besides the Dockerfile and the examples, by its path: all of it follows from src/install. */
export function deployFiles(crds: readonly CustomResourceDefinition[]): Map<string, string> {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const defaults: InstallOptions = { namespace: 'gridferry-system', image: `gridferry:${version}`, replicas: 2 };
  const base = 'deploy/kustomize/base';
  const files = new Map([
    [`${base}/crds.yaml`, GENERATED + documents(crds)],
    [`${base}/gridferry.yaml`, GENERATED + documents([namespaceObject(defaults), ...workload(defaults)])],
    [`${base}/kustomization.yaml`, GENERATED + documents([kustomization])],
    ['deploy/argocd/argocd-cm.yaml', GENERATED + documents([argoSettings(crds)])],
  ]);
  for (const [path, content] of chartFiles({ version, defaults, crds: documents(crds) })) {
    files.set(`deploy/helm/gridferry/${path}`, content.startsWith('{') ? content : GENERATED + content);
  }
  return files;
}

const kustomization = {
  apiVersion: 'kustomize.config.k8s.io/v1beta1',
  kind: 'Kustomization',
  resources: ['crds.yaml', 'gridferry.yaml'],
};

/** What to merge into Argo CD's own ConfigMap: the key of a kind cannot have wildcards. */
function argoSettings(crds: readonly CustomResourceDefinition[]): object {
  const script = readFileSync(join(root, 'deploy/argocd/health.lua'), 'utf8');
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'argocd-cm',
      namespace: 'argocd',
      labels: { 'app.kubernetes.io/name': 'argocd-cm', 'app.kubernetes.io/part-of': 'argocd' },
    },
    data: Object.fromEntries(
      crds.map(({ spec }) => [`resource.customizations.health.${spec.group}_${spec.names.kind}`, script]),
    ),
  };
}

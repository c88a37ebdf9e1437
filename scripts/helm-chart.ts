import { stringify } from 'yaml';
import type { InstallOptions } from '../src/install/identity.ts';
import { rolesOf } from '../src/install/roles.ts';
import { workload } from '../src/install/manifests.ts';
import { documents } from './yaml-documents.ts';

/**
 * The Helm chart, made of the objects that `gridferry install` prints: they are built with values that occur nowhere else,
 * and these are then replaced by template expressions. So the chart cannot differ in anything but what can be set.
 */

const marked = {
  namespace: 'marked-namespace',
  image: 'marked-image',
  replicas: 47_001,
  watchNamespace: 'marked-watched',
  egressPorts: [47_002],
} as const;

const NAMESPACE = '{{ .Release.Namespace }}';

/** The files of the chart, by their path in it. */
export function chartFiles(options: {
  readonly version: string;
  readonly defaults: InstallOptions;
  /** The CustomResourceDefinitions, as YAML. */
  readonly crds: string;
}): Map<string, string> {
  const { version, defaults, crds } = options;
  const { watchNamespace: _all, ...everywhere } = marked;
  const objects = workload(marked);
  const ofKind = (...kinds: readonly string[]): string => documents(objects.filter(({ kind }) => kinds.includes(kind)));
  const chart = {
    apiVersion: 'v2',
    name: 'gridferry',
    description: 'Moves services between plain Docker servers, declaratively.',
    type: 'application',
    version,
    appVersion: version,
    kubeVersion: '>=1.28.0-0',
  };
  return new Map([
    ['Chart.yaml', stringify(chart, { lineWidth: 0 })],
    ['values.yaml', values(defaults)],
    ['values.schema.json', `${JSON.stringify(valuesSchema, undefined, 2)}\n`],
    // Helm makes what is in crds/ when it is not there, and never changes it: see docs/cluster.md on upgrades.
    ['crds/crds.yaml', crds],
    ['templates/service-account.yaml', filled(ofKind('ServiceAccount'))],
    [
      'templates/roles.yaml',
      filled(
        `{{- if .Values.watchNamespace }}\n${documents(rolesOf(marked).slice(0, 2))}{{- else }}\n` +
          `${documents(rolesOf(everywhere).slice(0, 2))}{{- end }}\n---\n${documents(rolesOf(marked).slice(2))}`,
      ),
    ],
    ['templates/network-policy.yaml', filled(ofKind('NetworkPolicy'))],
    ['templates/pod-disruption-budget.yaml', filled(ofKind('PodDisruptionBudget'))],
    ['templates/deployment.yaml', filled(ofKind('Deployment'))],
  ]);
}

/** The template of what was made with the marked values. */
function filled(text: string): string {
  const scope = `--namespace=${marked.watchNamespace}`;
  const everywhere = '--all-namespaces';
  const out = text
    .replaceAll(
      `- ${scope}`,
      `- {{ if .Values.watchNamespace }}--namespace={{ .Values.watchNamespace }}{{ else }}${everywhere}{{ end }}`,
    )
    .replaceAll(marked.namespace, NAMESPACE)
    .replaceAll(marked.watchNamespace, '{{ .Values.watchNamespace }}')
    .replaceAll(marked.image, '{{ .Values.image }}')
    .replaceAll(String(marked.replicas), '{{ .Values.replicas }}')
    .replace(
      /^( *)- protocol: TCP\n *port: 47002\n/m,
      (item, indent: string) =>
        `${indent}{{- range .Values.egressPorts }}\n${item.replace('47002', '{{ . }}')}${indent}{{- end }}\n`,
    )
    .replace(
      /^( *)resources:\n\1 +requests:\n(?:\1 .*\n)+/m,
      (_, indent: string) =>
        `${indent}resources:\n${indent}  {{- toYaml .Values.resources | nindent ${indent.length + 2} }}\n`,
    )
    .replace(
      /^( *)serviceAccountName: .*\n/m,
      (line, indent: string) =>
        `${line}${indent}{{- with .Values.podSpec }}\n${indent}{{- toYaml . | nindent ${indent.length} }}\n${indent}{{- end }}\n`,
    );
  if (/marked-|4700\d/.test(out)) throw new Error(`a marked value is left in the chart:\n${out}`);
  return out;
}

function values({ image, replicas, ...defaults }: InstallOptions): string {
  const deployment = workload({ image, replicas, ...defaults }).find(({ kind }) => kind === 'Deployment');
  const { containers } = (deployment?.spec as { template: { spec: { containers: { resources: unknown }[] } } }).template
    .spec;
  return `# The image that the replicas run; deploy/Dockerfile makes it.
image: ${image}
# One leads, the others stand by.
replicas: ${replicas}
# Reconcile this namespace only, with Roles instead of ClusterRoles. Empty: all namespaces.
watchNamespace: ''
# Further TCP ports that servers are reached at, for the NetworkPolicy; 22, 80, 443 and 6443 are open.
egressPorts: []
${stringify({ resources: containers[0]?.resources }, { lineWidth: 0 })}# More fields of the Pods' spec, such as imagePullSecrets, nodeSelector or tolerations.
podSpec: {}
`;
}

const valuesSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  additionalProperties: false,
  properties: {
    global: { type: 'object' },
    image: { type: 'string', minLength: 1 },
    replicas: { type: 'integer', minimum: 1, maximum: 99 },
    watchNamespace: { type: 'string', pattern: '^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$' },
    egressPorts: { type: 'array', items: { type: 'integer', minimum: 1, maximum: 65_535 } },
    resources: { type: 'object' },
    podSpec: { type: 'object' },
  },
};

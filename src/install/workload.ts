import type { KubeObject } from '../api/meta.ts';
import { LABELS, NAME, named } from './identity.ts';
import type { InstallOptions } from './identity.ts';

const HTTP_PORT = 8080;

/** What the manager takes to stop at the most (5 s + 20 s + 5 s), the hand-over of the lease, and as much again. */
const GRACE_SECONDS = 60;

/** Nobody's: in no image and on no node does it own anything. */
const UNPRIVILEGED = 65_532;

/** The replicas: one leads, the others stand by with full caches. */
export function deployment({ namespace, image, replicas, watchNamespace }: InstallOptions): KubeObject {
  const scope = watchNamespace === undefined ? '--all-namespaces' : `--namespace=${watchNamespace}`;
  const probe = (path: string, periodSeconds: number) => ({
    httpGet: { path, port: 'http' },
    periodSeconds,
    timeoutSeconds: 3,
    failureThreshold: 3,
  });
  const container = {
    name: NAME,
    image,
    args: ['run', '--cluster', scope, `--listen=0.0.0.0:${HTTP_PORT}`],
    ports: [{ name: 'http', containerPort: HTTP_PORT, protocol: 'TCP' }],
    startupProbe: { ...probe('/healthz', 2), failureThreshold: 30 },
    livenessProbe: probe('/healthz', 10),
    readinessProbe: probe('/readyz', 5),
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  };
  return {
    ...named('apps/v1', 'Deployment', NAME, namespace),
    spec: {
      replicas,
      selector: { matchLabels: { ...LABELS } },
      // A new replica is ready before an old one goes: there is always one that can lead.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: { ...LABELS } },
        spec: {
          serviceAccountName: NAME,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: GRACE_SECONDS,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: UNPRIVILEGED,
            runAsGroup: UNPRIVILEGED,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: { ...LABELS } },
            },
          ],
          containers: [container],
        },
      },
    },
  };
}

/** One replica at a time, so that draining a node never takes the leader and its standby together. */
export function podDisruptionBudget({ namespace }: InstallOptions): KubeObject {
  return {
    ...named('policy/v1', 'PodDisruptionBudget', NAME, namespace),
    spec: { maxUnavailable: 1, selector: { matchLabels: { ...LABELS } } },
  };
}

/** In: probes and metrics. Out: names, the Kubernetes API, servers by SSH, services by HTTP and HTTPS, DNS providers. */
export function networkPolicy({ namespace, egressPorts = [] }: InstallOptions): KubeObject {
  const tcp = (port: number) => ({ protocol: 'TCP', port });
  return {
    ...named('networking.k8s.io/v1', 'NetworkPolicy', NAME, namespace),
    spec: {
      podSelector: { matchLabels: { ...LABELS } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ ports: [tcp(HTTP_PORT)] }],
      egress: [
        { ports: [{ protocol: 'UDP', port: 53 }, tcp(53)] },
        { ports: [22, 80, 443, 6443, ...egressPorts].map(tcp) },
      ],
    },
  };
}

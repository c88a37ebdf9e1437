import type { KubeObject } from '../api/meta.ts';

/** What everything of an installation is called. */
export const NAME = 'gridferry';

/** On everything, and what Pods are selected by. */
export const LABELS = { 'app.kubernetes.io/name': NAME } as const;

export interface InstallOptions {
  /** Where the replicas run. */
  readonly namespace: string;
  readonly image: string;
  readonly replicas: number;
  /** The one namespace whose resources are reconciled; absent: all. */
  readonly watchNamespace?: string;
  /** TCP ports that servers are reached at, beside those of SSH, HTTP, HTTPS and the Kubernetes API. */
  readonly egressPorts?: readonly number[];
}

/** The head of an object; without a namespace, of a cluster-scoped one. */
export function named(apiVersion: string, kind: string, name: string, namespace?: string): KubeObject {
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), labels: { ...LABELS } },
  };
}

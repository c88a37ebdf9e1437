import { crdOf } from '../api/crds.ts';
import type { KubeObject } from '../api/meta.ts';
import { servedTypes } from '../api/resources.ts';
import { LABELS, NAME, named } from './identity.ts';
import type { InstallOptions } from './identity.ts';
import { rolesOf } from './roles.ts';
import { deployment, networkPolicy, podDisruptionBudget } from './workload.ts';

/** The CustomResourceDefinitions: the part of an installation that belongs to the whole cluster. */
export function definitions(): KubeObject[] {
  return servedTypes.map(crdOf).filter((crd) => crd !== undefined);
}

/** The namespace of the replicas, which holds them to the strictest of the Pod Security Standards. */
export function namespaceObject({ namespace }: InstallOptions): KubeObject {
  const object = named('v1', 'Namespace', namespace);
  object.metadata.labels = { ...LABELS, 'pod-security.kubernetes.io/enforce': 'restricted' };
  return object;
}

/** Everything in a namespace, and the roles. */
export function workload(options: InstallOptions): KubeObject[] {
  return [
    named('v1', 'ServiceAccount', NAME, options.namespace),
    ...rolesOf(options),
    networkPolicy(options),
    podDisruptionBudget(options),
    deployment(options),
  ];
}

/** A whole installation, in an order in which it can be applied. */
export function installation(options: InstallOptions): KubeObject[] {
  return [namespaceObject(options), ...definitions(), ...workload(options)];
}

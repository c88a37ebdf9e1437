/** The parts of a Kubernetes object that every kind shares. */

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  name: string;
  namespace?: string;
  generateName?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  /** Of old: a server takes no notice of it. */
  selfLink?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: unknown[];
}

/** `metav1.Condition`, as the Kubernetes API conventions define it. */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number | undefined;
}

/** Any object as it travels: kinds narrow `spec`, `status` and `data`. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: unknown;
  status?: unknown;
}

/** Names an object within its kind. Cluster-scoped kinds have `namespace: ''`. */
export interface ObjectKey {
  readonly namespace: string;
  readonly name: string;
}

/** What a client has to know of a kind to address it; `T` is what it gets back. */
export interface ResourceType<T extends KubeObject = KubeObject> {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Whether `status` is a subresource: then ordinary writes leave it alone, and status writes touch nothing else. */
  readonly hasStatus: boolean;
  /** Only for type inference; never set. */
  readonly __type?: T;
}

export const GROUP = 'gridferry.io';
export const VERSION = 'v1alpha1';
export const API_VERSION = 'gridferry.io/v1alpha1';

/** Whether a CRD makes the kind; the API server treats those that are built in differently here and there. */
export function isCustom({ group }: Pick<ResourceType, 'group'>): boolean {
  return group !== '' && !group.endsWith('.k8s.io');
}

/** `namespace/name`, or just the name of a cluster-scoped object. */
export function keyString(key: ObjectKey): string {
  return key.namespace === '' ? key.name : `${key.namespace}/${key.name}`;
}

export function keyOf(object: KubeObject): ObjectKey {
  return { namespace: object.metadata.namespace ?? '', name: object.metadata.name };
}

/** The `apiVersion` of a kind: `v1` for the core group. */
export function apiVersionOf(type: Pick<ResourceType, 'group' | 'version'>): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

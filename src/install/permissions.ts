/** What the program may do in a cluster, as data: the roles are made of it, and docs/cluster.md explains each row. */
export interface Permission {
  readonly apiGroup: string;
  readonly resources: readonly string[];
  /** Only these objects. `create` cannot be bound to a name: the API server does not know it yet. */
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly ('get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete')[];
}

/** The Lease that the replicas elect their leader by, in their own namespace. */
export const LEADER_LEASE = 'gridferry';

const kinds = ['managedservers', 'platformconfigs', 'services', 'transfers'] as const;

/** Where the resources are: in every namespace, or in the one that is watched. */
export const controllerPermissions: readonly Permission[] = [
  // The reflectors, and the objects that a transfer refers to.
  { apiGroup: 'gridferry.io', resources: kinds, verbs: ['get', 'list', 'watch'] },
  // Status is written whole; spec never.
  { apiGroup: 'gridferry.io', resources: kinds.map((kind) => `${kind}/status`), verbs: ['update'] },
  // The finalizer of a transfer.
  { apiGroup: 'gridferry.io', resources: ['transfers'], verbs: ['patch'] },
  // By the names that resources give; what else there is cannot be found out.
  { apiGroup: '', resources: ['secrets'], verbs: ['get'] },
  { apiGroup: '', resources: ['events'], verbs: ['create', 'patch'] },
  // Locks on what is moved: their names are hashes, so they cannot be named here.
  { apiGroup: 'coordination.k8s.io', resources: ['leases'], verbs: ['create', 'get', 'list', 'update', 'delete'] },
];

/** In the namespace of the replicas themselves. */
export const leaderPermissions: readonly Permission[] = [
  { apiGroup: 'coordination.k8s.io', resources: ['leases'], verbs: ['create'] },
  { apiGroup: 'coordination.k8s.io', resources: ['leases'], resourceNames: [LEADER_LEASE], verbs: ['get', 'update'] },
  // Its UID tells one cluster from another. A Role reaches no other Namespace than its own.
  { apiGroup: '', resources: ['namespaces'], verbs: ['get'] },
];

import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Leases, Namespaces } from '../api/core.ts';
import type { ObjectKey, ResourceType } from '../api/meta.ts';
import { ManagedServers, PlatformConfigs, Services, Transfers } from '../api/resources.ts';
import { classOf, GridferryError, messageOf } from '../errors.ts';
import { isReason } from '../home/api-error.ts';
import type { ClusterClient } from '../home/cluster/cluster-client.ts';

/** What has to be there, and be allowed, before a replica can work. */
export interface ClusterNeeds {
  /** Absent: all. */
  readonly namespace?: string;
  readonly lease: ObjectKey;
}

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;

/**
 * Waits until the API server answers (a Pod may start before its network), and checks then that the CRDs are installed
 * and that we may do what we need. Resolves with the uid of the Lease's namespace: the identity of the home, as long as
 * that namespace lives, whatever becomes of the Lease.
 *
 * @throws GridferryError `GF_CLUSTER_CRDS_MISSING`, `GF_CLUSTER_FORBIDDEN`, `GF_CLUSTER_NAMESPACE_MISSING`,
 * `GF_API_UNAUTHORIZED`, or the signal's reason.
 */
export async function whenAccessible(
  cluster: ClusterClient,
  needs: ClusterNeeds,
  log: Logger,
  signal: AbortSignal,
): Promise<string> {
  for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_RETRY_MS)) {
    signal.throwIfAborted();
    try {
      return await checkAccess(cluster, needs);
    } catch (error) {
      if (classOf(error) !== 'retryable') throw error;
      log.warn({ err: error }, `not ready yet: ${messageOf(error)}`);
    }
    await delay(waitMs, undefined, { signal });
  }
}

async function checkAccess(cluster: ClusterClient, { namespace, lease }: ClusterNeeds): Promise<string> {
  const scope = namespace === undefined ? {} : { namespace };
  for (const type of [ManagedServers, Transfers, Services, PlatformConfigs] as readonly ResourceType[]) {
    await cluster.list(type, { ...scope, limit: 1 }).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) throw crdsMissing(cluster.server, type, error);
      if (isReason(error, 'Forbidden')) throw forbidden(`list ${type.plural}`, namespace, error);
      throw error;
    });
  }
  const home = await cluster.get(Namespaces, { namespace: '', name: lease.namespace }).catch((error: unknown) => {
    if (isReason(error, 'NotFound')) throw namespaceMissing(lease.namespace, error);
    if (isReason(error, 'Forbidden')) throw forbidden(`get namespace ${lease.namespace}`, lease.namespace, error);
    throw error;
  });
  const candidate = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { ...lease } } as const;
  await cluster.create(Leases, candidate, { dryRun: true }).catch((error: unknown) => {
    if (isReason(error, 'AlreadyExists')) return;
    if (isReason(error, 'Forbidden')) throw forbidden('create and update the Lease gridferry', lease.namespace, error);
    throw error;
  });
  return home.metadata.uid ?? '';
}

function crdsMissing(server: string, type: ResourceType, cause: unknown): GridferryError {
  return new GridferryError(
    'GF_CLUSTER_CRDS_MISSING',
    `${server} does not know the kind ${type.kind}: install Gridferry's CRDs with "gridferry install | kubectl apply -f -".`,
    { cause },
  );
}

function forbidden(what: string, namespace: string | undefined, cause: unknown): GridferryError {
  const where = namespace === undefined ? 'in all namespaces' : `in namespace ${namespace}`;
  return new GridferryError(
    'GF_CLUSTER_FORBIDDEN',
    `The cluster does not let us ${what} ${where} (${messageOf(cause)}): "gridferry install" prints the RBAC rules ` +
      `that are needed; or work on one namespace only, with --namespace.`,
    { cause },
  );
}

function namespaceMissing(name: string, cause: unknown): GridferryError {
  return new GridferryError(
    'GF_CLUSTER_NAMESPACE_MISSING',
    `There is no namespace ${name} for the Lease of the replicas: create it, or name another with --leader-namespace.`,
    { cause },
  );
}

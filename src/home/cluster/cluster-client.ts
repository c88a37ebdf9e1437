import { keyOf } from '../../api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../../api/meta.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Clock } from '../../runtime/clock.ts';
import { ApiError } from '../api-error.ts';
import { badRequest } from '../api-messages.ts';
import type { Client, ListOptions, ListResult, Patch, WriteOptions } from '../client.ts';
import { isJsonObject } from '../json.ts';
import { createConnection } from './connection.ts';
import { createCredentialSource } from './credentials.ts';
import { createExchange } from './exchange.ts';
import type { ApiAnswer, ApiObservation, ApiRequest } from './exchange.ts';
import { loadAccess } from './kubeconfig.ts';
import type { KubeconfigOptions } from './kubeconfig.ts';
import { badAnswer } from './network-error.ts';
import { collectionPath, objectPath, queryString } from './resource-path.ts';
import { watchCluster } from './watch.ts';
import { completed } from './watch-stream.ts';

export interface ClusterOptions extends KubeconfigOptions {
  /** How long one call may take, repetitions included, in ms. Default 30,000. */
  readonly deadlineMs?: number;
  /** Who writes where the caller does not say. Default `gridferry`. */
  readonly fieldManager?: string;
  readonly userAgent?: string;
  readonly clock?: Clock;
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
  /** Told of every answer, for `rest_client_*` metrics. */
  readonly onObservation?: (observation: ApiObservation) => void;
}

/** A real cluster as a home. */
export interface ClusterClient extends Client {
  /** `https://host:port`, for messages. */
  readonly server: string;
  /** The namespace of the kubeconfig's context, or of the Pod. */
  readonly namespace: string | undefined;
  /** The same connection with another deadline per call, in ms: a lease must not wait for half a minute. */
  withDeadline(ms: number): Client;
  /** What `/version` says. The way to find out whether the server can be reached and lets us in. */
  version(): Promise<{ readonly gitVersion: string }>;
  /** Ends the watches and calls under way and closes the sockets. */
  close(): void;
}

const DEFAULT_DEADLINE_MS = 30_000;
const PATCH_TYPES: Readonly<Record<Patch['type'], string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  // JSON is YAML, and a good deal faster to read.
  apply: 'application/apply-patch+yaml',
};

/**
 * Connects to the cluster of a kubeconfig, or to the one that this Pod is in. Nothing is sent before the first call.
 *
 * @throws GridferryError `GF_KUBECONFIG_NOT_FOUND`, `GF_KUBECONFIG_INVALID`.
 */
export async function connectCluster(options: ClusterOptions = {}): Promise<ClusterClient> {
  const { clock = systemClock, random = Math.random, fieldManager = 'gridferry' } = options;
  const access = await loadAccess(options);
  const { host } = access.server;
  const connection = createConnection(access);
  const closed = new AbortController();
  const exchange = createExchange({
    connection,
    credentials: createCredentialSource(access, clock),
    clock,
    random,
    host,
    basePath: access.server.pathname.replace(/\/$/, ''),
    userAgent: options.userAgent ?? 'gridferry',
    closed: closed.signal,
    onObservation: options.onObservation,
  });

  function clientWithin(deadlineMs: number): Client {
    const call = (request: ApiRequest): Promise<ApiAnswer> => exchange.call(request, deadlineMs);

    async function write<T extends KubeObject>(
      type: ResourceType<T>,
      request: ApiRequest,
      writing: WriteOptions = {},
      more: Readonly<Record<string, boolean | undefined>> = {},
    ): Promise<ApiAnswer & { readonly object: T }> {
      const query = queryString({
        fieldManager: writing.fieldManager ?? fieldManager,
        fieldValidation: writing.fieldValidation ?? 'Strict',
        ...(writing.dryRun === true ? { dryRun: 'All' } : {}),
        ...more,
      });
      const answer = await call({ ...request, path: request.path + query, onWarning: writing.onWarning });
      return { ...answer, object: objectOf(type, answer.body) };
    }

    async function replace<T extends KubeObject>(
      type: ResourceType<T>,
      object: T,
      writing: WriteOptions | undefined,
      subresource?: 'status',
    ): Promise<T> {
      const path = objectPath(type, keyOf(object), subresource);
      return (await write(type, { method: 'PUT', path, body: object }, writing)).object;
    }

    async function get<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): Promise<T> {
      return objectOf(type, (await call({ method: 'GET', path: objectPath(type, key) })).body);
    }

    return {
      prefersStreamedLists: true,
      get,
      async list<T extends KubeObject>(type: ResourceType<T>, listing: ListOptions = {}): Promise<ListResult<T>> {
        const { namespace = '', signal, ...parameters } = listing;
        const path = collectionPath(type, namespace) + queryString({ ...parameters });
        return listOf(type, (await call({ method: 'GET', path, signal })).body);
      },
      watch: (type, watching) => watchCluster({ exchange, clock, random, host, deadlineMs }, type, watching),
      async create(type, object, writing) {
        const { namespace = '' } = object.metadata;
        if (type.namespaced && namespace === '') throw badRequest(`the ${type.kind} to create has no namespace`);
        return (await write(type, { method: 'POST', path: collectionPath(type, namespace), body: object }, writing))
          .object;
      },
      update: (type, object, writing) => replace(type, object, writing),
      updateStatus: (type, object, writing) => replace(type, object, writing, 'status'),
      async patch(type, key, patch, writing) {
        const { status, object } = await write(
          type,
          {
            method: 'PATCH',
            path: objectPath(type, key, writing?.subresource),
            body: patch.body,
            contentType: PATCH_TYPES[patch.type],
          },
          writing,
          { force: patch.type === 'apply' ? (patch.force ?? false) : undefined },
        );
        if (status === 201) writing?.onCreated?.();
        return object;
      },
      async delete(type, key, deleting = {}) {
        // Where nothing holds the object back the server answers with a Status: what it was is asked before.
        const last = await get(type, key);
        const body = {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          ...(deleting.preconditions === undefined ? {} : { preconditions: deleting.preconditions }),
          ...(deleting.propagationPolicy === undefined ? {} : { propagationPolicy: deleting.propagationPolicy }),
          ...(deleting.dryRun === true ? { dryRun: ['All'] } : {}),
        };
        const answer = await call({ method: 'DELETE', path: objectPath(type, key), body });
        return isJsonObject(answer.body) && answer.body['kind'] === 'Status' ? last : objectOf(type, answer.body);
      },
    };
  }

  function objectOf<T extends KubeObject>(type: ResourceType<T>, body: unknown): T {
    if (isJsonObject(body) && isJsonObject(body['metadata'])) return completed(type, body as unknown as T);
    throw badAnswer(host, `what it sent for a ${type.kind} is not one`);
  }

  function listOf<T extends KubeObject>(type: ResourceType<T>, body: unknown): ListResult<T> {
    const { items, metadata } = body as { items?: T[] | null; metadata?: Record<string, unknown> };
    if (!isJsonObject(metadata) || typeof metadata['resourceVersion'] !== 'string') {
      throw badAnswer(host, `what it sent for a list of ${type.plural} is not one`);
    }
    const { resourceVersion, continue: next, remainingItemCount } = metadata;
    return {
      items: (items ?? []).map((item) => completed(type, item)),
      resourceVersion,
      ...(typeof next === 'string' && next !== '' ? { continue: next } : {}),
      ...(typeof remainingItemCount === 'number' ? { remainingItemCount } : {}),
    };
  }

  return {
    ...clientWithin(options.deadlineMs ?? DEFAULT_DEADLINE_MS),
    server: access.server.origin,
    namespace: access.namespace,
    withDeadline: clientWithin,
    async version() {
      const { body } = await exchange.call(
        { method: 'GET', path: '/version' },
        options.deadlineMs ?? DEFAULT_DEADLINE_MS,
      );
      if (isJsonObject(body) && typeof body['gitVersion'] === 'string') return { gitVersion: body['gitVersion'] };
      throw badAnswer(host, 'it does not say its version');
    },
    close() {
      closed.abort(new ApiError('ServiceUnavailable', 'the connection to the cluster is closed'));
      connection.close();
    },
  };
}

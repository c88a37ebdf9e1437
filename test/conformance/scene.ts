import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { API_VERSION } from '../../src/api/meta.ts';
import type { ObjectKey, ObjectMeta, OwnerReference } from '../../src/api/meta.ts';
import { Services } from '../../src/api/resources.ts';
import type { Service } from '../../src/api/resources.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { StatusReason } from '../../src/home/api-error.ts';
import type { Client, WatchEvent, WatchOptions, WriteOptions } from '../../src/home/client.ts';

/** What one test works with: a client and a namespace of its own. */
export interface Scene {
  readonly client: Client;
  readonly namespace: string;
  readonly key: (name: string) => ObjectKey;
  readonly service: (name: string, metadata?: Partial<ObjectMeta>) => Service;
  readonly create: (name: string, metadata?: Partial<ObjectMeta>) => Promise<Service>;
  /** Applies a Service with this metadata, as `options.fieldManager`. */
  readonly applied: (
    name: string,
    metadata: Partial<ObjectMeta>,
    options: WriteOptions,
    force?: boolean,
  ) => Promise<Service>;
  readonly get: (name: string) => Promise<Service>;
  /** Events from now, or from a version, on, collected until `count` are there. */
  readonly collect: (count: number, options?: Partial<WatchOptions>) => Promise<string[]>;
  readonly gone: (name: string) => Promise<void>;
}

/** Adds one sentence to the suite. */
export type Check = (sentence: string, body: (t: Test, scene: Scene) => Promise<void>) => void;

export function sceneOf(client: Client, namespace: string): Scene {
  const key = (name: string): ObjectKey => ({ namespace, name });
  const service = (name: string, metadata: Partial<ObjectMeta> = {}): Service => ({
    apiVersion: API_VERSION,
    kind: 'Service',
    metadata: { name, namespace, ...metadata },
    spec: { container: 'c', serverRef: { name: 's1' } },
  });
  return {
    client,
    namespace,
    key,
    service,
    create: (name, metadata) => client.create(Services, service(name, metadata)),
    applied(name, metadata, options, force = false) {
      const body = service(name, metadata) as unknown as Record<string, unknown>;
      return client.patch(Services, key(name), { type: 'apply', body, force }, options);
    },
    get: (name) => client.get(Services, key(name)),
    async collect(count, options = {}) {
      const events: string[] = [];
      const signal = AbortSignal.timeout(10_000);
      for await (const event of client.watch(Services, { namespace, signal, ...options })) {
        if (event.type !== 'BOOKMARK') events.push(nameOf(event));
        if (events.length === count) break;
      }
      return events;
    },
    async gone(name) {
      await until(async () => {
        try {
          await client.get(Services, key(name));
          return false;
        } catch (error) {
          if (error instanceof ApiError && error.reason === 'NotFound') return true;
          throw error;
        }
      });
    },
  };
}

export function nameOf(event: Exclude<WatchEvent, { type: 'BOOKMARK' }>): string {
  return `${event.type} ${event.object.metadata.name}`;
}

export function ownedBy(owner: Service): OwnerReference {
  return { apiVersion: API_VERSION, kind: 'Service', name: owner.metadata.name, uid: owner.metadata.uid ?? '' };
}

export async function refused(
  t: Test,
  promise: Promise<unknown>,
  reason: StatusReason,
  message?: RegExp,
): Promise<ApiError | undefined> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    t.equal(error.reason, reason, error.message);
    if (message !== undefined) t.match(error.message, message);
    return error;
  }
  t.fail(`expected ${reason}`);
  return undefined;
}

/** Garbage collection is asynchronous in a cluster. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come to pass within 60 s');
    await delay(20);
  }
}

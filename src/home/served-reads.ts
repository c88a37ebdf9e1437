import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { ApiError } from './api-error.ts';
import { notFound, resourceName } from './api-messages.ts';
import type { ChangeFeed } from './change-feed.ts';
import type { Client, ListOptions, WatchEvent, WatchOptions } from './client.ts';
import type { HomeReader, StoredEvent, StoredList } from './home-reader.ts';
import type { StoredObject } from './stored-object.ts';

/** The half of the port that changes nothing. */
export type Reads = Pick<Client, 'get' | 'list' | 'watch'>;

/** Reads that hand out the JSON as it is stored: for the wire. They throw what the client's reads reject with. */
export interface StoredReads {
  /** Gives a version that is yet to come a few seconds; '' is whatever there is. */
  reach(resourceVersion: string, signal?: AbortSignal): Promise<void>;
  /** `resourceVersion`: not older than that. */
  get(type: ResourceType, key: ObjectKey, resourceVersion?: string): StoredObject;
  list(type: ResourceType, options: ListOptions): StoredList;
  watch(type: ResourceType, options: WatchOptions): AsyncGenerator<readonly StoredEvent[]>;
}

export interface ServedReads {
  /** @throws ApiError `NotFound` for a kind that is not served, `ServiceUnavailable` once the home is closed. */
  readonly checkServed: (type: ResourceType) => void;
  readonly stored: StoredReads;
  readonly reads: Reads;
}

/** What is read of the kinds that are served, as stored text and as objects of the caller's own. */
export function servedReads(reader: HomeReader, feed: ChangeFeed, types: readonly ResourceType[]): ServedReads {
  const served = new Set(types.map(resourceName));

  function checkServed(type: ResourceType): void {
    if (feed.closed) throw new ApiError('ServiceUnavailable', 'the local home is closed');
    if (!served.has(resourceName(type))) {
      throw new ApiError('NotFound', `the server could not find the requested resource (${resourceName(type)})`);
    }
  }

  const stored: StoredReads = {
    reach: (resourceVersion, signal) => reader.reach(resourceVersion, signal),
    get(type, key, resourceVersion) {
      checkServed(type);
      const found = reader.get(type, key, resourceVersion);
      if (found === undefined) throw notFound(type, key.name);
      return found;
    },
    list(type, options) {
      checkServed(type);
      return reader.list(type, options);
    },
    watch(type, options) {
      checkServed(type);
      return reader.watch(type, options);
    },
  };

  const reads: Reads = {
    async get<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey) {
      return Promise.resolve(stored.get(type, key).copy() as T);
    },
    async list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}) {
      await reader.reach(options.resourceVersion ?? '', options.signal);
      const { items, ...rest } = stored.list(type, options);
      return { ...rest, items: items.map((item) => item.copy() as T) };
    },
    async *watch<T extends KubeObject>(type: ResourceType<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
      for await (const events of stored.watch(type, options)) {
        for (const event of events) {
          if (options.signal.aborted) return;
          yield event.type === 'BOOKMARK' ? event : { type: event.type, object: event.stored.copy() as T };
        }
      }
    },
  };
  return { checkServed, stored, reads };
}

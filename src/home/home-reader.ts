import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import type { Clock } from '../runtime/clock.ts';
import { ApiError } from './api-error.ts';
import { badRequest } from './api-messages.ts';
import type { ChangeFeed } from './change-feed.ts';
import { ChangeLog, expired } from './change-log.ts';
import type { ListOptions, WatchOptions } from './client.ts';
import { decodeContinue, encodeContinue } from './continue-token.ts';
import { parseFieldSelector, selectableFields } from './field-selector.ts';
import { parseLabelSelector } from './label-selector.ts';
import type { Change, ChangeEvent, ObjectStore } from './object-store.ts';
import { StoredObject } from './stored-object.ts';
import { storageError } from './storage-error.ts';

/** How many objects the start of a watch, or a selection, reads at once. */
const PAGE = 200;
/** After how many changes of other objects, and after how long, a watch says where it stands. */
const BOOKMARK_AFTER_CHANGES = 500;
const BOOKMARK_AFTER_MS = 60_000;
/** How long a version may take to come that somebody asks for already, as in the API server (`cacher`, blockTimeout). */
const FUTURE_MS = 3_000;

export interface StoredList {
  readonly items: readonly StoredObject[];
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export type StoredEvent =
  | { readonly type: ChangeEvent; readonly stored: StoredObject }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly initialEventsEnd?: true };

type Matcher = (object: Readonly<KubeObject>) => boolean;

export interface HomeReaderOptions {
  readonly store: ObjectStore;
  readonly feed: ChangeFeed;
  readonly clock: Clock;
  readonly selectableFields: (type: ResourceType) => readonly string[];
}

/** The reading verbs on stored text: nothing is parsed that a selector does not ask about. */
export class HomeReader {
  readonly #store: ObjectStore;
  readonly #feed: ChangeFeed;
  readonly #clock: Clock;
  readonly #moreFields: (type: ResourceType) => readonly string[];
  readonly #log: ChangeLog;

  constructor({ store, feed, clock, selectableFields: moreFields }: HomeReaderOptions) {
    this.#store = store;
    this.#feed = feed;
    this.#clock = clock;
    this.#moreFields = moreFields;
    this.#log = new ChangeLog(store);
  }

  /**
   * Gives a version that is yet to come a few seconds.
   *
   * @throws ApiError `BadRequest` for what is no version.
   */
  async reach(resourceVersion: string, signal?: AbortSignal): Promise<void> {
    if (resourceVersion === '') return;
    await this.#come(parseVersion(resourceVersion), signal ?? new AbortController().signal, FUTURE_MS);
  }

  /** @param resourceVersion the object must not be older; '' is whatever there is */
  get(type: ResourceType, key: ObjectKey, resourceVersion = ''): StoredObject | undefined {
    return reading(() => {
      if (resourceVersion !== '') notInFuture(parseVersion(resourceVersion), this.#store.head());
      return this.#store.read(type, key);
    });
  }

  /** @throws ApiError `BadRequest`, `Expired` (410), `Timeout` for a version that is yet to come. */
  list(type: ResourceType, options: ListOptions): StoredList {
    return reading(() => {
      const head = this.#store.head();
      const { version, after } = this.#startOf(options, head);
      const scope = { namespace: namespaceOf(type, options) };
      const matches = this.#matcherOf(type, options);
      const limit = options.limit !== undefined && options.limit > 0 ? options.limit : undefined;
      const found = this.#select(type, version, { ...scope, after }, matches, limit);
      const last = found.at(-1);
      const items = found.slice(0, limit).map(({ stored }) => stored);
      const resourceVersion = String(version);
      if (limit === undefined || last === undefined || found.length <= limit) return { items, resourceVersion };
      const { key } = found[limit - 1] ?? last;
      // How many are left of a selection nobody knows without reading all of them (as in the API server).
      const left = matches === undefined ? this.#store.count(type, version, { ...scope, after: key }) : undefined;
      const more = encodeContinue({ version, after: key });
      return { items, resourceVersion, continue: more, ...(left === undefined ? {} : { remainingItemCount: left }) };
    });
  }

  /** One more than `limit`, where there are as many: it tells that the list goes on. */
  #select(
    type: ResourceType,
    version: number,
    scope: { readonly namespace: string | undefined; readonly after: ObjectKey | undefined },
    matches: Matcher | undefined,
    limit = Infinity,
  ): { readonly key: ObjectKey; readonly stored: StoredObject }[] {
    if (matches === undefined) {
      return this.#store.list(type, version, limit === Infinity ? scope : { ...scope, limit: limit + 1 });
    }
    const found: { key: ObjectKey; stored: StoredObject }[] = [];
    let { after } = scope;
    for (;;) {
      const page = this.#store.list(type, version, { ...scope, after, limit: PAGE });
      for (const listed of page) {
        if (matches(listed.stored.object)) found.push(listed);
        if (found.length > limit) return found;
      }
      if (page.length < PAGE) return found;
      after = page.at(-1)?.key;
    }
  }

  /** Which snapshot is meant (Kubernetes: "the resourceVersion parameter"). */
  #startOf(options: ListOptions, head: number): { version: number; after: ObjectKey | undefined } {
    const { resourceVersion = '', resourceVersionMatch, limit = 0 } = options;
    if (options.continue !== undefined && options.continue !== '') {
      if (resourceVersion !== '' && resourceVersion !== '0') {
        throw badRequest('specifying resource version is not allowed when using continue');
      }
      const point = decodeContinue(options.continue, this.#store.floor(), head);
      return { version: point.version ?? head, after: point.after };
    }
    if (resourceVersion === '' || resourceVersion === '0') return { version: head, after: undefined };
    const asked = parseVersion(resourceVersion);
    notInFuture(asked, head);
    const exact = resourceVersionMatch === 'Exact' || (resourceVersionMatch === undefined && limit > 0);
    if (!exact) return { version: head, after: undefined };
    if (asked < this.#store.floor()) {
      throw new ApiError('Expired', 'The resourceVersion for the provided list is too old.');
    }
    return { version: asked, after: undefined };
  }

  /**
   * What happens, as it happens, in as large parts as there are at hand; ends when the signal fires or the home closes.
   * What is wrong with the options is thrown at once, what happens later by the iterator.
   *
   * @throws ApiError `BadRequest`, `Timeout`; `Expired` (410) when it falls behind the log.
   */
  watch(type: ResourceType, options: WatchOptions): AsyncGenerator<readonly StoredEvent[]> {
    const { resourceVersion = '', sendInitialEvents = false } = options;
    const matches = this.#matcherOf(type, options);
    const fromNow = sendInitialEvents || resourceVersion === '' || resourceVersion === '0';
    if (!fromNow) return this.#follow(type, options, matches, parseVersion(resourceVersion));
    return this.#fromInitial(type, options, matches, resourceVersion === '' ? 0 : parseVersion(resourceVersion));
  }

  /** Waits for a version, until the signal fires, the home closes or, where `ms` says so, the time is over. */
  async #come(version: number, signal: AbortSignal, ms = Infinity): Promise<void> {
    const deadline = this.#clock.monotonic() + ms;
    while (!signal.aborted && !this.#feed.closed && reading(() => this.#store.head()) < version) {
      const left = deadline - this.#clock.monotonic();
      if (left <= 0) return;
      await this.#feed.changed(signal, Math.min(left, BOOKMARK_AFTER_MS));
    }
  }

  async *#fromInitial(
    type: ResourceType,
    options: WatchOptions,
    matches: Matcher | undefined,
    least: number,
  ): AsyncGenerator<readonly StoredEvent[]> {
    await this.#come(least, options.signal, FUTURE_MS);
    const ended = (): boolean => options.signal.aborted || this.#feed.closed;
    if (ended()) return;
    const head = reading(() => this.#store.head());
    notInFuture(least, head);
    const namespace = namespaceOf(type, options);
    for (let after: ObjectKey | undefined, more = true; more;) {
      const page = reading(() => this.#page(type, head, namespace, after));
      const selected = matches === undefined ? page : page.filter(({ stored }) => matches(stored.object));
      if (selected.length > 0) yield selected.map(({ stored }) => ({ type: 'ADDED' as const, stored }));
      if (ended()) return;
      after = page.at(-1)?.key;
      more = page.length === PAGE;
    }
    if (options.sendInitialEvents === true) {
      yield [{ type: 'BOOKMARK', resourceVersion: String(head), initialEventsEnd: true }];
    }
    yield* this.#follow(type, options, matches, head);
  }

  async *#follow(
    type: ResourceType,
    options: WatchOptions,
    matches: Matcher | undefined,
    from: number,
  ): AsyncGenerator<readonly StoredEvent[]> {
    const { signal } = options;
    const namespace = namespaceOf(type, options);
    // Both may change during every `yield` and `await`.
    const ended = (): boolean => signal.aborted || this.#feed.closed;
    await this.#come(from, signal);
    let position = from;
    let marked = position;
    let markedAt = this.#clock.monotonic();
    while (!ended()) {
      const { changes, upTo } = reading(() => this.#log.after(type, position));
      const idle = upTo === position;
      position = upTo;
      const events: StoredEvent[] = [];
      for (const change of changes) {
        if (namespace !== undefined && change.namespace !== namespace) continue;
        const event = this.#eventOf(type, change, matches);
        if (event === undefined) continue;
        events.push(event);
        marked = change.version;
        markedAt = this.#clock.monotonic();
      }
      if (position - marked >= BOOKMARK_AFTER_CHANGES || this.#clock.monotonic() - markedAt >= BOOKMARK_AFTER_MS) {
        events.push({ type: 'BOOKMARK', resourceVersion: String(position) });
        marked = position;
        markedAt = this.#clock.monotonic();
      }
      if (events.length > 0) yield events;
      else if (idle) await this.#feed.changed(signal, BOOKMARK_AFTER_MS);
    }
  }

  #page(
    type: ResourceType,
    version: number,
    namespace: string | undefined,
    after: ObjectKey | undefined,
  ): { readonly key: ObjectKey; readonly stored: StoredObject }[] {
    const floor = this.#store.floor();
    if (version < floor) throw expired(version, floor);
    return this.#store.list(type, version, { namespace, after, limit: PAGE });
  }

  /** An object that comes into a selection is ADDED to it, and one that leaves is DELETED from it, whatever happened to it. */
  #eventOf(type: ResourceType, change: Change, matches: Matcher | undefined): StoredEvent | undefined {
    const { event, stored } = change;
    if (matches === undefined) return { type: event, stored };
    const previous = change.previous === undefined ? undefined : this.#store.revision(type, change.previous);
    const was = event !== 'ADDED' && previous !== undefined && matches(previous.object);
    const is = event !== 'DELETED' && matches(stored.object);
    if (is) return { type: was ? 'MODIFIED' : 'ADDED', stored };
    if (!was) return undefined;
    // As the API server does: the last state that was selected, at the version at which it left.
    const last = previous.object;
    const metadata = { ...last.metadata, resourceVersion: String(change.version) };
    return { type: 'DELETED', stored: new StoredObject(JSON.stringify({ ...last, metadata })) };
  }

  #matcherOf(type: ResourceType, options: ListOptions | WatchOptions): Matcher | undefined {
    const { labelSelector = '', fieldSelector = '' } = options;
    if (labelSelector.trim() === '' && fieldSelector.trim() === '') return undefined;
    const labels = parseLabelSelector(labelSelector);
    const fields = parseFieldSelector(fieldSelector, selectableFields(type, this.#moreFields(type)));
    return (object) => labels(object.metadata.labels) && fields(object);
  }
}

function reading<R>(body: () => R): R {
  try {
    return body();
  } catch (error) {
    throw storageError(error, 'read');
  }
}

function namespaceOf(type: ResourceType, options: { readonly namespace?: string }): string | undefined {
  return type.namespaced && options.namespace !== '' ? options.namespace : undefined;
}

function parseVersion(resourceVersion: string): number {
  if (/^\d{1,15}$/.test(resourceVersion)) return Number(resourceVersion);
  const shown = JSON.stringify(resourceVersion);
  throw badRequest(
    `invalid resource version: resourceVersion: Invalid value: ${shown}: strconv.ParseUint: parsing ${shown}: invalid syntax`,
  );
}

/** @throws ApiError `Timeout`: the version may come, but did not yet. */
function notInFuture(asked: number, head: number): void {
  if (asked <= head) return;
  throw new ApiError('Timeout', `Timeout: Too large resource version: ${String(asked)}, current: ${String(head)}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

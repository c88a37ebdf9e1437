import { randomInt, randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { Events, Namespaces } from '../api/core.ts';
import { keyOf } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import type { AuditSource } from '../audit/audit-log.ts';
import type { AuditEvent } from '../audit/chain.ts';
import { eventsOfWrite } from '../audit/events-of-write.ts';
import type { Clock } from '../runtime/clock.ts';
import { systemClock } from '../runtime/clock.ts';
import type { KeySource } from '../security/encryption-keys.ts';
import type { Admission } from './admission.ts';
import { ApiError } from './api-error.ts';
import { resourceName } from './api-messages.ts';
import { AuditJournal } from './audit-journal.ts';
import { ChangeFeed } from './change-feed.ts';
import type { Client, DeleteOptions, Patch, WriteOptions } from './client.ts';
import { encryptStore } from './encrypt-store.ts';
import { defaultKeySource, homeKeys } from './home-keys.ts';
import { HomeReader } from './home-reader.ts';
import { jsonCopy } from './json.ts';
import { ObjectStore } from './object-store.ts';
import { ObjectWriter } from './object-writer.ts';
import type { Random } from './generated-name.ts';
import { secretBodies } from './secret-bodies.ts';
import type { Keyring } from './secret-bodies.ts';
import { servedReads } from './served-reads.ts';
import type { StoredReads } from './served-reads.ts';
import { openStoreFile } from './store-file.ts';
import { WriteQueue } from './write-queue.ts';

const DEFAULT_CHANGE_WINDOW = 10_000;
const DEFAULT_EVENT_TTL_MS = 24 * 60 * 60 * 1000;
const EVENTS_PER_SWEEP = 1000;

export interface LocalHomeOptions {
  readonly stateDir: string;
  /** Reads only; writes are refused with `Forbidden`. The store must be there already. */
  readonly readOnly?: boolean;
  readonly clock?: Clock;
  /** What is served. */
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly random?: Random;
  /** How many changes a watch may lag behind, and a `continue` token survive. Default 10,000. */
  readonly changeWindow?: number;
  /** How long an Event is kept after its last change, in ms. Default one day. */
  readonly eventTtlMs?: number;
  /** What Secrets are encrypted with on the disk. Default: a key of the home's own, made at the first start. */
  readonly encryptionKeys?: KeySource;
  /** Makes a line of the audit log for every change. `redact` sees each before it is stored. */
  readonly auditLog?: { readonly redact: (event: AuditEvent) => AuditEvent };
  /** Fields beyond name and namespace that a field selector may name. */
  readonly selectableFields?: (type: ResourceType) => readonly string[];
}

/** The embedded API. Everything it returns is the caller's own copy. */
export interface LocalHome extends Client {
  readonly stored: StoredReads;
  /** The lines of the audit log that this home makes, if it was asked to. */
  readonly audit: AuditSource;
  /** Finishes queued writes, ends the watches and closes the store. */
  close(): void;
}

const systemRandom: Random = { uuid: () => randomUUID(), below: (limit) => randomInt(limit) };

/**
 * Opens the resources kept under `stateDir`. Several processes may have the same directory open; a write is durable, and
 * visible to all of them, when its promise resolves.
 *
 * @throws GridferryError `GF_HOME_NOT_FOUND`, `GF_HOME_UNAVAILABLE`, `GF_HOME_CORRUPT`, `GF_HOME_FOREIGN`,
 * `GF_HOME_NEWER`, `GF_HOME_OUTDATED`, `GF_ENCRYPTION_KEY_*`.
 */
export function openLocalHome(options: LocalHomeOptions): LocalHome {
  const { stateDir, readOnly = false, types, admission } = options;
  const clock = options.clock ?? systemClock;
  const window = options.changeWindow ?? DEFAULT_CHANGE_WINDOW;
  const keySource = options.encryptionKeys ?? defaultKeySource(stateDir);
  const keys = homeKeys(keySource);
  const database = openStoreFile(stateDir, readOnly);
  if (!readOnly) encryptOrClose(database, keySource, keys);
  const store = new ObjectStore(database, secretBodies(keys), types, window);
  const journal = new AuditJournal(database, keys);
  const { auditLog } = options;
  const record = (events: readonly AuditEvent[]): void => {
    if (auditLog !== undefined && events.length > 0) journal.append(clock.now(), events.map(auditLog.redact));
  };
  const writer = new ObjectWriter({
    ...{ store, types, admission, clock, random: options.random ?? systemRandom },
    observe: auditLog && ((write) => record(eventsOfWrite(write))),
  });
  const feed = new ChangeFeed(() => store.externalVersion(), clock);
  const reader = new HomeReader({ store, feed, clock, selectableFields: options.selectableFields ?? (() => []) });
  const { checkServed, stored, reads } = servedReads(reader, feed, types);
  const serves = (type: ResourceType): boolean => types.some((each) => resourceName(each) === resourceName(type));

  const queue = new WriteQueue({
    transaction: (body) =>
      store.transaction(() => {
        body();
        if (store.overdue) {
          store.trim();
          expireEvents();
        }
      }),
    committed() {
      feed.notify();
      linesMade();
    },
  });

  let linesMade = (): void => {};

  function expireEvents(): void {
    if (!serves(Events)) return;
    const before = clock.now() - (options.eventTtlMs ?? DEFAULT_EVENT_TTL_MS);
    for (const { key } of store.unchangedSince(Events, before, EVENTS_PER_SWEEP)) {
      writer.run(false, undefined, () => writer.delete(Events, key, {}));
    }
  }

  function write<T extends KubeObject>(type: ResourceType<T>, given: Asked, body: () => T): Promise<T> {
    const { dryRun = false, fieldManager } = given;
    checkServed(type);
    if (readOnly) {
      throw new ApiError(
        'Forbidden',
        `${stateDir} is open for reading only: open it for writing to change ${type.plural}`,
      );
    }
    return queue.add(() => {
      const result = writer.run(dryRun, fieldManager, body);
      return dryRun ? withStoredVersion(type, result) : result;
    });
  }

  /** What was only tried has the version of what is stored, or none. */
  function withStoredVersion<T extends KubeObject>(type: ResourceType<T>, tried: T): T {
    const { resourceVersion: _tried, ...metadata } = tried.metadata;
    const version = store.get(type, keyOf(tried))?.metadata.resourceVersion;
    return { ...tried, metadata: { ...metadata, ...(version === undefined ? {} : { resourceVersion: version }) } };
  }

  if (!readOnly) {
    store.transaction(() => {
      if (serves(Namespaces) && store.get(Namespaces, { namespace: '', name: 'default' }) === undefined) {
        const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } } as const;
        writer.run(false, 'gridferry', () => writer.create(Namespaces, object, { fieldManager: 'gridferry' }));
      }
      expireEvents();
    });
  }

  return {
    stored,
    audit: {
      after: (seq, limit) => journal.after(seq, limit),
      flushed: (seq) => queue.add(() => journal.flushed(seq)),
      append: (events) => queue.add(() => record(events)),
      onLines: (callback) => (linesMade = callback),
    },
    ...reads,
    async create(type, object, options: WriteOptions = {}) {
      const copy = copyOf(object);
      return write(type, named(options), () => writer.create(type, copy, named(options)));
    },
    async update(type, object, options: WriteOptions = {}) {
      const copy = copyOf(object);
      return write(type, named(options), () => writer.update(type, copy, named(options)));
    },
    async updateStatus(type, object, options: WriteOptions = {}) {
      // Through this door nobody hands ownership over: what the client read of it need not be copied.
      const { managedFields: _, ...metadata } = object.metadata;
      const copy = copyOf({ ...object, metadata });
      return write(type, named(options), () => writer.update(type, copy, named(options), 'status'));
    },
    async patch(type, key, patch: Patch, options: WriteOptions & { readonly subresource?: 'status' } = {}) {
      const copy = copyOf(patch);
      const outcome = { created: false };
      const notingCreation = { ...named(options), onCreated: () => (outcome.created = true) };
      const subresource = options.subresource;
      const result = await write(type, notingCreation, () =>
        writer.patch(type, key, copy, notingCreation, subresource),
      );
      // Only now it is stored.
      if (outcome.created) options.onCreated?.();
      return result;
    },
    async delete(type, key, options: DeleteOptions = {}) {
      return write(type, { fieldManager: 'gridferry', ...options }, () => writer.delete(type, key, options));
    },
    close() {
      if (feed.closed) return;
      queue.flush();
      feed.close();
      store.close();
    },
  };
}

function encryptOrClose(database: DatabaseSync, source: KeySource, keys: () => Keyring): void {
  try {
    encryptStore(database, source, keys);
  } catch (error) {
    database.close();
    throw error;
  }
}

type Asked = Pick<WriteOptions, 'dryRun' | 'fieldManager'>;

/** Who does not say who it is, is this program. */
function named(options: WriteOptions): WriteOptions {
  return { ...options, fieldManager: options.fieldManager ?? 'gridferry' };
}

/** What the caller does to its object while the write waits for its turn must not reach the store. */
function copyOf<T>(value: T): T {
  try {
    return jsonCopy(value);
  } catch (error) {
    throw new ApiError('BadRequest', 'the object is not JSON: it has a cycle or a value that JSON lacks', {}, error);
  }
}

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { resourceName } from './api-messages.ts';
import type { BodyCodec } from './body-codec.ts';
import { checkSize } from './object-size.ts';
import { inTransaction, sqliteCodeOf } from './sqlite.ts';
import { StoredObject } from './stored-object.ts';

export type ChangeEvent = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface Change {
  readonly version: number;
  readonly event: ChangeEvent;
  readonly namespace: string;
  readonly stored: StoredObject;
  /** The version that this one replaced; kept as long as the change itself. */
  readonly previous: number | undefined;
}

export interface ListScope {
  readonly namespace?: string | undefined;
  readonly after?: ObjectKey | undefined;
  readonly limit?: number | undefined;
}

export interface ListedObject {
  readonly key: ObjectKey;
  readonly stored: StoredObject;
}

export interface StoredRef {
  readonly type: ResourceType;
  readonly key: ObjectKey;
}

/**
 * Every version of every object is one row of `revisions`; `objects` says which one is current. So the change log, the
 * snapshots behind `continue` tokens and the current state share one copy of the JSON.
 *
 * Invariant: a revision is dropped only when its *successor* is at or below the floor. Any snapshot at or above the
 * floor, and the predecessor of any change above it, can therefore be read.
 */
export class ObjectStore {
  readonly #database: DatabaseSync;
  readonly #codec: BodyCodec;
  readonly #types: ReadonlyMap<string, ResourceType>;
  readonly #statements = new Map<string, StatementSync>();
  readonly #window: number;
  /** The last version handed out; only meaningful inside a transaction. */
  #last = 0;

  constructor(database: DatabaseSync, codec: BodyCodec, types: readonly ResourceType[], window: number) {
    this.#database = database;
    this.#codec = codec;
    this.#types = new Map(types.map((type) => [resourceName(type), type]));
    this.#window = window;
  }

  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#database.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }

  /** All or nothing, durable when it returns. */
  transaction<R>(body: () => R): R {
    return inTransaction(this.#database, () => {
      this.#last = this.head();
      return body();
    });
  }

  /** A transaction within the transaction: a throw, or `keep: false`, undoes what `body` wrote. */
  attempt<R>(keep: boolean, body: () => R): R {
    const last = this.#last;
    const end = (undo: boolean): void => {
      if (undo) {
        this.#sql('ROLLBACK TO attempt').run();
        this.#last = last;
      }
      this.#sql('RELEASE attempt').run();
    };
    this.#sql('SAVEPOINT attempt').run();
    let result: R;
    try {
      result = body();
    } catch (error) {
      // After an error of SQLite's own the whole transaction is lost, and its savepoints may be gone with it.
      if (sqliteCodeOf(error) === undefined) end(true);
      throw error;
    }
    end(!keep);
    return result;
  }

  /** The version of the latest change. */
  head(): number {
    return Number(this.#sql('SELECT max(rv) AS rv FROM revisions').get()?.['rv'] ?? 0);
  }

  /** Changes up to this version are no longer complete. */
  floor(): number {
    return Number(this.#sql("SELECT value FROM counters WHERE name = 'floor'").get()?.['value'] ?? 0);
  }

  /** Changes whenever another process (or another home in this one) commits. */
  externalVersion(): number {
    return Number(this.#sql('PRAGMA data_version').get()?.['data_version']);
  }

  get<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): T | undefined {
    return this.read(type, key)?.object as T | undefined;
  }

  /** As `get`, without parsing. */
  read(type: ResourceType, key: ObjectKey): StoredObject | undefined {
    const row = this.#sql(
      `SELECT r.rv AS rv, r.body AS body FROM objects o JOIN revisions r ON r.rv = o.rv
       WHERE o.type = ? AND o.namespace = ? AND o.name = ? AND o.deleted = 0`,
    ).get(resourceName(type), key.namespace, key.name);
    return row === undefined ? undefined : this.#decode(type, { ...row, ...key });
  }

  /**
   * The objects of a kind as they were at `version`, by namespace and name, from the one after `after` on. `limit` is
   * how many at most.
   */
  list(type: ResourceType, version: number, options: ListScope = {}): ListedObject[] {
    const { namespace, after, limit } = options;
    const rows = this.#sql(
      `SELECT o.namespace AS namespace, o.name AS name, r.rv AS rv, r.body AS body FROM objects o JOIN revisions r ON ${AS_OF}
       WHERE o.type = ? ${scopeOf(namespace, after)} AND r.event <> 'DELETED'
       ORDER BY o.namespace, o.name LIMIT ?`,
    ).all(version, version, ...this.#scopeValues(type, namespace, after), limit ?? -1);
    return rows.map((row) => ({
      key: { namespace: String(row['namespace']), name: String(row['name']) },
      stored: this.#decode(type, row),
    }));
  }

  /** How many there were at `version`, from the one after `after` on. */
  count(type: ResourceType, version: number, { namespace, after }: Omit<ListScope, 'limit'> = {}): number {
    const row = this.#sql(
      `SELECT count(*) AS n FROM objects o JOIN revisions r ON ${AS_OF}
       WHERE o.type = ? ${scopeOf(namespace, after)} AND r.event <> 'DELETED'`,
    ).get(version, version, ...this.#scopeValues(type, namespace, after));
    return Number(row?.['n']);
  }

  #scopeValues(type: ResourceType, namespace: string | undefined, after: ObjectKey | undefined): string[] {
    return [
      resourceName(type),
      ...(namespace === undefined ? [] : [namespace]),
      ...(after === undefined ? [] : namespace === undefined ? [after.namespace, after.name] : [after.name]),
    ];
  }

  /** At most `limit` changes of a kind after `after`, up to and including `upTo`. */
  changes(type: ResourceType, after: number, upTo: number, limit: number): Change[] {
    return this.#sql(
      `SELECT r.rv AS rv, r.event AS event, r.previous AS previous, r.body AS body, o.namespace AS namespace, o.name AS name
       FROM revisions r JOIN objects o ON o.id = r.object_id
       WHERE r.rv > ? AND r.rv <= ? AND o.type = ? ORDER BY r.rv LIMIT ?`,
    )
      .all(after, upTo, resourceName(type), limit)
      .map((row) => ({
        version: Number(row['rv']),
        event: row['event'] as ChangeEvent,
        namespace: String(row['namespace']),
        stored: this.#decode(type, row),
        previous: row['previous'] === null ? undefined : Number(row['previous']),
      }));
  }

  revision(type: ResourceType, version: number): StoredObject | undefined {
    const row = this.#sql(
      `SELECT r.rv AS rv, r.body AS body, o.namespace AS namespace, o.name AS name
       FROM revisions r JOIN objects o ON o.id = r.object_id WHERE r.rv = ?`,
    ).get(version);
    return row === undefined ? undefined : this.#decode(type, row);
  }

  /**
   * Stores the next version of an object, and gives it its `resourceVersion`. Only inside a transaction.
   *
   * @throws ApiError `RequestEntityTooLarge`.
   */
  put<T extends KubeObject>(type: ResourceType<T>, event: ChangeEvent, object: T, now: number): T {
    const version = this.#last + 1;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    const json = JSON.stringify(stored);
    if (event !== 'DELETED') checkSize(stored, json);
    this.#last = version;
    const { name, namespace = '' } = stored.metadata;
    const body = this.#codec.encode({ type, namespace, name, version }, json);
    const found = this.#sql('SELECT id, rv FROM objects WHERE type = ? AND namespace = ? AND name = ?').get(
      resourceName(type),
      namespace,
      name,
    );
    const deleted = event === 'DELETED' ? 1 : 0;
    let id: number;
    if (found === undefined) {
      const insert = this.#sql('INSERT INTO objects (type, namespace, name, rv, deleted) VALUES (?, ?, ?, ?, ?)');
      id = Number(insert.run(resourceName(type), namespace, name, version, deleted).lastInsertRowid);
    } else {
      id = Number(found['id']);
      this.#sql('UPDATE objects SET rv = ?, deleted = ? WHERE id = ?').run(version, deleted, id);
    }
    this.#sql('INSERT INTO revisions (rv, object_id, event, previous, at, body) VALUES (?, ?, ?, ?, ?, ?)').run(
      version,
      id,
      event,
      event === 'ADDED' || found === undefined ? null : Number(found['rv']),
      now,
      body,
    );
    return stored;
  }

  /** Keeps the index of who owns whom in step with `ownerReferences`. */
  setOwners(ref: StoredRef, before: readonly string[], after: readonly string[]): void {
    if (before.length === 0 && after.length === 0) return;
    const id = this.#sql('SELECT id FROM objects WHERE type = ? AND namespace = ? AND name = ?').get(
      resourceName(ref.type),
      ref.key.namespace,
      ref.key.name,
    )?.['id'];
    if (id === undefined) return;
    for (const uid of before) {
      if (!after.includes(uid)) this.#sql('DELETE FROM owners WHERE owner_uid = ? AND object_id = ?').run(uid, id);
    }
    for (const uid of after)
      this.#sql('INSERT OR IGNORE INTO owners (owner_uid, object_id) VALUES (?, ?)').run(uid, id);
  }

  dependents(ownerUid: string): StoredRef[] {
    return this.#refs(
      `SELECT o.type AS type, o.namespace AS namespace, o.name AS name FROM owners w JOIN objects o ON o.id = w.object_id
       WHERE w.owner_uid = ? AND o.deleted = 0`,
      ownerUid,
    );
  }

  inNamespace(namespace: string): StoredRef[] {
    return this.#refs('SELECT type, namespace, name FROM objects WHERE namespace = ? AND deleted = 0', namespace);
  }

  /** Objects of a kind whose last change was before `before` (milliseconds since the epoch). */
  unchangedSince(type: ResourceType, before: number, limit: number): StoredRef[] {
    return this.#refs(
      `SELECT o.type AS type, o.namespace AS namespace, o.name AS name FROM objects o JOIN revisions r ON r.rv = o.rv
       WHERE o.type = ? AND o.deleted = 0 AND r.at < ? LIMIT ?`,
      resourceName(type),
      before,
      limit,
    );
  }

  #refs(sql: string, ...parameters: (string | number)[]): StoredRef[] {
    return this.#sql(sql)
      .all(...parameters)
      .flatMap((row) => {
        const type = this.#types.get(String(row['type']));
        return type === undefined
          ? []
          : [{ type, key: { namespace: String(row['namespace']), name: String(row['name']) } }];
      });
  }

  /** Whether `trim` would drop anything. */
  get overdue(): boolean {
    return this.#last - this.floor() > this.#window + Math.max(1, Math.floor(this.#window / 10));
  }

  /** Shortens the log to its window. Only inside a transaction. */
  trim(): void {
    const from = this.floor();
    const to = this.#last - this.#window;
    if (to <= from) return;
    const range = 'rv > ? AND rv <= ?';
    this.#sql(
      `DELETE FROM revisions WHERE rv IN (SELECT previous FROM revisions WHERE ${range} AND previous IS NOT NULL)`,
    ).run(from, to);
    this.#sql(
      `DELETE FROM objects WHERE deleted = 1 AND rv <= ? AND id IN (SELECT object_id FROM revisions WHERE ${range} AND event = 'DELETED')`,
    ).run(to, from, to);
    this.#sql(`DELETE FROM revisions WHERE ${range} AND event = 'DELETED'`).run(from, to);
    this.#sql("UPDATE counters SET value = ? WHERE name = 'floor'").run(to);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #decode(type: ResourceType, { namespace, name, rv, body }: Record<string, unknown>): StoredObject {
    const place = { type, namespace: String(namespace), name: String(name), version: Number(rv) };
    return new StoredObject(this.#codec.decode(place, body as string | Uint8Array));
  }
}

/** The revision of an object at a version (given twice): mostly the current one, which needs no search. */
const AS_OF = `r.rv = CASE WHEN o.rv <= ? THEN o.rv
         ELSE (SELECT max(x.rv) FROM revisions x WHERE x.object_id = o.id AND x.rv <= ?) END`;

function scopeOf(namespace: string | undefined, after: ObjectKey | undefined): string {
  if (namespace !== undefined)
    return after === undefined ? 'AND o.namespace = ?' : 'AND o.namespace = ? AND o.name > ?';
  return after === undefined ? '' : 'AND (o.namespace, o.name) > (?, ?)';
}

import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { GridferryError, messageOf } from '../errors.ts';
import { inTransaction, sqlite, sqliteCodeOf, SqliteCode } from './sqlite.ts';

export const STORE_FILE = 'gridferry.db';

/** "GFRY": tells our files from other SQLite databases. */
const APPLICATION_ID = 0x4746_5259;
const BUSY_TIMEOUT_MS = 5000;

/** One entry per schema version, run in order by the first process that opens an older file. Never edit one: append. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE objects (
     id INTEGER PRIMARY KEY,
     type TEXT NOT NULL,
     namespace TEXT NOT NULL,
     name TEXT NOT NULL,
     rv INTEGER NOT NULL,
     deleted INTEGER NOT NULL,
     UNIQUE (type, namespace, name)
   );
   CREATE TABLE revisions (
     rv INTEGER PRIMARY KEY,
     object_id INTEGER NOT NULL,
     event TEXT NOT NULL,
     previous INTEGER,
     at INTEGER NOT NULL,
     body BLOB NOT NULL
   );
   CREATE INDEX revisions_of_object ON revisions (object_id, rv);
   CREATE TABLE owners (owner_uid TEXT NOT NULL, object_id INTEGER NOT NULL, PRIMARY KEY (owner_uid, object_id)) WITHOUT ROWID;
   CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
   INSERT INTO counters VALUES ('floor', 0);`,
  // Secrets are encrypted from here on (`encrypt-store.ts`): older programs must not read or write them.
  `INSERT INTO counters SELECT 'scrub_plain_secrets', 1 WHERE EXISTS (SELECT 1 FROM revisions);
   CREATE TABLE audit (seq INTEGER PRIMARY KEY, line TEXT NOT NULL, seal TEXT NOT NULL);
   INSERT INTO counters VALUES ('audit_flushed', 0);`,
];

/**
 * Opens `<stateDir>/gridferry.db`, creating or migrating it unless `readOnly`.
 *
 * @throws GridferryError `GF_HOME_NOT_FOUND`, `GF_HOME_UNAVAILABLE`, `GF_HOME_CORRUPT`, `GF_HOME_FOREIGN`,
 * `GF_HOME_NEWER`, `GF_HOME_OUTDATED`.
 */
export function openStoreFile(stateDir: string, readOnly: boolean): DatabaseSync {
  const path = join(stateDir, STORE_FILE);
  let database: DatabaseSync | undefined;
  try {
    if (readOnly && !existsSync(path)) throw notThere(path);
    if (!readOnly) createPrivately(stateDir, path);
    database = new (sqlite().DatabaseSync)(path, { readOnly });
    database.exec(`PRAGMA busy_timeout = ${String(BUSY_TIMEOUT_MS)}`);
    checkIdentity(database, path, readOnly);
    if (!readOnly) {
      switchToWal(database);
      database.exec('PRAGMA synchronous = FULL');
      migrate(database);
    }
    return database;
  } catch (error) {
    database?.close();
    throw openError(error, path);
  }
}

function createPrivately(stateDir: string, path: string): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  // Created before SQLite does, as the files beside it (-wal, -shm) take its mode.
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}

function checkIdentity(database: DatabaseSync, path: string, readOnly: boolean): void {
  const version = pragma(database, 'user_version');
  const tables = database.prepare('SELECT count(*) AS n FROM sqlite_master').get()?.['n'];
  const id = pragma(database, 'application_id');
  if (id !== APPLICATION_ID && (tables !== 0 || version !== 0)) {
    throw new GridferryError(
      'GF_HOME_FOREIGN',
      `${path} is a database of another program; choose another state directory.`,
    );
  }
  if (version > MIGRATIONS.length) {
    throw new GridferryError(
      'GF_HOME_NEWER',
      `${path} was written by a newer Gridferry (schema ${String(version)}, this one knows ${String(MIGRATIONS.length)}); install that version again, or choose another state directory.`,
    );
  }
  if (readOnly && version < MIGRATIONS.length) {
    throw new GridferryError(
      'GF_HOME_OUTDATED',
      `${path} has the older schema ${String(version)}; start "gridferry run" once with this version to bring it up to date.`,
    );
  }
}

function switchToWal(database: DatabaseSync): void {
  // Two processes that open a new file at once: the busy timeout does not cover the switch, so ask again.
  for (let attempt = 1; ; attempt++) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (sqliteCodeOf(error) !== SqliteCode.busy || attempt === 50) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

function migrate(database: DatabaseSync): void {
  if (pragma(database, 'user_version') === MIGRATIONS.length) return;
  inTransaction(database, () => {
    // Read again: another process may have migrated while this one waited for the lock.
    for (let version = pragma(database, 'user_version'); version < MIGRATIONS.length; version++) {
      database.exec(MIGRATIONS[version] ?? '');
      database.exec(`PRAGMA user_version = ${String(version + 1)}`);
    }
    database.exec(`PRAGMA application_id = ${String(APPLICATION_ID)}`);
  });
}

function notThere(path: string): GridferryError {
  return new GridferryError(
    'GF_HOME_NOT_FOUND',
    `There is no local home at ${path}; start "gridferry run" first, or name the state directory it uses.`,
  );
}

function openError(error: unknown, path: string): unknown {
  if (error instanceof GridferryError) return error;
  const code = sqliteCodeOf(error);
  if (code === SqliteCode.corrupt || code === SqliteCode.notADatabase) {
    return new GridferryError(
      'GF_HOME_CORRUPT',
      `${path} is damaged (${messageOf(error)}); restore it from a backup, or move it away and let the directory sync create the objects again.`,
      { cause: error },
    );
  }
  return new GridferryError(
    'GF_HOME_UNAVAILABLE',
    `${path} cannot be opened (${messageOf(error)}); check its owner, mode and disk.`,
    {
      cause: error,
      ...(code === SqliteCode.busy ? { class: 'retryable' as const } : {}),
    },
  );
}

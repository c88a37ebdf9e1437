import type * as Sqlite from 'node:sqlite';
import type { DatabaseSync } from 'node:sqlite';

type SqliteModule = typeof Sqlite;

let loaded: SqliteModule | undefined;

/**
 * The built-in SQLite. Node 22 prints an ExperimentalWarning while it loads the module; that one warning is dropped and
 * nothing else, because loading is synchronous: no other code can warn in between.
 */
export function sqlite(): SqliteModule {
  if (loaded === undefined) {
    const emitWarning: unknown = Reflect.get(process, 'emitWarning');
    process.emitWarning = () => undefined;
    try {
      loaded = process.getBuiltinModule('node:sqlite');
    } finally {
      Reflect.set(process, 'emitWarning', emitWarning);
    }
  }
  return loaded;
}

/** SQLite's primary result codes (https://sqlite.org/rescode.html), as far as they are told apart here. */
export const SqliteCode = {
  busy: 5,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  notADatabase: 26,
} as const;

/** The primary result code of an error that SQLite raised; `undefined` for any other error. */
export function sqliteCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}

/** Runs `body` between BEGIN IMMEDIATE and COMMIT; whatever it throws rolls everything back. */
export function inTransaction<R>(database: DatabaseSync, body: () => R): R {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // A full disk makes SQLite roll back by itself; a second ROLLBACK would hide the reason.
    try {
      database.exec('ROLLBACK');
    } catch {
      // There is no transaction left to undo.
    }
    throw error;
  }
}

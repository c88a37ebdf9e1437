import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { GridferryError, messageOf } from '../errors.ts';
import { sqlite, sqliteCodeOf, SqliteCode } from './sqlite.ts';

export interface RunLock {
  release(): void;
}

/**
 * Lets one `gridferry run` at a time have a state directory. The lock is SQLite's own file lock, which the kernel drops
 * when the process ends, however it ends: nothing stale is left behind by a `kill -9`.
 *
 * @throws GridferryError `GF_HOME_LOCKED`, naming the holder's pid; `GF_HOME_UNAVAILABLE` when the file cannot be opened.
 */
export function acquireRunLock(stateDir: string): RunLock {
  const path = join(stateDir, 'run.lock.db');
  // The pid lies in a file of its own: closing any descriptor of the locked file would drop this process's lock.
  const pidPath = join(stateDir, 'run.pid');
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    closeSync(openSync(pidPath, 'a', 0o600));
    database = new (sqlite().DatabaseSync)(path);
    database.exec('BEGIN EXCLUSIVE');
    chmodSync(path, 0o600);
    writeFileSync(pidPath, `${String(process.pid)}\n`);
  } catch (error) {
    database?.close();
    if (sqliteCodeOf(error) === SqliteCode.busy) throw lockedBy(stateDir, pidPath, error);
    throw new GridferryError(
      'GF_HOME_UNAVAILABLE',
      `${path} cannot be locked (${messageOf(error)}); check its owner, mode and disk.`,
      {
        cause: error,
      },
    );
  }
  const held = database;
  let released = false;
  return {
    release() {
      if (released) return;
      released = true;
      // Before the lock goes, so that the next holder's pid is never removed.
      rmSync(pidPath, { force: true });
      held.close();
    },
  };
}

function lockedBy(stateDir: string, pidPath: string, cause: unknown): GridferryError {
  let pid = '';
  try {
    pid = readFileSync(pidPath, 'utf8').trim();
  } catch {
    // The holder is just starting or just leaving.
  }
  const holder = /^\d+$/.test(pid) ? `process ${pid}` : 'another process';
  return new GridferryError(
    'GF_HOME_LOCKED',
    `${stateDir} is in use: ${holder} runs the controllers on it; stop that one first, or name another state directory.`,
    { cause, ...(/^\d+$/.test(pid) ? { details: { pid: Number(pid) } } : {}) },
  );
}

import { messageOf } from '../errors.ts';
import { ApiError } from './api-error.ts';
import { sqliteCodeOf, SqliteCode } from './sqlite.ts';

const ADVICE: Readonly<Record<number, string>> = {
  [SqliteCode.busy]: 'another process holds the store; it is tried again',
  [SqliteCode.full]: 'the disk is full; free some space',
  [SqliteCode.ioError]: 'the disk or file system failed; look at the kernel log and free space',
  [SqliteCode.readOnly]:
    'the store is not writable; check its owner and mode, and that its file system is not read-only',
  [SqliteCode.corrupt]: 'the store is damaged; restore it from a backup',
};

/** An error of the store as the API reports it: retryable, because nothing was changed. Others pass as they are. */
export function storageError(error: unknown, verb: 'read' | 'written'): unknown {
  const code = sqliteCodeOf(error);
  if (code === undefined) return error;
  const advice = ADVICE[code] ?? 'nothing was changed';
  const reason = code === SqliteCode.busy ? 'ServiceUnavailable' : 'InternalError';
  return new ApiError(reason, `the local store could not be ${verb}: ${messageOf(error)}; ${advice}`, {}, error);
}

import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** An older part of the log at `path`, whose last line is `lastSeq`: `audit.log.000000004321`. */
export function partPath(path: string, lastSeq: number): string {
  return `${path}.${String(lastSeq).padStart(12, '0')}`;
}

/** The files of the log at `path`, oldest first, the one that is written last. */
export function logParts(path: string): string[] {
  const folder = dirname(path);
  const prefix = `${basename(path)}.`;
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const older = names.filter((name) => name.startsWith(prefix) && /^\d{12,}$/.test(name.slice(prefix.length)));
  older.sort((a, b) => Number(a.slice(prefix.length)) - Number(b.slice(prefix.length)));
  return [...older.map((name) => join(folder, name)), ...(existsSync(path) ? [path] : [])];
}

import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { GridferryError, messageOf } from '../errors.ts';
import { CONTINUED, MAX_LINE_BYTES, readLine } from './chain.ts';
import type { AuditLine } from './chain.ts';
import { logParts, partPath } from './log-parts.ts';

/** The file of an audit log, as the one process that writes it sees it. */
export interface LogFile {
  /** The number of the last whole line; 0 when there is none. */
  readonly lastSeq: number;
  readonly size: number;
  /** Bytes of a line that had not been written to its end, and was taken out when the file was opened. */
  readonly repairedBytes: number;
  /** On the disk when it returns. A line that continues the log elsewhere begins a new file. */
  append(lines: readonly AuditLine[]): void;
  close(): void;
}

/**
 * Opens the log at `path` for appending, 0600. A last line without its end is what a power cut leaves: it is taken out, and
 * whoever keeps the lines writes it again.
 *
 * @throws GridferryError `GF_AUDIT_FILE`
 */
export function openLogFile(path: string): LogFile {
  return guarded(path, () => {
    let file = openSync(path, 'a+', 0o600);
    const repairedBytes = dropTornLine(file);
    let size = fstatSync(file).size;
    let lastSeq = size > 0 ? lastSeqOf(file, size) : lastSeqOfParts(path);

    function rotate(): void {
      closeSync(file);
      renameSync(path, partPath(path, lastSeq));
      file = openSync(path, 'a+', 0o600);
      syncFolder(path);
      size = 0;
    }

    function write(lines: readonly AuditLine[]): void {
      const bytes = Buffer.from(lines.map(({ text }) => `${text}\n`).join(''));
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      fdatasyncSync(file);
      size += bytes.length;
      lastSeq = lines.at(-1)?.seq ?? lastSeq;
    }

    syncFolder(path);
    return {
      get lastSeq() {
        return lastSeq;
      },
      get size() {
        return size;
      },
      repairedBytes,
      append: (lines) =>
        guarded(path, () => {
          const isNew = ({ text }: AuditLine): boolean => text.includes(`"event":"${CONTINUED}"`);
          let from = 0;
          for (const [index, line] of lines.entries()) {
            if (!isNew(line) || (size === 0 && index === from)) continue;
            if (index > from) write(lines.slice(from, index));
            rotate();
            from = index;
          }
          if (from < lines.length) write(lines.slice(from));
        }),
      close: () => closeSync(file),
    };
  });
}

function dropTornLine(file: number): number {
  const { size } = fstatSync(file);
  const end = lastIndexOf(file, size);
  const whole = end + 1;
  if (whole === size) return 0;
  ftruncateSync(file, whole);
  fsyncSync(file);
  return size - whole;
}

/** Where the last newline before `end` is; -1 when there is none. */
function lastIndexOf(file: number, end: number): number {
  const buffer = Buffer.alloc(64 * 1024);
  for (let to = end; to > 0;) {
    const from = Math.max(0, to - buffer.length);
    const found = buffer.subarray(0, readSync(file, buffer, 0, to - from, from)).lastIndexOf(0x0a);
    if (found >= 0) return from + found;
    to = from;
  }
  return -1;
}

/** What cannot be read as a line is not ours to judge here: `verify` does, and names it. */
function lastSeqOf(file: number, size: number): number {
  const from = lastIndexOf(file, size - 1) + 1;
  const bytes = Buffer.alloc(Math.min(size - 1 - from, MAX_LINE_BYTES));
  readSync(file, bytes, 0, bytes.length, from);
  const line = readLine(bytes);
  return typeof line === 'string' ? 0 : line.seq;
}

function lastSeqOfParts(path: string): number {
  const part = logParts(path).findLast((file) => file !== path);
  return part === undefined ? 0 : Number(part.slice(path.length + 1));
}

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function guarded<R>(path: string, work: () => R): R {
  try {
    return work();
  } catch (error) {
    throw new GridferryError(
      'GF_AUDIT_FILE',
      `The audit log ${path} cannot be written (${messageOf(error)}): check its ${existsSync(path) ? 'owner, mode and disk' : 'directory'}, or name another with --audit-log.`,
      { class: 'retryable', cause: error },
    );
  }
}

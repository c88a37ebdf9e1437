import { readFileSync } from 'node:fs';
import { readIfThere, writePrivately } from '../home/server/private-file.ts';
import type { Clock } from '../runtime/clock.ts';
import { chainLine, CONTINUED, readLine } from './chain.ts';
import type { AuditEvent, AuditLine } from './chain.ts';
import { openLogFile } from './log-file.ts';
import { logParts, partPath } from './log-parts.ts';
import type { AuditAnchor } from './verify.ts';

const DEFAULT_MAX_BYTES = 32 * 1024 * 1024;

/** Where the last line of a log without a store is kept once more. */
function headPath(path: string): string {
  return `${path}.head`;
}

/**
 * An audit log that no store keeps the lines of: what is appended is on the disk when `append` returns, first in the log,
 * then in `<path>.head`, which so may be behind the log but never ahead of it.
 *
 * @throws GridferryError `GF_AUDIT_FILE`
 */
export function openStandaloneLog(
  path: string,
  clock: Clock,
  maxBytes = DEFAULT_MAX_BYTES,
): { append(events: readonly AuditEvent[]): void; close(): void } {
  const file = openLogFile(path);
  let last = lastLine(path);
  const begun: AuditEvent[] = file.repairedBytes > 0 ? [{ event: 'LogRepaired', bytes: file.repairedBytes }] : [];

  function append(events: readonly AuditEvent[]): void {
    const continued = file.size > maxBytes && last !== undefined ? [continuedAfter(path, last)] : [];
    let tip = last;
    const lines = [...continued, ...events].map((event) => (tip = chainLine(tip, clock.now(), event)));
    file.append(lines);
    last = tip;
    if (last !== undefined) writePrivately(headPath(path), `${last.text}\n`);
  }

  append(begun);
  return { append, close: () => file.close() };
}

function continuedAfter(path: string, { seq }: AuditLine): AuditEvent {
  return { event: CONTINUED, after: partPath(path, seq).split('/').at(-1) };
}

/** What the file beside a log knows of it; `undefined` where there is none. */
export function readHeadFile(path: string): AuditAnchor | undefined {
  const text = readIfThere(headPath(path))?.trimEnd();
  if (text === undefined) return undefined;
  const line = readLine(Buffer.from(text));
  return typeof line === 'string' ? undefined : { flushed: line.seq, lines: new Map([[line.seq, text]]) };
}

/** The last line of the newest part that has one. */
function lastLine(path: string): AuditLine | undefined {
  for (const part of logParts(path).reverse()) {
    const text = readFileSync(part, 'utf8').trimEnd().split('\n').at(-1) ?? '';
    const line = readLine(Buffer.from(text));
    if (typeof line !== 'string') return line;
  }
  return undefined;
}

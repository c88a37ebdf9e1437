import { createHash } from 'node:crypto';

/** What happened, as flat facts; never a secret. */
export interface AuditEvent {
  /** In CamelCase, such as `PhaseChanged`. */
  readonly event: string;
  readonly [fact: string]: string | number | boolean | readonly string[] | undefined;
}

/** One line of an audit log, and its place in the chain. */
export interface AuditLine {
  /** From 1 on, without a gap. */
  readonly seq: number;
  /** SHA-256 of the line without its `hash`, in hex. */
  readonly hash: string;
  /** `{"seq":…,"time":…,"event":…,…,"prev":…,"hash":…}`, without a newline. */
  readonly text: string;
}

export interface ReadAuditLine extends AuditLine {
  readonly prev: string;
  readonly time: string;
  readonly event: string;
}

/** What the first line has as `prev`. */
export const BEGINNING = '0'.repeat(64);

/** The first line of every file but the first: a file that begins with it follows another one. */
export const CONTINUED = 'LogContinued';

/** A line longer than this is not one of ours. */
export const MAX_LINE_BYTES = 256 * 1024;

/** The next line of the chain: its hash covers its number, its content and the hash before it. */
export function chainLine(previous: AuditLine | undefined, timeMs: number, event: AuditEvent): AuditLine {
  const seq = (previous?.seq ?? 0) + 1;
  const time = new Date(timeMs).toISOString();
  const content = JSON.stringify({ seq, time, ...event, prev: previous?.hash ?? BEGINNING });
  const hash = hashOf(Buffer.from(content));
  return { seq, hash, text: `${content.slice(0, -1)},"hash":"${hash}"}` };
}

/**
 * Reads one line back. The hash is computed over its very bytes, so that no two texts count as the same.
 *
 * @returns why it is not a line as it was written, when it is not
 */
export function readLine(bytes: Buffer): ReadAuditLine | string {
  // One character a byte: what is not UTF-8 must not become something else.
  const parts = /^(?<content>\{.*),"hash":"(?<hash>[0-9a-f]{64})"\}$/s.exec(bytes.toString('latin1'))?.groups;
  if (parts === undefined) return 'it is not a line of an audit log';
  const { content = '', hash = '' } = parts;
  if (hashOf(Buffer.from(`${content}}`, 'latin1')) !== hash) return 'its content does not fit its hash: it was edited';
  const text = bytes.toString('utf8');
  try {
    const { seq, prev, time, event } = JSON.parse(text) as Record<string, unknown>;
    if (
      Number.isSafeInteger(seq) &&
      typeof prev === 'string' &&
      typeof time === 'string' &&
      typeof event === 'string'
    ) {
      return { seq: seq as number, hash, text, prev, time, event };
    }
  } catch {
    // A line that somebody made up, with a hash of their own: the same verdict.
  }
  return 'it is not a line of an audit log';
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

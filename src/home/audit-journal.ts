import { createHmac, createSecretKey, hkdfSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { chainLine, readLine } from '../audit/chain.ts';
import type { AuditEvent, AuditLine } from '../audit/chain.ts';
import type { AuditAnchor } from '../audit/verify.ts';
import type { EncryptionKey } from '../security/encryption-keys.ts';
import type { Keyring } from './secret-bodies.ts';

const FLUSHED = 'audit_flushed';

/**
 * The audit log's side of the store. A line is made in the transaction of the change that it tells of, so that there is
 * never one without the other; it stays here until it is safely in the file, and the last one stays always.
 */
export class AuditJournal {
  readonly #database: DatabaseSync;
  readonly #keys: () => Keyring;
  #statements: { readonly insert: StatementSync; readonly last: StatementSync } | undefined;

  constructor(database: DatabaseSync, keys: () => Keyring) {
    this.#database = database;
    this.#keys = keys;
  }

  /** Only inside a transaction. */
  append(now: number, events: readonly AuditEvent[]): void {
    this.#statements ??= {
      insert: this.#database.prepare('INSERT INTO audit (seq, line, seal) VALUES (?, ?, ?)'),
      last: this.#database.prepare('SELECT line FROM audit ORDER BY seq DESC LIMIT 1'),
    };
    const { insert, last } = this.#statements;
    // Asked each time: another process may have written, or this one's last write was undone.
    const row = last.get();
    let line = row === undefined ? undefined : parse(String(row['line']));
    for (const event of events) {
      line = chainLine(line, now, event);
      insert.run(line.seq, line.text, sealOf(this.#keys().first, line));
    }
  }

  /** Lines after `seq`, oldest first. */
  after(seq: number, limit: number): AuditLine[] {
    return this.#database
      .prepare('SELECT line FROM audit WHERE seq > ? ORDER BY seq LIMIT ?')
      .all(seq, limit)
      .map((row) => parse(String(row['line'])));
  }

  /** Remembers that the file has everything up to `seq`, and forgets those lines but the last. Only inside a transaction. */
  flushed(seq: number): void {
    this.#database.prepare('UPDATE counters SET value = max(value, ?) WHERE name = ?').run(seq, FLUSHED);
    this.#database.prepare('DELETE FROM audit WHERE seq <= ? AND seq < (SELECT max(seq) FROM audit)').run(seq);
  }
}

export interface SealedAnchor extends AuditAnchor {
  /** Whether the newest line bears the seal of the home's key: who lacks the key cannot have made it. */
  readonly seal: 'Good' | 'Bad' | 'NoKey' | 'Empty';
}

/** What a store knows of its audit log. */
export function readAnchor(database: DatabaseSync, keys: () => Keyring): SealedAnchor {
  const rows = database.prepare('SELECT seq, line, seal FROM audit ORDER BY seq').all();
  const flushed = Number(database.prepare('SELECT value FROM counters WHERE name = ?').get(FLUSHED)?.['value'] ?? 0);
  const lines = new Map(rows.map((row) => [Number(row['seq']), String(row['line'])]));
  const last = rows.at(-1);
  const seal = last === undefined ? 'Empty' : judgeSeal(String(last['line']), String(last['seal']), keys);
  return { flushed, head: Number(last?.['seq'] ?? 0), lines, seal };
}

function judgeSeal(text: string, seal: string, keys: () => Keyring): SealedAnchor['seal'] {
  const line = readLine(Buffer.from(text));
  if (typeof line === 'string') return 'Bad';
  let key: EncryptionKey | undefined;
  try {
    key = keys().find(seal.split(':')[0] ?? '');
  } catch {
    // Who verifies need not have the key; the chain itself needs none.
    return 'NoKey';
  }
  if (key === undefined) return 'NoKey';
  return sealOf(key, line) === seal ? 'Good' : 'Bad';
}

const sealingKeys = new WeakMap<KeyObject, KeyObject>();

/** RFC 5869: a key for this purpose only, from the one that encrypts. */
function sealingKey(key: KeyObject): KeyObject {
  let sealing = sealingKeys.get(key);
  if (sealing === undefined) {
    sealing = createSecretKey(Buffer.from(hkdfSync('sha256', key, '', 'gridferry audit seal', 32)));
    sealingKeys.set(key, sealing);
  }
  return sealing;
}

function sealOf({ id, key }: EncryptionKey, { seq, hash }: AuditLine): string {
  return `${id}:${createHmac('sha256', sealingKey(key)).update(`${seq} ${hash}`).digest('hex')}`;
}

function parse(text: string): AuditLine {
  // As it was stored: what somebody did to it since is for `verify` to find.
  const { seq, hash } = JSON.parse(text) as { seq: number; hash: string };
  return { seq, hash, text };
}

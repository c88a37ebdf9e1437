import { existsSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { Secrets } from '../api/core.ts';
import { GridferryError, messageOf } from '../errors.ts';
import { generateKeyFile } from '../security/encryption-keys.ts';
import type { KeySource } from '../security/encryption-keys.ts';
import type { BodyPlace } from './body-codec.ts';
import { missingKey } from './home-keys.ts';
import { KEY_ID_IN_ENVELOPE, secretBodies, SECRETS, wrongKey } from './secret-bodies.ts';
import type { Keyring } from './secret-bodies.ts';
import { inTransaction, sqliteCodeOf, SqliteCode } from './sqlite.ts';

/** There while plain text of old Secrets may still lie in free pages of the file, or in its log. */
const SCRUB = 'scrub_plain_secrets';

const OF_SECRETS = 'FROM revisions r JOIN objects o ON o.id = r.object_id WHERE o.type = ?';

/**
 * Makes sure, before anything else is written, that every Secret of a store is encrypted with the first key, whatever it
 * was before: plain (from a version that did not encrypt) or under an older key. One transaction, so that a crash leaves
 * all of the old or all of the new; then the file is rebuilt, so that no plain text is left in what it no longer uses.
 *
 * @throws GridferryError `GF_ENCRYPTION_KEY_*`, before anything was changed
 */
export function encryptStore(database: DatabaseSync, source: KeySource, keys: () => Keyring): void {
  const used = keysInUse(database);
  if (source.type === 'File' && !source.named && !existsSync(source.path)) {
    // What is encrypted has a key somewhere: a new one would only hide that it is missing.
    if (used.length > 0) throw missingKey(source.path);
    generateKeyFile(source.path);
  }
  const ring = keys();
  const unknown = used.filter((id) => ring.find(id) === undefined);
  if (unknown.length > 0) throw wrongKey(ring.place, unknown);
  if (used.some((id) => id !== ring.first.id) || hasPlain(database)) encryptAgain(database, keys);
  if (database.prepare('SELECT 1 FROM counters WHERE name = ?').get(SCRUB) !== undefined) scrub(database);
}

/** The ids of the keys that the store's Secrets are encrypted with. */
function keysInUse(database: DatabaseSync): string[] {
  const { start, length } = KEY_ID_IN_ENVELOPE;
  const id = `lower(hex(substr(r.body, ${start}, ${length})))`;
  return database
    .prepare(`SELECT DISTINCT ${id} AS id ${OF_SECRETS} AND typeof(r.body) = 'blob'`)
    .all(SECRETS)
    .map((row) => String(row['id']));
}

function hasPlain(database: DatabaseSync): boolean {
  return database.prepare(`SELECT 1 ${OF_SECRETS} AND typeof(r.body) = 'text' LIMIT 1`).get(SECRETS) !== undefined;
}

function encryptAgain(database: DatabaseSync, keys: () => Keyring): void {
  const codec = secretBodies(keys);
  inTransaction(database, () => {
    if (hasPlain(database)) database.prepare('INSERT OR REPLACE INTO counters VALUES (?, 1)').run(SCRUB);
    const rows = database
      .prepare(`SELECT r.rv AS rv, o.namespace AS namespace, o.name AS name ${OF_SECRETS}`)
      .all(SECRETS);
    const read = database.prepare('SELECT body FROM revisions WHERE rv = ?');
    const write = database.prepare('UPDATE revisions SET body = ? WHERE rv = ?');
    for (const { rv, namespace, name } of rows) {
      const version = Number(rv);
      const place: BodyPlace = { type: Secrets, namespace: String(namespace), name: String(name), version };
      const body = read.get(version)?.['body'] as string | Uint8Array;
      write.run(codec.encode(place, codec.decode(place, body)), version);
    }
  });
}

/** Writes the file anew, without what was deleted or overwritten in it, and empties its log. */
function scrub(database: DatabaseSync): void {
  try {
    database.exec('VACUUM');
  } catch (error) {
    if (sqliteCodeOf(error) === SqliteCode.busy) return;
    throw new GridferryError(
      'GF_HOME_UNAVAILABLE',
      `The Secrets were encrypted, but the database could not be rebuilt without their plain text (${messageOf(error)}); free as much disk space as it takes and start again.`,
      { cause: error },
    );
  }
  const checkpoint = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
  // Somebody still reads an old state: it is tried again at the next start.
  if (checkpoint?.['busy'] !== 0) return;
  database.prepare('DELETE FROM counters WHERE name = ?').run(SCRUB);
}

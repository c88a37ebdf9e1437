import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Secrets } from '../api/core.ts';
import { GridferryError } from '../errors.ts';
import { KEY_ID_BYTES } from '../security/encryption-keys.ts';
import type { EncryptionKey } from '../security/encryption-keys.ts';
import { resourceName } from './api-messages.ts';
import type { BodyCodec, BodyPlace } from './body-codec.ts';

/** Told by it from whatever comes after this format; JSON never begins so. */
const MAGIC = Buffer.from('GFE1');
const CIPHER = 'aes-256-gcm';
/** NIST SP 800-38D, 8.2.2: random nonces of 96 bits are good for 2^32 messages under one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = MAGIC.length + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES;

/** In the database, where the id of the key stands in an envelope: `substr(body, start, length)`. */
export const KEY_ID_IN_ENVELOPE = { start: MAGIC.length + 1, length: KEY_ID_BYTES } as const;

export const SECRETS = resourceName(Secrets);

export interface Keyring {
  /** Encrypts. */
  readonly first: EncryptionKey;
  find(id: string): EncryptionKey | undefined;
  /** For messages: where the keys come from. */
  readonly place: string;
}

/**
 * Encrypts Secrets, whole, and leaves all else as it is: what else there is holds no secrets, and pays nothing.
 *
 * An envelope is bound to the object and the version that it was made for (additional data of AES-GCM), so that one who
 * can write the database cannot put one Secret, or an old version of it, in the place of another.
 */
export function secretBodies(keys: () => Keyring): BodyCodec {
  return {
    encode: (place, json) => (resourceName(place.type) === SECRETS ? seal(keys().first, place, json) : json),
    decode(place, body) {
      if (typeof body === 'string') return body;
      return open(keys(), place, body);
    },
  };
}

function seal({ id, key }: EncryptionKey, place: BodyPlace, json: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(bindingOf(place));
  const content = Buffer.concat([cipher.update(json, 'utf8'), cipher.final()]);
  return Buffer.concat([MAGIC, Buffer.from(id, 'hex'), nonce, cipher.getAuthTag(), content]);
}

function open(keys: Keyring, place: BodyPlace, body: Uint8Array): string {
  const envelope = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let at = MAGIC.length;
  const next = (length: number): Buffer => envelope.subarray(at, (at += length));
  if (envelope.length < HEADER_BYTES || !envelope.subarray(0, at).equals(MAGIC)) throw tampered(place);
  const id = next(KEY_ID_BYTES).toString('hex');
  const [nonce, tag] = [next(NONCE_BYTES), next(TAG_BYTES)];
  const found = keys.find(id);
  if (found === undefined) throw wrongKey(keys.place, [id]);
  const decipher = createDecipheriv(CIPHER, found.key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(bindingOf(place)).setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(envelope.subarray(at)), decipher.final()]).toString('utf8');
  } catch (error) {
    throw tampered(place, error);
  }
}

function bindingOf({ type, namespace, name, version }: BodyPlace): Buffer {
  return Buffer.from(JSON.stringify([resourceName(type), namespace, name, version]));
}

/** None of the keys at hand is the one that encrypted. */
export function wrongKey(place: string, ids: readonly string[]): GridferryError {
  return new GridferryError(
    'GF_ENCRYPTION_KEY_WRONG',
    `The Secrets of this home are encrypted with the key ${ids.join(' and ')}, which is not in ${place}: give that key, ` +
      'as --encryption-key-file, GRIDFERRY_ENCRYPTION_KEY_FILE or GRIDFERRY_ENCRYPTION_KEY, or add it as another line of the key file. Nothing was changed.',
    { details: { place, keys: ids.join(',') } },
  );
}

function tampered({ namespace, name }: BodyPlace, cause?: unknown): GridferryError {
  return new GridferryError(
    'GF_HOME_TAMPERED',
    `The stored Secret ${namespace}/${name} was altered on the disk, or put in the place of another: restore the database from a backup, or delete the Secret and apply it again, and find out who wrote there.`,
    { cause, details: { namespace, name } },
  );
}

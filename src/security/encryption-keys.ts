import { createHash, createSecretKey, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { GridferryError, messageOf } from '../errors.ts';

const KEY_BYTES = 32;
/** Of the id that stands beside what a key encrypted. */
export const KEY_ID_BYTES = 8;

export interface EncryptionKey {
  /** Made from the key: the same key has the same id in every file, and tells nothing of itself by it. */
  readonly id: string;
  readonly key: KeyObject;
}

/** Where the keys come from. A file that was not named is the default one, which is made when there is none. */
export type KeySource =
  | { readonly type: 'Value'; readonly text: string }
  | { readonly type: 'File'; readonly path: string; readonly named: boolean };

/**
 * The keys of a source: the first encrypts, all of them decrypt. A file holds one key a line, each 32 bytes in base64;
 * empty lines and lines that begin with `#` are skipped.
 *
 * @returns `undefined` when the default file is not there.
 * @throws GridferryError `GF_ENCRYPTION_KEY_FILE`, `GF_ENCRYPTION_KEY_PERMISSIONS`, `GF_ENCRYPTION_KEY_INVALID`
 */
export function readKeys(source: KeySource): readonly EncryptionKey[] | undefined {
  if (source.type === 'Value') return parseKeys(source.text, 'GRIDFERRY_ENCRYPTION_KEY');
  const text = readPrivateFile(source);
  return text === undefined ? undefined : parseKeys(text, source.path);
}

/**
 * Makes a key file with one new key, for its owner only, unless there is one; durable when it returns.
 *
 * @throws GridferryError `GF_ENCRYPTION_KEY_FILE`
 */
export function generateKeyFile(path: string): void {
  const text = [
    '# Encrypts the Secrets of this local home. Whoever has this file and the database can read them;',
    '# without it they are lost. Keep a copy elsewhere.',
    randomBytes(KEY_BYTES).toString('base64'),
    '',
  ].join('\n');
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`;
  try {
    const file = openSync(draft, 'wx', 0o600);
    writeFileSync(file, text);
    fsyncSync(file);
    closeSync(file);
    linkWithoutReplacing(draft, path);
    // A key whose name is lost in a power cut is a lost key.
    const directory = openSync(dirname(path), 'r');
    fsyncSync(directory);
    closeSync(directory);
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** A rename would replace what another process made meanwhile, which may be the only key to what it stored since. */
function linkWithoutReplacing(draft: string, path: string): void {
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

function readPrivateFile({ path, named }: { readonly path: string; readonly named: boolean }): string | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (!named && error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw unreadable(path, error);
  }
  try {
    // Of the file that is open, so that it cannot be another one than is read.
    const { mode } = fstatSync(file);
    if ((mode & 0o077) !== 0) {
      throw new GridferryError(
        'GF_ENCRYPTION_KEY_PERMISSIONS',
        `The key file ${path} is open to others (mode ${(mode & 0o777).toString(8).padStart(3, '0')}): run "chmod 600 ${path}", and think of making a new key.`,
        { details: { path } },
      );
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw error instanceof GridferryError ? error : unreadable(path, error);
  } finally {
    closeSync(file);
  }
}

function parseKeys(text: string, place: string): readonly EncryptionKey[] {
  const lines = text
    .split('\n')
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) throw invalid(place, 'it holds no key');
  return lines.map(({ line, number }) => {
    const bytes = Buffer.from(line, 'base64');
    if (!/^[A-Za-z0-9+/]{43}=$/.test(line) || bytes.length !== KEY_BYTES) {
      throw invalid(place, `line ${number} is not 32 bytes in base64`);
    }
    return keyOf(bytes);
  });
}

function keyOf(bytes: Buffer): EncryptionKey {
  const id = createHash('sha256').update('gridferry encryption key id\0').update(bytes).digest('hex');
  return { id: id.slice(0, KEY_ID_BYTES * 2), key: createSecretKey(bytes) };
}

function unreadable(path: string, cause: unknown): GridferryError {
  return new GridferryError(
    'GF_ENCRYPTION_KEY_FILE',
    `The key file ${path} cannot be used (${messageOf(cause)}): correct its path, or its owner and mode.`,
    { cause, details: { path } },
  );
}

function invalid(place: string, why: string): GridferryError {
  return new GridferryError(
    'GF_ENCRYPTION_KEY_INVALID',
    `${place} cannot be used as an encryption key: ${why}; "head -c 32 /dev/urandom | base64" makes one.`,
    { details: { place } },
  );
}

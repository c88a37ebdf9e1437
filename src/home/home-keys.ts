import { join } from 'node:path';
import { GridferryError } from '../errors.ts';
import { readKeys } from '../security/encryption-keys.ts';
import type { EncryptionKey, KeySource } from '../security/encryption-keys.ts';
import { wrongKey } from './secret-bodies.ts';
import type { Keyring } from './secret-bodies.ts';

/** The key of a home that was given none: beside the database, which it protects only where the two are parted. */
export function defaultKeySource(stateDir: string): KeySource {
  return { type: 'File', path: join(stateDir, 'encryption.key'), named: false };
}

/**
 * The keys of a home, read when the first Secret asks for them. A key that was added to the file since is found without
 * a restart: another process may encrypt with it already.
 *
 * The function throws GridferryError `GF_ENCRYPTION_KEY_*`; `GF_ENCRYPTION_KEY_MISSING` when there is no key at all.
 */
export function homeKeys(source: KeySource): () => Keyring {
  let keys: readonly EncryptionKey[] | undefined;
  const place = source.type === 'File' ? source.path : 'GRIDFERRY_ENCRYPTION_KEY';

  function load(): readonly EncryptionKey[] {
    const found = readKeys(source);
    if (found === undefined) throw missingKey(place);
    return (keys = found);
  }

  const withId = (id: string): EncryptionKey | undefined => keys?.find((key) => key.id === id);

  return () => {
    const [first] = keys ?? load();
    if (first === undefined) throw wrongKey(place, []);
    return {
      first,
      place,
      find(id) {
        const known = withId(id);
        if (known !== undefined || source.type === 'Value') return known;
        load();
        return withId(id);
      },
    };
  };
}

export function missingKey(path: string): GridferryError {
  return new GridferryError(
    'GF_ENCRYPTION_KEY_MISSING',
    `The Secrets of this home are encrypted, and there is no key: put the key file back to ${path}, or name it with --encryption-key-file or ` +
      'GRIDFERRY_ENCRYPTION_KEY_FILE, or give the key as GRIDFERRY_ENCRYPTION_KEY. Nothing was changed. Without the key the Secrets are lost: then move the database away and apply them again.',
    { details: { path } },
  );
}

import { Secrets } from '../api/core.ts';
import { keyString } from '../api/meta.ts';
import type { ObjectKey } from '../api/meta.ts';
import { GridferryError } from '../errors.ts';
import { isReason } from '../home/api-error.ts';
import type { Client } from '../home/client.ts';
import type { SecretsDirectory } from '../home/secrets-dir.ts';

export interface SecretResolver {
  /** The values of a secret as they are now; nothing is kept, so that rotation works. */
  read(key: ObjectKey): Promise<ReadonlyMap<string, Buffer>>;
}

/**
 * Finds secrets by namespace and name: in the secrets directory if there is one and it has them, else as a `Secret`.
 *
 * `read` throws GridferryError `GF_SECRET_NOT_FOUND`, naming the places looked at, and what those places throw.
 */
export function createSecretResolver(options: { client: Client; secretsDir?: SecretsDirectory }): SecretResolver {
  const { client, secretsDir } = options;
  return {
    async read(key) {
      const fromDirectory = await secretsDir?.read(key);
      if (fromDirectory !== undefined) return fromDirectory;
      try {
        const secret = await client.get(Secrets, key);
        const values = new Map<string, Buffer>();
        for (const [name, value] of Object.entries(secret.data ?? {})) values.set(name, Buffer.from(value, 'base64'));
        return values;
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
        throw notFound(key, secretsDir, error);
      }
    },
  };
}

function notFound(key: ObjectKey, secretsDir: SecretsDirectory | undefined, cause: unknown): GridferryError {
  const places = [`a Secret named ${keyString(key)}`];
  if (secretsDir !== undefined) places.unshift(`the directory ${secretsDir.directory}/${keyString(key)}`);
  const looked =
    places.length === 1 ? `there is no ${places[0]?.slice(2) ?? ''}` : `there is neither ${places.join(' nor ')}`;
  return new GridferryError(
    'GF_SECRET_NOT_FOUND',
    `The secret ${keyString(key)} was not found: ${looked}; create it, or correct the reference.`,
    // It may be created later, and whoever waits for it should notice.
    { class: 'retryable', cause },
  );
}

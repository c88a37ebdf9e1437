import { createHmac, randomBytes } from 'node:crypto';
import { keyString } from '../api/meta.ts';
import { createBoundedMap } from '../runtime/bounded-map.ts';
import type { SecretResolver } from '../security/secrets.ts';
import type { AuditEvent } from './chain.ts';

const REMEMBERED = 10_000;

/**
 * Notes each secret that is read, by name: the first time in this process, and again when it has other content. What is
 * asked for every few seconds by a probe would bury everything else.
 */
export function auditedSecrets(
  secrets: SecretResolver,
  record: (event: AuditEvent) => Promise<void> | void,
): SecretResolver {
  // Of this process only: a digest of a short password would give it away.
  const salt = randomBytes(32);
  const seen = createBoundedMap<string>(REMEMBERED);
  return {
    async read(key) {
      const values = await secrets.read(key);
      const digest = createHmac('sha256', salt);
      for (const [name, value] of [...values].sort(([a], [b]) => (a < b ? -1 : 1))) {
        digest.update(`${name} ${value.length} `).update(value);
      }
      const content = digest.digest('hex');
      if (seen.get(keyString(key)) !== content) {
        await record({
          event: 'SecretRead',
          kind: 'Secret',
          namespace: key.namespace,
          name: key.name,
          keys: [...values.keys()].sort(),
        });
        seen.set(keyString(key), content);
      }
      return values;
    },
  };
}

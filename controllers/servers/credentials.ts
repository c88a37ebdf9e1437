import { GridferryError } from '../../src/errors.ts';
import type { Redactor } from '../../src/security/redact.ts';
import type { SecretResolver } from '../../src/security/secrets.ts';

export interface SshCredentials {
  readonly password?: string;
  readonly privateKey?: Buffer;
  readonly passphrase?: string;
}

/**
 * The login of a server from its Secret: `password`, else `ssh-privatekey` with `passphrase`.
 *
 * @throws GridferryError `GF_CREDENTIALS_EMPTY` when the Secret has neither, `GF_SECRET_NOT_FOUND` when there is none.
 */
export async function readSshCredentials(
  secrets: SecretResolver,
  redactor: Redactor,
  namespace: string,
  name: string,
): Promise<SshCredentials> {
  const data = await secrets.read({ namespace, name });
  for (const value of data.values()) redactor.add(value);
  const password = text(data.get('password'));
  if (password !== undefined) return { password };
  const privateKey = data.get('ssh-privatekey');
  if (privateKey === undefined || privateKey.length === 0) {
    throw new GridferryError(
      'GF_CREDENTIALS_EMPTY',
      `Secret ${namespace}/${name} has neither "password" nor "ssh-privatekey": add one of them`,
      { details: { namespace, name } },
    );
  }
  const passphrase = text(data.get('passphrase'));
  return passphrase === undefined ? { privateKey } : { privateKey, passphrase };
}

/** Editors and `echo` end a file with a newline that is not part of the secret. */
function text(value: Buffer | undefined): string | undefined {
  const trimmed = value?.toString('utf8').replace(/\r?\n$/, '');
  return trimmed === '' ? undefined : trimmed;
}

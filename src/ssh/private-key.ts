import { createPrivateKey } from 'node:crypto';
import ssh2 from 'ssh2';
import type { ParsedKey } from 'ssh2';
import { GridferryError } from '../errors.ts';

/**
 * Reads a private key for logging in: OpenSSH's own format, PEM (RSA, EC), PKCS#8 (RSA, EC) or PuTTY's.
 *
 * @throws `GF_SSH_PASSPHRASE_WRONG` when it is encrypted and the passphrase is missing or wrong, `GF_SSH_KEY_UNREADABLE`
 * when it is no private key. Neither says anything of its content.
 */
export function readPrivateKey(key: Buffer, passphrase: string | undefined, server: string): ParsedKey {
  // Keys pasted on Windows have CRLF, which OpenSSH refuses and we need not.
  const text = key.toString('utf8').replace(/\r\n?/g, '\n').trim();
  const parsed = /-----BEGIN (?:ENCRYPTED )?PRIVATE KEY-----/.test(text)
    ? parsePkcs8(text, passphrase)
    : ssh2.utils.parseKey(`${text}\n`, passphrase);
  const first = Array.isArray(parsed) ? parsed[0] : parsed;
  if (first instanceof Error || first === undefined) throw refused(first, passphrase, server);
  if (!first.isPrivateKey()) {
    throw new GridferryError(
      'GF_SSH_KEY_UNREADABLE',
      `The key for server ${server} is a public key: put the private one into the Secret's ssh-privatekey.`,
    );
  }
  return first;
}

function parsePkcs8(pem: string, passphrase: string | undefined): ParsedKey | ParsedKey[] | Error {
  try {
    const key = createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) });
    if (key.asymmetricKeyType === 'rsa') {
      return ssh2.utils.parseKey(key.export({ type: 'pkcs1', format: 'pem' }));
    }
    if (key.asymmetricKeyType === 'ec') return ssh2.utils.parseKey(key.export({ type: 'sec1', format: 'pem' }));
    return new Error('Unsupported key format');
  } catch (error) {
    return error as Error;
  }
}

function refused(error: Error | undefined, passphrase: string | undefined, server: string): GridferryError {
  const about = error?.message ?? '';
  const encrypted = /passphrase|encrypted|bad decrypt|interrupted or cancelled/i.test(about);
  if (encrypted && passphrase === undefined) {
    return new GridferryError(
      'GF_SSH_PASSPHRASE_WRONG',
      `The private key for server ${server} is encrypted: add its passphrase to the Secret.`,
    );
  }
  if (encrypted || (passphrase !== undefined && /decrypt|integrity|malformed/i.test(about))) {
    return new GridferryError(
      'GF_SSH_PASSPHRASE_WRONG',
      `The passphrase does not open the private key for server ${server}: correct it in the Secret.`,
    );
  }
  return new GridferryError(
    'GF_SSH_KEY_UNREADABLE',
    `The private key for server ${server} cannot be read: use an OpenSSH or PEM private key, complete with its BEGIN and END lines.`,
  );
}

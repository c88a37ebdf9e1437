import { createHash } from 'node:crypto';
import { GridferryError } from '../errors.ts';

/** The public key a server proves itself with. */
export interface HostKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, … */
  readonly algorithm: string;
  /** `SHA256:…`, as OpenSSH prints it. */
  readonly fingerprint: string;
  /** `ssh-ed25519 AAAA…`, as known_hosts has it, without host names and comment. */
  readonly publicKey: string;
}

/** What a server must prove: one key, known by its fingerprint or as a whole. */
export interface HostKeyPin {
  readonly fingerprint: string;
  /** Known when the key was given as a whole. */
  readonly algorithm?: string;
}

/** Signature algorithms by key family, best first. SHA-1 signatures (`ssh-rsa`) and DSA are not accepted. */
export const HOST_KEY_FAMILIES = [
  ['ssh-ed25519'],
  ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
  ['rsa-sha2-512', 'rsa-sha2-256'],
] as const;

/** What to ask of a server so that it offers a key of this type. An RSA key signs with SHA-2 (RFC 8332). */
export function signatureAlgorithms(keyType: string): readonly string[] {
  return keyType === 'ssh-rsa' ? HOST_KEY_FAMILIES[2] : [keyType];
}

/** `SHA256:` and the unpadded base64 of the digest of the key in its wire form. */
export function fingerprintOf(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** Reads a key in its wire form (RFC 4253 §6.6: it starts with the length and name of its type). */
export function hostKeyFromWire(key: Buffer): HostKey {
  const length = key.length >= 4 ? key.readUInt32BE(0) : 0;
  const algorithm = key.subarray(4, 4 + length).toString('latin1');
  if (length === 0 || length > 64 || key.length <= 4 + length || !/^[a-z0-9@.-]+$/.test(algorithm)) {
    throw new GridferryError('GF_SSH_HOST_KEY_INVALID', 'That is not an SSH public key: copy the whole line.');
  }
  return { algorithm, fingerprint: fingerprintOf(key), publicKey: `${algorithm} ${key.toString('base64')}` };
}

/**
 * Reads a public key line: `ssh-ed25519 AAAA… comment`, or a known_hosts line with host names before it.
 *
 * @throws `GF_SSH_HOST_KEY_INVALID`
 */
export function parsePublicKey(line: string): HostKey {
  const words = line.trim().split(/\s+/);
  const at = words.findIndex((word) => /^(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+$/.test(word));
  const [type, base64] = at < 0 ? [] : words.slice(at);
  if (type === undefined || base64 === undefined || !/^[A-Za-z0-9+/]+=*$/.test(base64)) {
    throw new GridferryError(
      'GF_SSH_HOST_KEY_INVALID',
      'The host key is neither "SHA256:…" nor a public key line such as "ssh-ed25519 AAAA…": copy it from ssh-keyscan or from /etc/ssh/ssh_host_ed25519_key.pub of the server.',
    );
  }
  const key = hostKeyFromWire(Buffer.from(base64, 'base64'));
  if (key.algorithm !== type) {
    throw new GridferryError(
      'GF_SSH_HOST_KEY_INVALID',
      `The host key says ${type} but holds a key of type ${key.algorithm}: copy the whole line again.`,
    );
  }
  return key;
}

/**
 * Reads a pin in either form.
 *
 * @throws `GF_SSH_HOST_KEY_INVALID`
 */
export function parsePin(text: string): HostKeyPin {
  const digest = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(text.trim())?.[1];
  if (digest !== undefined) return { fingerprint: `SHA256:${digest}` };
  const { fingerprint, algorithm } = parsePublicKey(text);
  return { fingerprint, algorithm };
}

/** Whether two ways of writing a host key (fingerprint or public key line) mean the same key. */
export function isSameHostKey(one: string, other: string): boolean {
  return parsePin(one).fingerprint === parsePin(other).fingerprint;
}

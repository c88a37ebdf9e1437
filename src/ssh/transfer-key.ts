import { generateKeyPairSync, randomBytes } from 'node:crypto';
import ssh2 from 'ssh2';
import type { ParsedKey } from 'ssh2';
import { fingerprintOf } from './host-key.ts';
import { wireNumber, wireString } from './wire.ts';

/** A key pair that is born for one login and dies with it. */
export interface TransferKey {
  readonly key: ParsedKey;
  /** `ssh-ed25519 AAAA…`, without a comment. */
  readonly publicKey: string;
  /** In OpenSSH's own format. */
  readonly privateKey: string;
  readonly fingerprint: string;
}

const TYPE = 'ssh-ed25519';

/** Not by ssh2, which writes one key in a few hundred so that nobody can read it. */
export function createTransferKey(): TransferKey {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const [secret, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  const wire = Buffer.concat([wireString(TYPE), wireString(point)]);
  const privateKey = opensshFile(wire, point, secret);
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error) throw key;
  return { key, publicKey: `${TYPE} ${wire.toString('base64')}`, privateKey, fingerprint: fingerprintOf(wire) };
}

/** OpenSSH's PROTOCOL.key, without encryption. */
function opensshFile(wire: Buffer, point: Buffer, secret: Buffer): string {
  const check = randomBytes(4);
  const body = Buffer.concat([
    ...[check, check, wireString(TYPE), wireString(point)],
    ...[wireString(Buffer.concat([secret, point])), wireString('')],
  ]);
  const padding = Buffer.from(Array.from({ length: (8 - (body.length % 8)) % 8 }, (_, index) => index + 1));
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...['none', 'none', ''].map(wireString),
    wireNumber(1),
    wireString(wire),
    wireString(Buffer.concat([body, padding])),
  ]);
  const lines = file.toString('base64').replace(/.{70}/g, '$&\n').trimEnd();
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

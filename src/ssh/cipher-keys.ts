import { createSecretKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Client } from 'ssh2';

/** The parts of ssh2 that make a cipher for each packet, from a key in a buffer: those of AES-GCM. */
interface ClientInternals {
  readonly _protocol?: {
    readonly _cipher?: { _encKey?: Buffer | KeyObject };
    readonly _decipher?: { _decipherKey?: Buffer | KeyObject };
  };
}

/**
 * Gives the ciphers of a connection their keys as `KeyObject`s, now and after each key exchange. Node 24 finds out that a
 * buffer is none by two exceptions, which cost more than encrypting a packet does.
 *
 * @returns whether what the server sends is decrypted in this way.
 */
export function useKeyObjects(client: Client): boolean {
  const prepare = (): boolean => {
    const { _cipher: cipher, _decipher: decipher } = (client as unknown as ClientInternals)._protocol ?? {};
    if (Buffer.isBuffer(cipher?._encKey)) cipher._encKey = createSecretKey(cipher._encKey);
    if (!Buffer.isBuffer(decipher?._decipherKey)) return false;
    decipher._decipherKey = createSecretKey(decipher._decipherKey);
    return true;
  };
  client.on('handshake', prepare);
  return prepare();
}

import type { ResourceType } from '../api/meta.ts';

/** How an object's JSON lies on the disk. Everything that is stored or read back passes through here. */
export interface BodyCodec {
  encode(type: ResourceType, json: string): string | Uint8Array;
  /** The JSON as it was given to `encode`. */
  decode(type: ResourceType, body: string | Uint8Array): string;
}

const utf8 = new TextDecoder();

export const plainBodies: BodyCodec = {
  encode: (_type, json) => json,
  decode: (_type, body) => (typeof body === 'string' ? body : utf8.decode(body)),
};

import type { KubeObject, ResourceType } from '../api/meta.ts';

/** How an object's JSON lies on the disk. Everything that is stored or read back passes through here. */
export interface BodyCodec {
  encode(type: ResourceType, object: KubeObject): string | Uint8Array;
  decode(type: ResourceType, body: string | Uint8Array): KubeObject;
}

const utf8 = new TextDecoder();

export const plainBodies: BodyCodec = {
  encode: (_type, object) => JSON.stringify(object),
  decode: (_type, body) => JSON.parse(typeof body === 'string' ? body : utf8.decode(body)) as KubeObject,
};

import type { ResourceType } from '../api/meta.ts';

/** Which version of which object a body is. */
export interface BodyPlace {
  readonly type: ResourceType;
  readonly namespace: string;
  readonly name: string;
  readonly version: number;
}

/** How an object's JSON lies on the disk. Everything that is stored or read back passes through here. */
export interface BodyCodec {
  encode(place: BodyPlace, json: string): string | Uint8Array;
  /** The JSON as it was given to `encode` for the same place. */
  decode(place: BodyPlace, body: string | Uint8Array): string;
}

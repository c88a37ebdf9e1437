import type { KubeObject } from '../api/meta.ts';
import { ApiError } from './api-error.ts';

/** etcd's own limit, so that what fits here fits a cluster. */
const MAX_OBJECT_BYTES = 1.5 * 1024 * 1024;
const MAX_BYTES_PER_UNIT = 3;

/** @throws ApiError `RequestEntityTooLarge` for more than is stored of one object. `json` is its text. */
export function checkSize(object: KubeObject, json: string): void {
  if (json.length * MAX_BYTES_PER_UNIT <= MAX_OBJECT_BYTES) return;
  const bytes = Buffer.byteLength(json);
  if (bytes <= MAX_OBJECT_BYTES) return;
  throw new ApiError(
    'RequestEntityTooLarge',
    `${object.kind} "${object.metadata.name}" is too large: ${String(bytes)} bytes, at most ${String(MAX_OBJECT_BYTES)} are stored`,
  );
}

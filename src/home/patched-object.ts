import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { ApiError } from './api-error.ts';
import { badRequest } from './api-messages.ts';
import type { Patch } from './client.ts';
import { applyJsonPatch, JsonPatchError } from './json-patch.ts';
import { isJsonObject, jsonEqual } from './json.ts';
import { applyMergePatch } from './merge-patch.ts';

/**
 * What a merge or JSON patch makes of an object. The object is left as it is, but may share parts with the result.
 *
 * @throws ApiError `Invalid` when a JSON patch does not apply.
 */
export function patchedObject(old: KubeObject, patch: Exclude<Patch, { type: 'apply' }>): unknown {
  try {
    if (patch.type === 'merge') return applyMergePatch(old, patch.body);
    const result = applyJsonPatch(old, patch.body);
    if (!isJsonObject(result)) throw new JsonPatchError('the patch leaves no object');
    return result;
  } catch (error) {
    if (!(error instanceof JsonPatchError)) throw error;
    throw new ApiError('Invalid', 'the server rejected our request due to an error in our request', {}, error);
  }
}

/**
 * That a patch left an object of this name, and in this namespace if it names one.
 *
 * @throws ApiError `BadRequest`.
 */
export function checkPlace(type: ResourceType, object: KubeObject, key: ObjectKey): void {
  const metadata: unknown = object.metadata;
  const { name = '', namespace = '' } = (isJsonObject(metadata) ? metadata : {}) as {
    name?: string;
    namespace?: string;
  };
  if (type.namespaced && namespace !== '' && namespace !== key.namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if (name === '') {
    throw badRequest(`the name of the object (${key.name} based on URL) was undeterminable: name must be provided`);
  }
  if (name !== key.name) {
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${key.name})`);
  }
}

/** A patched object without the `managedFields` that the patch left as they were: they need no decoding. */
export function withoutUntouched<T extends KubeObject>(object: T, old: T): { object: T; managedFields?: unknown } {
  const { managedFields } = old.metadata;
  const metadata: unknown = isJsonObject(object) ? object.metadata : undefined;
  if (managedFields === undefined || !isJsonObject(metadata) || !jsonEqual(metadata['managedFields'], managedFields)) {
    return { object };
  }
  const { managedFields: _, ...rest } = object.metadata;
  return { object: { ...object, metadata: rest }, managedFields };
}

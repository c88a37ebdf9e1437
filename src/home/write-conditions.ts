import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ApiError } from './api-error.ts';
import { badVersion, conflict, invalid, namespaceStays, OBJECT_MODIFIED, preconditionFailed } from './api-messages.ts';
import type { DeleteOptions } from './client.ts';
import { changedServerMetadata } from './metadata-validation.ts';
import { isNamespace } from './object-rules.ts';

/**
 * That an update is based on the object as it is, and leaves alone what the server decides.
 *
 * @throws ApiError `Conflict`, `Invalid`.
 */
export function checkBase(type: ResourceType, object: KubeObject, old: KubeObject): void {
  const { name, resourceVersion } = object.metadata;
  if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) {
    throw /^\d+$/.test(resourceVersion) ? conflict(type, name, OBJECT_MODIFIED) : badVersion(resourceVersion);
  }
  const changed = changedServerMetadata(object.metadata, old.metadata);
  if (changed.length > 0) throw invalid(type, name, changed);
}

/**
 * That a deletion means this very object, and one that may go.
 *
 * @throws ApiError `Conflict`, `Forbidden`.
 */
export function checkDeletable(type: ResourceType, old: KubeObject, options: DeleteOptions): void {
  const { name } = old.metadata;
  const { uid, resourceVersion } = options.preconditions ?? {};
  if (uid !== undefined && uid !== old.metadata.uid) {
    const why = `the UID in the precondition (${uid}) does not match the UID in record (${old.metadata.uid ?? ''}). The object might have been deleted and then recreated`;
    throw preconditionFailed(type, name, why);
  }
  if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) {
    const why = `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${old.metadata.resourceVersion ?? ''}). The object might have been modified`;
    throw preconditionFailed(type, name, why);
  }
  if (isNamespace(type) && name === 'default') throw namespaceStays(name);
}

/** The other object of this name that is there. */
export function uidMismatch(type: ResourceType, object: KubeObject, old: KubeObject): ApiError {
  const { name, namespace = '', uid = '' } = object.metadata;
  const key = ['', 'registry', type.group, type.plural, namespace, name]
    .filter((part, i) => i === 0 || part !== '')
    .join('/');
  const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ''}`;
  return conflict(
    type,
    name,
    `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${why}`,
  );
}

/** An apply by nobody. */
export function managerRequired(): ApiError {
  const cause = {
    reason: 'FieldValueRequired',
    message: 'Required value: is required for apply patch',
    field: 'fieldManager',
  };
  const message = `PatchOptions.meta.k8s.io "" is invalid: ${cause.field}: ${cause.message}`;
  return new ApiError('Invalid', message, { group: 'meta.k8s.io', kind: 'PatchOptions', causes: [cause] });
}

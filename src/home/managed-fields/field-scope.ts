import { Namespaces } from '../../api/core.ts';
import { apiVersionOf, GROUP } from '../../api/meta.ts';
import type { ResourceType } from '../../api/meta.ts';
import { resourceName } from '../api-messages.ts';
import type { FieldType } from './field-type.ts';
import { typeOfKind } from './kind-types.ts';
import type { Managers } from './manager-entries.ts';

/** What a write through one endpoint (an object, or its status) can own. */
export interface FieldScope {
  readonly type: ResourceType;
  readonly fields: FieldType;
  readonly apiVersion: string;
  readonly subresource: 'status' | undefined;
  /** Members of the object that the endpoint resets to what they were, so that nobody owns them through it. */
  readonly reset: ReadonlySet<string>;
}

const STATUS: ReadonlySet<string> = new Set(['status']);
const ALL_BUT_STATUS: ReadonlySet<string> = new Set(['metadata', 'spec']);
const NONE: ReadonlySet<string> = new Set();
/** A namespace's `spec` holds nothing but what the server keeps of it. */
const NAMESPACE: ReadonlySet<string> = new Set(['spec', 'status']);

export function scopeOf(type: ResourceType, subresource: 'status' | undefined): FieldScope {
  const isNamespace = resourceName(type) === resourceName(Namespaces);
  const ordinary = isNamespace ? NAMESPACE : type.hasStatus ? STATUS : NONE;
  return {
    type,
    fields: typeOfKind(type),
    apiVersion: apiVersionOf(type),
    subresource,
    reset: subresource === 'status' ? ALL_BUT_STATUS : ordinary,
  };
}

/** Custom resources go through a decoder and a converter that treat `managedFields` a little differently. */
export function isCustom(type: ResourceType): boolean {
  return type.group === GROUP;
}

/**
 * Drops entries of versions that are not served, which only a client can have written. The API server then drops those
 * of a core kind alone, and all of a custom resource, as its converter refuses them.
 */
export function dropForeignVersions(scope: FieldScope, managers: Managers): void {
  for (const [id, { apiVersion }] of managers) {
    if (apiVersion === scope.apiVersion) continue;
    if (isCustom(scope.type)) {
      managers.clear();
      return;
    }
    managers.delete(id);
  }
}

import type { KubeObject, ResourceType } from '../api/meta.ts';

export type AdmissionOperation = 'create' | 'update' | 'status';

/** What stands between a write and the store: defaults, schema and CEL rules. */
export interface Admission {
  /**
   * The object as it is to be stored, with defaults filled in. `object` may be changed; `old` may not.
   *
   * @throws ApiError `Invalid` with one cause per violation.
   */
  admit<T extends KubeObject>(type: ResourceType<T>, object: T, old: T | undefined, operation: AdmissionOperation): T;
}

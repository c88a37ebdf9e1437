import type { KubeObject } from '../../api/meta.ts';
import { jsonEqual } from '../json.ts';
import { sameButForTimes } from './manager-entries.ts';

/** `metadata.managedFields` as it is stored. */
export type ManagedFields = readonly unknown[] | undefined;

/** Gives an object its `managedFields`, in place. */
export function withManagedFields<T extends KubeObject>(object: T, managedFields: ManagedFields): T {
  if (managedFields === undefined) delete object.metadata.managedFields;
  else object.metadata.managedFields = managedFields as unknown[];
  return object;
}

/** A write that would change nothing but when somebody last owned something is none. */
export function isSame(next: KubeObject, old: KubeObject): boolean {
  const before = old.metadata.managedFields;
  const after = next.metadata.managedFields;
  if (before === after || !sameButForTimes(before, after)) return jsonEqual(next, old);
  return jsonEqual(withManagedFields({ ...next, metadata: { ...next.metadata } }, before), old);
}

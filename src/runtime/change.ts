import type { KubeObject } from '../api/meta.ts';
import { deepEqual } from './structural.ts';

/** One object as it changed in the cache. */
export type Change<T extends KubeObject = KubeObject> =
  /** `initial`: it was there before we looked, so nobody waits for us to notice. */
  | { readonly kind: 'added'; readonly object: Readonly<T>; readonly initial: boolean }
  | { readonly kind: 'updated'; readonly old: Readonly<T>; readonly object: Readonly<T> }
  /** `object` is as it was last seen. */
  | { readonly kind: 'deleted'; readonly object: Readonly<T> };

/**
 * What differs between two versions of an object, the weightiest first: what the user wants (`spec`, or the data of kinds
 * without one, or its deletion), the metadata people write, `status`, or only the server's own bookkeeping.
 */
export type ChangeScope = 'desired' | 'metadata' | 'status' | 'none';

export function scopeOf(old: Readonly<KubeObject>, object: Readonly<KubeObject>): ChangeScope {
  if (desiredChanged(old, object)) return 'desired';
  const [a, b] = [old.metadata, object.metadata];
  if (
    !deepEqual(a.labels, b.labels) ||
    !deepEqual(a.annotations, b.annotations) ||
    !deepEqual(a.finalizers, b.finalizers) ||
    !deepEqual(a.ownerReferences, b.ownerReferences)
  ) {
    return 'metadata';
  }
  return deepEqual(old.status, object.status) ? 'none' : 'status';
}

/** Whether the two versions ask for something different: a reconcile of the old one is then working for nothing. */
export function desiredChanged(old: Readonly<KubeObject>, object: Readonly<KubeObject>): boolean {
  if (old.metadata.deletionTimestamp !== object.metadata.deletionTimestamp) return true;
  if (old.metadata.generation !== object.metadata.generation) return true;
  // The server counts a generation exactly for what is neither metadata nor status; Secrets and their like have none.
  if (object.metadata.generation !== undefined) return false;
  return !deepEqual(content(old), content(object));
}

function content(object: Readonly<KubeObject>): unknown {
  return { ...object, metadata: undefined, status: undefined };
}

/**
 * Whether version `a` is newer than `b`. Both homes count versions in decimal; of anything else only equality is known,
 * and the answer is then no.
 */
export function isNewerVersion(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined || !/^[0-9]+$/.test(a) || !/^[0-9]+$/.test(b)) return false;
  return a.length === b.length ? a > b : a.length > b.length;
}

import { keyOf } from '../api/meta.ts';
import type { KubeObject, ObjectKey } from '../api/meta.ts';
import { createStringPool } from './string-pool.ts';

/** Read access to the objects of one kind as they were last seen. What it hands out is shared and frozen. */
export interface Cache<T extends KubeObject> {
  get(key: ObjectKey): Readonly<T> | undefined;
  /** Of one namespace, or of all. */
  list(namespace?: string): readonly Readonly<T>[];
  readonly size: number;
}

/** The writer's side of a `Cache`. */
export interface ObjectStore<T extends KubeObject> extends Cache<T> {
  set(object: Readonly<T>): void;
  delete(key: ObjectKey): void;
}

export function createObjectStore<T extends KubeObject>(): ObjectStore<T> {
  // Two levels instead of a joined key: `get` is on the path of every reconcile, and `list` of a namespace reads only it.
  const namespaces = new Map<string, Map<string, Readonly<T>>>();
  let size = 0;
  return {
    get size() {
      return size;
    },
    get: ({ namespace, name }) => namespaces.get(namespace)?.get(name),
    list(namespace) {
      if (namespace !== undefined) return [...(namespaces.get(namespace)?.values() ?? [])];
      return [...namespaces.values()].flatMap((objects) => [...objects.values()]);
    },
    set(object) {
      const { namespace, name } = keyOf(object);
      let objects = namespaces.get(namespace);
      if (objects === undefined) {
        objects = new Map();
        namespaces.set(namespace, objects);
      }
      if (!objects.has(name)) size++;
      objects.set(name, object);
    },
    delete({ namespace, name }) {
      const objects = namespaces.get(namespace);
      if (!objects?.delete(name)) return;
      size--;
      if (objects.size === 0) namespaces.delete(namespace);
    },
  };
}

const strings = createStringPool();

/**
 * An object as the cache holds it: without `managedFields` (half its size, and nobody here reads them), with the strings
 * that many objects share in memory once, and frozen. It is the given object itself, which must be the caller's own.
 */
export function cached<T extends KubeObject>(object: T): Readonly<T> {
  const metadata: { managedFields?: unknown } = object.metadata;
  // Not deleted: V8 turns an object that loses a member into a hash table, which takes four times the memory.
  if (metadata.managedFields !== undefined && !Object.isFrozen(metadata)) metadata.managedFields = undefined;
  compact(object);
  return object;
}

function compact(value: object): void {
  if (Object.isFrozen(value)) return;
  const members = value as Record<string, unknown>;
  for (const name of Object.keys(members)) {
    const member = members[name];
    if (typeof member === 'string') members[name] = strings.intern(member);
    else if (typeof member === 'object' && member !== null) compact(member);
  }
  Object.freeze(value);
}

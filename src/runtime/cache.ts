import { keyOf } from '../api/meta.ts';
import type { KubeObject, ObjectKey } from '../api/meta.ts';
import { deepFreeze } from './structural.ts';

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

/** An object as the cache holds it: without `managedFields` (half its size, and nobody here reads them), and frozen. */
export function cached<T extends KubeObject>(object: T): Readonly<T> {
  if (object.metadata.managedFields === undefined) return deepFreeze(object);
  const metadata = { ...object.metadata };
  delete metadata.managedFields;
  return deepFreeze({ ...object, metadata });
}

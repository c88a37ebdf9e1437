import type { KubeObject, ResourceType } from '../api/meta.ts';
import { keyOf, keyString } from '../api/meta.ts';
import { isReason } from './api-error.ts';
import type { Client } from './client.ts';
import { DIRECTORY_ANNOTATION, SOURCE_ANNOTATION } from './manifest-annotations.ts';
import type { CachedFile } from './manifest-cache.ts';
import { objectId } from './manifest-loader.ts';

export interface LiveObject {
  readonly type: ResourceType;
  readonly object: KubeObject;
}

export interface PruneScope {
  readonly directory: string;
  /** Whether any file has the object of this id, once or more often. */
  readonly defines: (id: string) => boolean;
  readonly files: Iterable<CachedFile>;
  /** Files and directories (relative) that are there but could not be looked into. */
  readonly unreadable: readonly string[];
}

/** The objects that the sync created from this directory and that no file, broken ones included, can still mean. */
export function pruneCandidates(live: Iterable<LiveObject>, scope: PruneScope): LiveObject[] {
  const broken = [...scope.files].filter((cached) => cached.broken);
  const brokenPaths = new Set(broken.map((cached) => cached.file.path));
  return [...live].filter(({ type, object }) => {
    const { annotations = {}, name, deletionTimestamp } = object.metadata;
    if (annotations[DIRECTORY_ANNOTATION] !== scope.directory || deletionTimestamp !== undefined) return false;
    const id = objectId(type, keyOf(object));
    const source = annotations[SOURCE_ANNOTATION] ?? '';
    if (scope.defines(id) || brokenPaths.has(source)) return false;
    if (scope.unreadable.some((path) => source === path || source.startsWith(`${path}/`))) return false;
    // It may have moved into a file that nobody can read at the moment.
    return !broken.some((cached) => cached.frozen.has(id) || cached.text === undefined || cached.text.includes(name));
  });
}

/** Deletes exactly this object; its finalizers are honoured. Answers whether there was something to delete. */
export async function prune(client: Client, { type, object }: LiveObject, fieldManager: string): Promise<boolean> {
  const { uid } = object.metadata;
  try {
    const precondition = uid === undefined ? {} : { preconditions: { uid } };
    await client.delete(type, keyOf(object), { fieldManager, ...precondition });
    return true;
  } catch (error) {
    // Gone, or replaced by one that is not ours.
    if (isReason(error, 'NotFound', 'Conflict')) return false;
    throw error;
  }
}

export function describeObject({ type, object }: LiveObject): string {
  return `${type.kind} ${keyString(keyOf(object))}`;
}

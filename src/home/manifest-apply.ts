import { keyOf } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { isReason } from './api-error.ts';
import type { Client } from './client.ts';
import { isJsonObject, jsonEqual, setMember } from './json.ts';
import type { JsonObject } from './json.ts';
import { APPLIED_ANNOTATION, DIRECTORY_ANNOTATION, SOURCE_ANNOTATION } from './manifest-annotations.ts';
import type { LoadedObject } from './manifest-file.ts';

export const FIELD_MANAGER = 'gridferry-directory';
const MAX_ATTEMPTS = 5;

export type ApplyOutcome =
  | { readonly kind: 'created' | 'updated' | 'unchanged'; readonly object: KubeObject }
  /** The object is on its way out: it is created again once it is gone. */
  | { readonly kind: 'deleting' };

/**
 * `kubectl apply` for one object: sets what the file says, removes what the file said last time and says no more, and
 * leaves what it never mentioned.
 *
 * @param live the object as it is now, or `undefined` if it is not there.
 * @param fileChanged whether the file may say something new; if not, lists that the server only added defaults to are
 * taken as unchanged.
 */
export async function applyManifest(
  client: Client,
  loaded: LoadedObject,
  live: KubeObject | undefined,
  directory: string,
  fileChanged: boolean,
): Promise<ApplyOutcome> {
  const { type, key } = loaded;
  let current = live;
  for (let attempt = 1; ; attempt++) {
    try {
      if (current === undefined) {
        const object = annotated(loaded, { [DIRECTORY_ANNOTATION]: directory });
        return { kind: 'created', object: await client.create(type, object, { fieldManager: FIELD_MANAGER }) };
      }
      if (current.metadata.deletionTimestamp !== undefined) return { kind: 'deleting' };
      const body = applyPatch(loaded, current, directory, fileChanged);
      if (body === undefined) return { kind: 'unchanged', object: current };
      // The patch was made for exactly this version.
      const guarded = {
        ...body,
        metadata: {
          ...(body['metadata'] as JsonObject | undefined),
          resourceVersion: current.metadata.resourceVersion,
        },
      };
      const object = await client.patch(type, key, { type: 'merge', body: guarded }, { fieldManager: FIELD_MANAGER });
      return { kind: 'updated', object };
    } catch (error) {
      if (!isReason(error, 'Conflict', 'AlreadyExists', 'NotFound') || attempt === MAX_ATTEMPTS) throw error;
      current = await getOrUndefined(client, type, keyOf(loaded.object));
    }
  }
}

export async function getOrUndefined(
  client: Client,
  type: ResourceType,
  key: { readonly namespace: string; readonly name: string },
): Promise<KubeObject | undefined> {
  try {
    return await client.get(type, key);
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

/** The merge patch that brings `live` to what the file says, or `undefined` when it is there. */
export function applyPatch(
  loaded: LoadedObject,
  live: KubeObject,
  directory: string,
  fileChanged: boolean,
): JsonObject | undefined {
  // Ownership for pruning moves along with the directory, but is never taken of what somebody else created.
  const mine = live.metadata.annotations?.[DIRECTORY_ANNOTATION] !== undefined;
  const desired = annotated(loaded, mine ? { [DIRECTORY_ANNOTATION]: directory } : {});
  const patch = difference(
    desired as unknown as JsonObject,
    live as unknown as JsonObject,
    lastApplied(live),
    !fileChanged,
  );
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function annotated(loaded: LoadedObject, more: Record<string, string>): KubeObject {
  const { object, file } = loaded;
  const annotations = {
    ...object.metadata.annotations,
    [SOURCE_ANNOTATION]: file,
    [APPLIED_ANNOTATION]: JSON.stringify(fieldNames(object as unknown as JsonObject)),
    ...more,
  };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** The nested names of what is set; a leaf, and a list as a whole, is an empty object. */
function fieldNames(value: JsonObject): JsonObject {
  const names: JsonObject = {};
  for (const [key, child] of Object.entries(value)) {
    if (child !== null && child !== undefined) setMember(names, key, isJsonObject(child) ? fieldNames(child) : {});
  }
  return names;
}

function lastApplied(live: KubeObject): JsonObject {
  try {
    const parsed: unknown = JSON.parse(live.metadata.annotations?.[APPLIED_ANNOTATION] ?? '{}');
    return isJsonObject(parsed) ? parsed : {};
  } catch {
    // Somebody edited the annotation: nothing is known to have been set, so nothing is removed.
    return {};
  }
}

function difference(desired: JsonObject, live: JsonObject, applied: JsonObject, lenient: boolean): JsonObject {
  const patch: JsonObject = {};
  for (const [key, wanted] of Object.entries(desired)) {
    const present = own(live, key);
    if (wanted === null || wanted === undefined) {
      if (present !== undefined && present !== null) setMember(patch, key, null);
    } else if (isJsonObject(wanted) && isJsonObject(present)) {
      const before = own(applied, key);
      const nested = difference(wanted, present, isJsonObject(before) ? before : {}, lenient);
      if (Object.keys(nested).length > 0) setMember(patch, key, nested);
    } else if (!(lenient ? covers(present, wanted) : jsonEqual(present, wanted))) {
      setMember(patch, key, wanted);
    }
  }
  for (const key of Object.keys(applied)) {
    if (!Object.hasOwn(desired, key) && own(live, key) !== undefined) setMember(patch, key, null);
  }
  return patch;
}

/** Whether `present` is `wanted` with nothing but members of objects (defaults, that is) added. */
function covers(present: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(present) && present.length === wanted.length && wanted.every((item, i) => covers(present[i], item))
    );
  }
  if (isJsonObject(wanted)) {
    return isJsonObject(present) && Object.keys(wanted).every((key) => covers(own(present, key), wanted[key]));
  }
  return present === wanted;
}

function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

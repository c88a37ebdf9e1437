import type { KubeObject, ResourceType } from '../api/meta.ts';
import { forbidden } from '../api/violation.ts';
import { invalid } from './api-messages.ts';
import type { StatusCause } from './api-error.ts';
import { isJsonObject, jsonEqual, setMember, shareMembers } from './json.ts';
import type { JsonObject } from './json.ts';

/** The API server's strategies: what of a write counts, and what the server decides itself. Pure functions. */

export const FOREGROUND_FINALIZER = 'foregroundDeletion';
export const ORPHAN_FINALIZER = 'orphan';

/** Custom resources count their generations; of the core kinds used here none does. */
function countsGenerations(type: ResourceType): boolean {
  return type.hasStatus && type.group !== '';
}

let lastSecond = NaN;
let lastTimestamp = '';

/** RFC 3339 in whole seconds, as `metav1.Time`. Every write asks for it, and most get the same answer. */
export function timestamp(milliseconds: number): string {
  const second = Math.floor(milliseconds / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastTimestamp = `${new Date(second * 1000).toISOString().slice(0, 19)}Z`;
  }
  return lastTimestamp;
}

/** A new object with the metadata that the server gives; `status` is not the creator's to set. */
export function newObject<T extends KubeObject>(
  type: ResourceType<T>,
  object: T,
  given: { readonly name: string; readonly uid: string; readonly now: number },
): T {
  const next = { ...object, metadata: { ...object.metadata } };
  const { metadata } = next;
  metadata.name = given.name;
  metadata.uid = given.uid;
  metadata.creationTimestamp = timestamp(given.now);
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.resourceVersion;
  delete metadata.generation;
  delete metadata.selfLink;
  if (!type.namespaced) delete metadata.namespace;
  if (countsGenerations(type)) {
    metadata.generation = 1;
    delete next.status;
  }
  if (isNamespace(type)) next.status = { phase: 'Active' };
  return next;
}

/** What an ordinary update makes of `old`: the server keeps its own metadata and, where it is a subresource, the status. */
export function updatedObject<T extends KubeObject>(type: ResourceType<T>, object: T, old: T): T {
  const next = { ...object, metadata: keepServerMetadata(object, old) };
  if (type.hasStatus) {
    if (old.status === undefined) delete next.status;
    else next.status = old.status;
  }
  return sharingPartsOf(old, next);
}

/** What a status update makes of `old`: nothing but the status changes. */
export function withStatus<T extends KubeObject>(object: T, old: T): T {
  const next = { ...old, metadata: { ...old.metadata } };
  if (object.status === undefined) delete next.status;
  else next.status = object.status;
  return sharingPartsOf(old, next);
}

/** `next`, in which what is equal to a part of `old` is that part: all that looks for changes passes over it. */
function sharingPartsOf<T extends KubeObject>(old: T, next: T): T {
  shareMembers(next.metadata as unknown as JsonObject, old.metadata as unknown as JsonObject);
  shareMembers(next as unknown as JsonObject, { ...old, metadata: next.metadata } as unknown as JsonObject);
  return next;
}

function keepServerMetadata(object: KubeObject, old: KubeObject): KubeObject['metadata'] {
  const metadata: Record<string, unknown> = { ...object.metadata };
  for (const key of [
    'name',
    'namespace',
    'uid',
    'resourceVersion',
    'generation',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'selfLink',
  ] as const) {
    if (old.metadata[key] === undefined) Reflect.deleteProperty(metadata, key);
    else metadata[key] = old.metadata[key];
  }
  return metadata as unknown as KubeObject['metadata'];
}

/** Counts the generation up when anything but metadata and status differs. */
export function countGeneration(type: ResourceType, next: KubeObject, old: KubeObject): void {
  if (!countsGenerations(type)) return;
  const changed = !jsonEqual(
    { ...next, metadata: undefined, status: undefined },
    { ...old, metadata: undefined, status: undefined },
  );
  next.metadata.generation = (old.metadata.generation ?? 0) + (changed ? 1 : 0);
}

/** The object as it waits for its finalizers. */
export function markDeleting<T extends KubeObject>(
  type: ResourceType<T>,
  old: T,
  finalizers: string[],
  now: number,
): T {
  const metadata = { ...old.metadata, finalizers };
  if (finalizers.length === 0) Reflect.deleteProperty(metadata, 'finalizers');
  if (old.metadata.deletionTimestamp !== undefined) return { ...old, metadata };
  metadata.deletionTimestamp = timestamp(now);
  if (isNamespace(type)) return { ...old, metadata, status: { ...(old.status as object), phase: 'Terminating' } };
  metadata.deletionGracePeriodSeconds = 0;
  if (countsGenerations(type)) metadata.generation = (old.metadata.generation ?? 0) + 1;
  return { ...old, metadata };
}

/** Whether something is to happen before an object that is being deleted may go. A namespace has finalizers of its own. */
export function isHeld(type: ResourceType, { metadata, spec }: KubeObject): boolean {
  if ((metadata.finalizers ?? []).length > 0) return true;
  return isNamespace(type) && ((spec as { finalizers?: unknown[] } | undefined)?.finalizers ?? []).length > 0;
}

export function isNamespace(type: ResourceType): boolean {
  return type.group === '' && type.kind === 'Namespace';
}

/** The finalizers that a propagation policy asks for (apiserver `registry/generic/registry/store.go`). */
export function deletionFinalizers(
  current: readonly string[],
  policy: 'Foreground' | 'Background' | 'Orphan' | undefined,
): string[] {
  if (policy === undefined) return [...current];
  const others = current.filter((finalizer) => finalizer !== FOREGROUND_FINALIZER && finalizer !== ORPHAN_FINALIZER);
  if (policy === 'Foreground') others.push(FOREGROUND_FINALIZER);
  if (policy === 'Orphan') others.push(ORPHAN_FINALIZER);
  return others;
}

/** @throws ApiError `Invalid` for changes that no update may make. */
export function checkTransition(type: ResourceType, next: KubeObject, old: KubeObject): void {
  const causes: StatusCause[] = [];
  if (old.metadata.deletionTimestamp !== undefined) {
    const before = new Set(old.metadata.finalizers);
    const added = (next.metadata.finalizers ?? []).filter((finalizer) => !before.has(finalizer));
    if (added.length > 0) {
      const list = added.map((finalizer) => JSON.stringify(finalizer)).join(', ');
      const problem = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`;
      causes.push(forbidden('metadata.finalizers', problem));
    }
  }
  if (causes.length > 0) throw invalid(type, old.metadata.name, causes);
}

/** Members of core kinds that are not stored when they are empty. */
const OMITTED_WHEN_EMPTY: Readonly<Record<string, readonly string[]>> = {
  Secret: ['data'],
  ConfigMap: ['data', 'binaryData'],
  Event: ['action', 'count', 'message', 'reason', 'type'],
};

/** What Go's encoder leaves out (`omitempty`): empty metadata of any kind, and some members of the core kinds. */
export function dropEmptyMembers(type: ResourceType, object: KubeObject): void {
  const metadata = object.metadata as unknown as Record<string, unknown>;
  for (const name of Object.keys(metadata)) {
    // A pointer in Go: no grace is told.
    if (name !== 'deletionGracePeriodSeconds' && isZero(metadata[name])) Reflect.deleteProperty(metadata, name);
  }
  if (type.group !== '') return;
  const members = object as unknown as Record<string, unknown>;
  for (const name of OMITTED_WHEN_EMPTY[type.kind] ?? []) {
    if (isZero(members[name])) Reflect.deleteProperty(members, name);
  }
}

function isZero(value: unknown): boolean {
  if (typeof value !== 'object') return value === '' || value === 0;
  return value === null || Object.keys(value).length === 0;
}

/** A Secret's `stringData` becomes `data`; what is no string is left for validation to refuse. */
export function mergeStringData(object: KubeObject): void {
  const secret = object as { data?: unknown; stringData?: unknown };
  if (!isJsonObject(secret.stringData)) return;
  const data = isJsonObject(secret.data) ? { ...secret.data } : {};
  for (const [key, value] of Object.entries(secret.stringData)) {
    if (typeof value !== 'string') return;
    setMember(data, key, Buffer.from(value).toString('base64'));
  }
  secret.data = data;
  delete secret.stringData;
}

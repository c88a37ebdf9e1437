import type { KubeObject, ResourceType } from '../api/meta.ts';
import { forbidden, invalid } from './api-messages.ts';
import type { StatusCause } from './api-error.ts';
import { isJsonObject, jsonEqual, setMember } from './json.ts';

/** The API server's strategies: what of a write counts, and what the server decides itself. Pure functions. */

export const FOREGROUND_FINALIZER = 'foregroundDeletion';
export const ORPHAN_FINALIZER = 'orphan';

/** Custom resources count their generations; of the core kinds used here none does. */
function countsGenerations(type: ResourceType): boolean {
  return type.hasStatus && type.group !== '';
}

/** RFC 3339 in whole seconds, as `metav1.Time`. */
export function timestamp(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
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
  if (!type.namespaced) delete metadata.namespace;
  if (countsGenerations(type)) {
    metadata.generation = 1;
    delete next.status;
  }
  if (type.group === '' && type.kind === 'Namespace') next.status = { phase: 'Active' };
  return next;
}

/** What an ordinary update makes of `old`: the server keeps its own metadata and, where it is a subresource, the status. */
export function updatedObject<T extends KubeObject>(type: ResourceType<T>, object: T, old: T): T {
  const next = { ...object, metadata: keepServerMetadata(object, old) };
  if (type.hasStatus) {
    if (old.status === undefined) delete next.status;
    else next.status = old.status;
  }
  return next;
}

/** What a status update makes of `old`: nothing but the status changes. */
export function withStatus<T extends KubeObject>(object: T, old: T): T {
  const next = { ...old, metadata: { ...old.metadata } };
  if (object.status === undefined) delete next.status;
  else next.status = object.status;
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
  if (old.metadata.deletionTimestamp === undefined) {
    metadata.deletionTimestamp = timestamp(now);
    metadata.deletionGracePeriodSeconds = 0;
    if (countsGenerations(type)) metadata.generation = (old.metadata.generation ?? 0) + 1;
  }
  return { ...old, metadata };
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
  if (type.group === '' && (type.kind === 'Secret' || type.kind === 'ConfigMap'))
    causes.push(...immutableData(next, old));
  if (causes.length > 0) throw invalid(type, old.metadata.name, causes);
}

function immutableData(next: KubeObject, old: KubeObject): StatusCause[] {
  const after = next as { immutable?: unknown; data?: unknown; binaryData?: unknown; type?: unknown };
  const before = old as typeof after;
  const causes: StatusCause[] = [];
  if (after.type !== before.type) causes.push(forbidden('type', 'field is immutable'));
  if (before.immutable !== true) return causes;
  const problem = 'field is immutable when `immutable` is set';
  if (after.immutable !== true) causes.push(forbidden('immutable', problem));
  for (const field of ['data', 'binaryData'] as const) {
    if (!jsonEqual(after[field] ?? {}, before[field] ?? {})) causes.push(forbidden(field, problem));
  }
  return causes;
}

/** What the API server does to core kinds before it validates them. */
export function normalizeCoreKind(type: ResourceType, object: KubeObject): void {
  if (type.group !== '' || type.kind !== 'Secret') return;
  (object as { type?: unknown }).type ??= 'Opaque';
  mergeStringData(object);
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

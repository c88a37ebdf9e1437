import { keyOf } from '../api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Admission, AdmissionOperation } from './admission.ts';
import { ApiError } from './api-error.ts';
import {
  alreadyExists,
  badRequest,
  checkKind,
  conflict,
  forbidden,
  invalid,
  notFound,
  OBJECT_MODIFIED,
} from './api-messages.ts';
import type { DeleteOptions, Patch } from './client.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { applyJsonPatch, JsonPatchError } from './json-patch.ts';
import { isJsonObject, jsonCopy, jsonEqual } from './json.ts';
import { applyMergePatch } from './merge-patch.ts';
import { metadataViolations } from './metadata-validation.ts';
import { checkTransition, countGeneration, deletionFinalizers, markDeleting } from './object-rules.ts';
import { newObject, normalizeCoreKind, updatedObject, withStatus } from './object-rules.ts';
import type { ObjectStore, StoredRef } from './object-store.ts';

/** etcd's own limit, so that what fits here fits a cluster. */
const MAX_OBJECT_BYTES = 1.5 * 1024 * 1024;
const GENERATED_SUFFIX = 5;
const MAX_GENERATED_PREFIX = 63 - GENERATED_SUFFIX;
const GENERATED_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** Randomness as a dependency. */
export interface Random {
  uuid(): string;
  /** An integer from 0 up to, but not including, `limit`. */
  below(limit: number): number;
}

export interface WriterDependencies {
  readonly store: ObjectStore;
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly clock: Clock;
  readonly random: Random;
}

/** The write verbs, each to be called inside a transaction of the store. */
export class ObjectWriter {
  readonly #store: ObjectStore;
  readonly #admission: Admission;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #collector: GarbageCollector;

  constructor({ store, types, admission, clock, random }: WriterDependencies) {
    this.#store = store;
    this.#admission = admission;
    this.#clock = clock;
    this.#random = random;
    this.#collector = new GarbageCollector(store, types, {
      remove: (ref, policy) => {
        const object = store.get(ref.type, ref.key);
        if (object !== undefined) this.#remove(ref.type, object, policy);
      },
      writeMetadata: (ref, object, metadata) => this.#writeMetadata(ref, object, metadata),
    });
  }

  /** One write with everything that follows from it, or nothing at all. */
  run<R>(dryRun: boolean, body: () => R): R {
    try {
      return this.#store.attempt(!dryRun, () => {
        const result = body();
        this.#collector.settle();
        return result;
      });
    } finally {
      this.#collector.reset();
    }
  }

  create<T extends KubeObject>(type: ResourceType<T>, given: T): T {
    const object = jsonCopy(given);
    checkKind(type, object);
    if (!isJsonObject(object.metadata)) throw badRequest('the object has no metadata');
    if (object.metadata.resourceVersion !== undefined && object.metadata.resourceVersion !== '') {
      throw badRequest('resourceVersion should not be set on objects to be created');
    }
    if (type.namespaced && !object.metadata.namespace) {
      throw badRequest(`a ${type.kind} lives in a namespace: set metadata.namespace`);
    }
    const namespace = type.namespaced ? (object.metadata.namespace ?? '') : '';
    const name = this.#nameFor(type, object, namespace);
    const next = newObject(type, object, { name, uid: this.#random.uuid(), now: this.#clock.now() });
    normalizeCoreKind(type, next);
    const admitted = this.#admit(type, next, undefined, 'create');
    if (this.#store.get(type, { namespace, name }) !== undefined) throw alreadyExists(type, name);
    const stored = this.#put(type, 'ADDED', admitted);
    const owners = ownerUids(stored);
    this.#store.setOwners({ type, key: keyOf(stored) }, [], owners);
    this.#collector.written(type, stored, owners.length > 0);
    return stored;
  }

  update<T extends KubeObject>(type: ResourceType<T>, given: T, subresource?: 'status'): T {
    const object = jsonCopy(given);
    checkKind(type, object);
    if (!isJsonObject(object.metadata)) throw badRequest('the object has no metadata');
    const old = this.#existing(type, keyOf(object));
    // The API server lets only core kinds be replaced blindly (`AllowUnconditionalUpdate`).
    if (!object.metadata.resourceVersion && type.group !== '') {
      const message = 'Invalid value: 0x0: must be specified for an update';
      throw invalid(type, object.metadata.name, [
        { reason: 'FieldValueInvalid', field: 'metadata.resourceVersion', message },
      ]);
    }
    return this.#replace(type, object, old, subresource);
  }

  patch<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, patch: Patch, subresource?: 'status'): T {
    const old = this.#existing(type, key);
    const object = patched(old, patch);
    checkKind(type, object);
    if (object.metadata.name !== key.name) {
      throw badRequest(
        `the name of the object (${object.metadata.name}) does not match the name on the URL (${key.name})`,
      );
    }
    if ((object.metadata.namespace ?? '') !== key.namespace) {
      throw badRequest(
        `the namespace of the object (${String(object.metadata.namespace)}) does not match the namespace on the URL (${key.namespace})`,
      );
    }
    return this.#replace(type, object, old, subresource);
  }

  delete<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, options: DeleteOptions): T {
    const old = this.#existing(type, key);
    const { uid, resourceVersion } = options.preconditions ?? {};
    if (uid !== undefined && uid !== old.metadata.uid) {
      const why = `the UID in the precondition (${uid}) does not match the UID in record (${old.metadata.uid ?? ''}). The object might have been deleted and then recreated`;
      throw conflict(type, key.name, why);
    }
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) {
      const why = `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${old.metadata.resourceVersion ?? ''}). The object might have been modified`;
      throw conflict(type, key.name, why);
    }
    if (type.group === '' && type.kind === 'Namespace' && key.name === 'default') {
      throw new ApiError('Forbidden', 'namespaces "default" is forbidden: this namespace may not be deleted');
    }
    return this.#remove(type, old, options.propagationPolicy);
  }

  #existing<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): T {
    const old = this.#store.get(type, key);
    if (old === undefined) throw notFound(type, key.name);
    return old;
  }

  #replace<T extends KubeObject>(type: ResourceType<T>, object: T, old: T, subresource: 'status' | undefined): T {
    const { name, uid, resourceVersion } = object.metadata;
    if (subresource === 'status' && !type.hasStatus) {
      throw new ApiError('NotFound', 'the server could not find the requested resource');
    }
    if (uid && uid !== old.metadata.uid) {
      const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ''}`;
      throw conflict(type, name, why);
    }
    if (resourceVersion && resourceVersion !== old.metadata.resourceVersion)
      throw conflict(type, name, OBJECT_MODIFIED);
    const next = subresource === 'status' ? withStatus(object, old) : updatedObject(type, object, old);
    normalizeCoreKind(type, next);
    const admitted = this.#admit(type, next, old, subresource ?? 'update');
    if (subresource === undefined) {
      countGeneration(type, admitted, old);
      checkTransition(type, admitted, old);
    }
    return this.#save(type, admitted, old);
  }

  /** The common end of everything that changes an object: no change is no write, no finalizers left is the end. */
  #save<T extends KubeObject>(type: ResourceType<T>, next: T, old: T): T {
    if (jsonEqual(next, old)) return old;
    if (next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0) {
      return this.#gone(type, next, old);
    }
    const stored = this.#put(type, 'MODIFIED', next);
    const before = old.metadata.ownerReferences ?? [];
    const owners = ownerUids(stored);
    const ownersChanged = !jsonEqual(before, stored.metadata.ownerReferences ?? []);
    if (ownersChanged) {
      this.#store.setOwners({ type, key: keyOf(stored) }, ownerUids(old), owners);
      this.#collector.released(old, before);
    }
    this.#collector.written(type, stored, ownersChanged);
    return stored;
  }

  #remove<T extends KubeObject>(type: ResourceType<T>, old: T, policy: DeleteOptions['propagationPolicy']): T {
    const finalizers = deletionFinalizers(old.metadata.finalizers ?? [], policy);
    if (finalizers.length === 0) return this.#gone(type, old, old);
    return this.#save(type, markDeleting(type, old, finalizers, this.#clock.now()), old);
  }

  #gone<T extends KubeObject>(type: ResourceType<T>, last: T, old: T): T {
    this.#store.setOwners({ type, key: keyOf(old) }, ownerUids(old), []);
    const stored = this.#put(type, 'DELETED', last);
    this.#collector.removed(type, stored);
    return stored;
  }

  #writeMetadata(ref: StoredRef, object: KubeObject, metadata: KubeObject['metadata']): void {
    this.#save(ref.type, { ...object, metadata }, object);
  }

  #put<T extends KubeObject>(type: ResourceType<T>, event: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): T {
    return this.#store.put(type, event, object, this.#clock.now());
  }

  #admit<T extends KubeObject>(type: ResourceType<T>, next: T, old: T | undefined, operation: AdmissionOperation): T {
    const admitted = this.#admission.admit(type, next, old, operation);
    const causes = metadataViolations(type, admitted);
    if (causes.length > 0) throw invalid(type, admitted.metadata.name, causes);
    const bytes = Buffer.byteLength(JSON.stringify(admitted));
    if (bytes > MAX_OBJECT_BYTES) {
      throw new ApiError(
        'RequestEntityTooLarge',
        `${type.kind} "${admitted.metadata.name}" is too large: ${String(bytes)} bytes, at most ${String(MAX_OBJECT_BYTES)} are stored`,
      );
    }
    return admitted;
  }

  #nameFor(type: ResourceType, object: KubeObject, namespace: string): string {
    const { name, generateName } = object.metadata;
    if (name) return name;
    if (!generateName) {
      const message = 'Required value: name or generateName is required';
      throw invalid(type, '', [{ reason: 'FieldValueRequired', field: 'metadata.name', message }]);
    }
    // The API server, too, tries eight times before it lets the caller know.
    let candidate = '';
    for (let attempt = 0; attempt < 8; attempt++) {
      candidate = generateName.slice(0, MAX_GENERATED_PREFIX);
      for (let i = 0; i < GENERATED_SUFFIX; i++) {
        candidate += GENERATED_LETTERS[this.#random.below(GENERATED_LETTERS.length)] ?? '';
      }
      if (this.#store.get(type, { namespace, name: candidate }) === undefined) break;
    }
    return candidate;
  }
}

function ownerUids(object: KubeObject): string[] {
  return (object.metadata.ownerReferences ?? []).map((owner) => owner.uid);
}

function patched<T extends KubeObject>(old: T, patch: Patch): T {
  let result: unknown;
  if (patch.type === 'apply') throw badRequest('server-side apply is not served');
  try {
    result = patch.type === 'merge' ? applyMergePatch(old, jsonCopy(patch.body)) : applyJsonPatch(old, patch.body);
  } catch (error) {
    if (!(error instanceof JsonPatchError)) throw error;
    const message = `the patch cannot be applied: ${error.message}`;
    throw new ApiError('Invalid', message, { causes: [{ reason: 'FieldValueInvalid', message }] }, error);
  }
  if (!isJsonObject(result) || !isJsonObject(result['metadata'])) {
    const causes = [forbidden('metadata', 'the patch leaves no object')];
    throw new ApiError('Invalid', 'the patch leaves no object with metadata', { causes });
  }
  return result as unknown as T;
}

import { Namespaces } from '../api/core.ts';
import { keyOf } from '../api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import type { ObservedWrite } from '../audit/events-of-write.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Admission, AdmissionOperation } from './admission.ts';
import { ApiError } from './api-error.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  namespaceTerminating,
  notFound,
  versionRequired,
} from './api-messages.ts';
import type { DeleteOptions, Patch, WriteOptions } from './client.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { generatedName } from './generated-name.ts';
import type { Random } from './generated-name.ts';
import { jsonEqual } from './json.ts';
import { applyConfiguration } from './managed-fields/apply-configuration.ts';
import { scopeOf } from './managed-fields/field-scope.ts';
import { isSame, withManagedFields } from './managed-fields/owned-object.ts';
import type { ManagedFields } from './managed-fields/owned-object.ts';
import { trackCreate, trackUpdate } from './managed-fields/track-update.ts';
import type { Writer } from './managed-fields/track-update.ts';
import {
  checkTransition,
  countGeneration,
  deletionFinalizers,
  dropEmptyMembers,
  isHeld,
  isNamespace,
  markDeleting,
} from './object-rules.ts';
import { newObject, timestamp, updatedObject, withStatus } from './object-rules.ts';
import type { ChangeEvent, ObjectStore, StoredRef } from './object-store.ts';
import { checkPlace, patchedObject, withoutUntouched } from './patched-object.ts';
import { checkBase, checkDeletable, managerRequired, uidMismatch } from './write-conditions.ts';

/** An applied configuration fits the schema already. */
const APPLIED = { fieldValidation: 'Ignore', applied: true } as const;
/** The name under which a cluster's garbage collector writes. */
const COLLECTOR_MANAGER = 'kube-controller-manager';

export interface WriterDependencies {
  readonly store: ObjectStore;
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly clock: Clock;
  readonly random: Random;
  /** Told each write, in the transaction that stores it. */
  readonly observe?: ((write: ObservedWrite) => void) | undefined;
}

type Subresource = 'status' | undefined;

/**
 * The write verbs, each to be called inside a transaction of the store. The objects given to them are theirs: parts of
 * them end up in the answer.
 */
export class ObjectWriter {
  readonly #store: ObjectStore;
  readonly #admission: Admission;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #collector: GarbageCollector;
  readonly #servesNamespaces: boolean;
  readonly #observe: ((write: ObservedWrite) => void) | undefined;
  /** Who asked for the write under way, and so for all that follows from it. */
  #by: string | undefined;

  constructor({ store, types, admission, clock, random, observe }: WriterDependencies) {
    this.#store = store;
    this.#admission = admission;
    this.#clock = clock;
    this.#random = random;
    this.#observe = observe;
    this.#servesNamespaces = types.some(isNamespace);
    this.#collector = new GarbageCollector(store, types, {
      remove: (ref, policy) => {
        const object = store.get(ref.type, ref.key);
        if (object !== undefined) this.#remove(ref.type, object, policy);
      },
      writeMetadata: (ref, object, metadata) => this.#writeMetadata(ref, object, metadata),
      finalizeNamespace: (name) => this.#finalizeNamespace(name),
    });
  }

  /** One write with everything that follows from it, or nothing at all. */
  run<R>(dryRun: boolean, by: string | undefined, body: () => R): R {
    this.#by = by;
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

  create<T extends KubeObject>(type: ResourceType<T>, given: T, options: WriteOptions): T {
    const object = this.#admission.decode(type, given, options);
    const { resourceVersion } = object.metadata;
    if (resourceVersion !== undefined && resourceVersion !== '') {
      throw new ApiError('Unknown', 'resourceVersion should not be set on objects to be created');
    }
    return this.#create(type, object, options, (made) =>
      trackCreate(scopeOf(type, undefined), made, this.#writerOf(options)),
    );
  }

  update<T extends KubeObject>(type: ResourceType<T>, given: T, options: WriteOptions, subresource?: 'status'): T {
    const object = this.#admission.decode(type, given, options);
    const { name, uid, resourceVersion } = object.metadata;
    const old = this.#existing(type, keyOf(object));
    // The API server lets only core kinds be replaced blindly (`AllowUnconditionalUpdate`).
    if (!resourceVersion && type.group !== '') throw versionRequired(type, name);
    if (uid && uid !== old.metadata.uid) throw uidMismatch(type, object, old);
    return this.#replaceTracked(type, object, old, object.metadata.managedFields, options, subresource);
  }

  patch<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    patch: Patch,
    options: WriteOptions,
    subresource?: 'status',
  ): T {
    if (patch.type === 'apply') return this.#apply(type, key, patch, options, subresource);
    const old = this.#existing(type, key);
    const patched = patchedObject(old, patch) as T;
    const { object: given, managedFields } = withoutUntouched(patched, old);
    const object = this.#admission.decode(type, given, { ...options, patched });
    checkPlace(type, object, key);
    const owners = managedFields ?? object.metadata.managedFields;
    return this.#replaceTracked(type, object, old, owners, options, subresource);
  }

  delete<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, options: DeleteOptions): T {
    const old = this.#existing(type, key);
    checkDeletable(type, old, options);
    return this.#remove(type, old, options.propagationPolicy);
  }

  #apply<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    patch: Extract<Patch, { type: 'apply' }>,
    options: WriteOptions,
    subresource: Subresource,
  ): T {
    const writer = this.#writerOf(options);
    if (options.fieldManager === undefined || options.fieldManager === '') throw managerRequired();
    const live = this.#store.get(type, key);
    if (live === undefined && subresource !== undefined) throw notFound(type, key.name);
    const applied = applyConfiguration(scopeOf(type, subresource), live, patch.body, writer, patch.force ?? false);
    const { managedFields: _, ...metadata } = applied.object.metadata;
    if (type.namespaced) metadata.namespace ??= key.namespace;
    const object = this.#admission.decode(type, { ...(applied.object as T), metadata }, APPLIED);
    checkPlace(type, object, key);
    if (live !== undefined) return this.#replace(type, object, live, options, subresource, () => applied.managedFields);
    const { uid } = object.metadata;
    if (uid) {
      const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
      throw conflict(type, key.name, why);
    }
    delete object.metadata.resourceVersion;
    const made = this.#create(type, object, options, () => applied.managedFields);
    options.onCreated?.();
    return made;
  }

  /** `managedFields` is asked for when the object is as it will be stored. */
  #create<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    options: WriteOptions,
    managedFields: (made: T) => ManagedFields,
  ): T {
    if (type.namespaced && !object.metadata.namespace) {
      throw badRequest(`a ${type.kind} lives in a namespace: set metadata.namespace`);
    }
    const namespace = type.namespaced ? (object.metadata.namespace ?? '') : '';
    const name = this.#nameFor(type, object, namespace);
    const next = newObject(type, object, { name, uid: this.#random.uuid(), now: this.#clock.now() });
    this.#checkNamespace(type, name, namespace);
    const admitted = this.#admit(type, next, undefined, 'create', options);
    if (this.#store.get(type, { namespace, name }) !== undefined) throw alreadyExists(type, name);
    const stored = this.#put(type, 'ADDED', withManagedFields(admitted, managedFields(admitted)), undefined);
    const owners = ownerUids(stored);
    this.#store.setOwners({ type, key: keyOf(stored) }, [], owners);
    this.#collector.written(type, stored, owners.length > 0);
    return stored;
  }

  #existing<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey): T {
    const old = this.#store.get(type, key);
    if (old === undefined) throw notFound(type, key.name);
    return old;
  }

  #replaceTracked<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    old: T,
    given: unknown,
    options: WriteOptions,
    subresource: Subresource,
  ): T {
    return this.#replace(type, object, old, options, subresource, (next) =>
      trackUpdate(scopeOf(type, subresource), old, next, given, this.#writerOf(options)),
    );
  }

  #replace<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    old: T,
    options: WriteOptions,
    subresource: Subresource,
    managedFields: (next: T) => ManagedFields,
  ): T {
    if (subresource === 'status' && !type.hasStatus) {
      throw new ApiError('NotFound', 'the server could not find the requested resource');
    }
    checkBase(type, object, old);
    const next = subresource === 'status' ? withStatus(object, old) : updatedObject(type, object, old);
    const admitted = this.#admit(type, next, old, subresource ?? 'update', options);
    if (subresource === undefined) {
      countGeneration(type, admitted, old);
      checkTransition(type, admitted, old);
    }
    return this.#save(type, withManagedFields(admitted, managedFields(admitted)), old);
  }

  /** The common end of everything that changes an object: no change is no write, no finalizers left is the end. */
  #save<T extends KubeObject>(type: ResourceType<T>, next: T, old: T): T {
    if (isSame(next, old)) return old;
    if (next.metadata.deletionTimestamp !== undefined && !isHeld(type, next)) {
      return this.#gone(type, next, old);
    }
    const stored = this.#put(type, 'MODIFIED', next, old);
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
    const next = markDeleting(type, old, finalizers, this.#clock.now());
    const stays = isNamespace(type) || isHeld(type, next);
    return stays ? this.#save(type, next, old) : this.#gone(type, old, old);
  }

  #gone<T extends KubeObject>(type: ResourceType<T>, last: T, old: T): T {
    this.#store.setOwners({ type, key: keyOf(old) }, ownerUids(old), []);
    const stored = this.#put(type, 'DELETED', last, old);
    this.#collector.removed(stored);
    return stored;
  }

  #writeMetadata(ref: StoredRef, object: KubeObject, metadata: KubeObject['metadata']): void {
    const next = { ...object, metadata: { ...metadata } };
    dropEmptyMembers(ref.type, next);
    const writer = this.#writerOf({ fieldManager: COLLECTOR_MANAGER });
    const scope = scopeOf(ref.type, undefined);
    const managedFields = trackUpdate(scope, object, next, metadata.managedFields, writer);
    this.#save(ref.type, withManagedFields(next, managedFields), object);
  }

  /** What a cluster's namespace controller does in the end (`POST …/finalize`). */
  #finalizeNamespace(name: string): void {
    const old = this.#store.get(Namespaces, { namespace: '', name });
    if (old !== undefined) this.#save(Namespaces, { ...old, spec: {} }, old);
  }

  #put<T extends KubeObject>(type: ResourceType<T>, event: ChangeEvent, object: T, old: T | undefined): T {
    const stored = this.#store.put(type, event, object, this.#clock.now());
    this.#observe?.({ event, object: stored, old, by: this.#by });
    return stored;
  }

  #admit<T extends KubeObject>(
    type: ResourceType<T>,
    next: T,
    old: T | undefined,
    operation: AdmissionOperation,
    options: WriteOptions,
  ): T {
    // Who owns what is no matter of the schema.
    delete next.metadata.managedFields;
    dropEmptyMembers(type, next);
    return this.#admission.admit(type, next, old, operation, options);
  }

  /** Nothing is made in a namespace that is not there, or that is going (admission plugin `NamespaceLifecycle`). */
  #checkNamespace(type: ResourceType, name: string, namespace: string): void {
    if (!type.namespaced || !this.#servesNamespaces) return;
    const found = this.#store.get(Namespaces, { namespace: '', name: namespace });
    if (found === undefined) throw notFound(Namespaces, namespace);
    if (found.metadata.deletionTimestamp !== undefined) throw namespaceTerminating(type, name, namespace);
  }

  #nameFor(type: ResourceType, object: KubeObject, namespace: string): string {
    const { name, generateName } = object.metadata;
    if (name) return name;
    // Validation says what is missing.
    if (!generateName) return '';
    const isTaken = (candidate: string): boolean => this.#store.get(type, { namespace, name: candidate }) !== undefined;
    return generatedName(generateName, this.#random, isTaken);
  }

  #writerOf({ fieldManager = '' }: WriteOptions): Writer {
    return { manager: fieldManager, now: timestamp(this.#clock.now()) };
  }
}

function ownerUids(object: KubeObject): string[] {
  return (object.metadata.ownerReferences ?? []).map((owner) => owner.uid);
}

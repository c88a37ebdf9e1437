import { Namespaces } from '../api/core.ts';
import type { KubeObject, ObjectKey, OwnerReference, ResourceType } from '../api/meta.ts';
import { resourceName } from './api-messages.ts';
import { FOREGROUND_FINALIZER, ORPHAN_FINALIZER } from './object-rules.ts';
import type { ObjectStore, StoredRef } from './object-store.ts';

/** What the collector does to objects; the writer that owns it carries it out. */
export interface CollectorActions {
  remove(ref: StoredRef, policy: 'Foreground' | 'Background' | undefined): void;
  /** Writes new metadata; an object that waited for its last finalizer is gone then. */
  writeMetadata(ref: StoredRef, object: KubeObject, metadata: KubeObject['metadata']): void;
  /** Ends a namespace that is empty. */
  finalizeNamespace(name: string): void;
}

/**
 * Owner references, as Kubernetes' garbage collector treats them. It works inside the transaction of the write that
 * gave it something to do: no crash can come between the owner's end and its dependents'.
 */
export class GarbageCollector {
  readonly #store: ObjectStore;
  readonly #actions: CollectorActions;
  readonly #types: readonly ResourceType[];
  readonly #servesNamespaces: boolean;
  /** A list of work instead of recursion, as ownership may be deep. */
  readonly #work: (() => void)[] = [];

  constructor(store: ObjectStore, types: readonly ResourceType[], actions: CollectorActions) {
    this.#store = store;
    this.#types = types;
    this.#servesNamespaces = types.some((type) => resourceName(type) === resourceName(Namespaces));
    this.#actions = actions;
  }

  /** To be called with every object that was written. */
  written(type: ResourceType, object: KubeObject, ownersChanged: boolean): void {
    const ref = refOf(type, object);
    if (ownersChanged) this.#work.push(() => this.#collectIfAbandoned(ref));
    if (object.metadata.deletionTimestamp !== undefined) this.#work.push(() => this.#continueDeletion(ref));
  }

  /** To be called with every object that is gone. */
  removed(object: KubeObject): void {
    const uid = object.metadata.uid ?? '';
    this.#work.push(() => {
      for (const dependent of this.#store.dependents(uid)) this.#work.push(() => this.#collectIfAbandoned(dependent));
    });
    this.released(object, object.metadata.ownerReferences ?? []);
    const { namespace } = object.metadata;
    if (this.#servesNamespaces && namespace !== undefined) this.#work.push(() => this.#continueNamespace(namespace));
  }

  /** To be called when an object no longer names these owners: one of them may have waited for that. */
  released(object: KubeObject, owners: readonly OwnerReference[]): void {
    for (const owner of owners) {
      const found = this.#find(owner, object.metadata.namespace ?? '');
      if (found !== undefined && found !== 'unknown') this.#work.push(() => this.#continueDeletion(found.ref));
    }
  }

  /** Does all there is to do, and what follows from it. */
  settle(): void {
    for (let work = this.#work.shift(); work !== undefined; work = this.#work.shift()) work();
  }

  /** Forgets work of a write that was undone. */
  reset(): void {
    this.#work.length = 0;
  }

  #collectIfAbandoned(ref: StoredRef): void {
    const object = this.#store.get(ref.type, ref.key);
    const owners = object?.metadata.ownerReferences ?? [];
    if (object === undefined || owners.length === 0 || object.metadata.deletionTimestamp !== undefined) return;
    const kept: OwnerReference[] = [];
    let someOwnerWaits = false;
    for (const owner of owners) {
      const found = this.#find(owner, ref.key.namespace);
      if (found === 'unknown') kept.push(owner);
      else if (found !== undefined && waitsForDependents(found.object)) someOwnerWaits = true;
      else if (found !== undefined) kept.push(owner);
    }
    if (kept.length === owners.length) return;
    if (kept.length > 0) {
      this.#actions.writeMetadata(ref, object, { ...object.metadata, ownerReferences: kept });
      return;
    }
    const hasDependents = this.#store.dependents(object.metadata.uid ?? '').length > 0;
    this.#actions.remove(ref, someOwnerWaits && hasDependents ? 'Foreground' : 'Background');
  }

  #continueDeletion(ref: StoredRef): void {
    const object = this.#store.get(ref.type, ref.key);
    if (object?.metadata.deletionTimestamp === undefined) return;
    if (resourceName(ref.type) === resourceName(Namespaces)) this.#continueNamespace(ref.key.name);
    const finalizers = object.metadata.finalizers ?? [];
    const uid = object.metadata.uid ?? '';
    if (finalizers.includes(ORPHAN_FINALIZER)) {
      for (const dependent of this.#store.dependents(uid)) this.#orphan(dependent, uid);
      this.#dropFinalizer(ref, object, ORPHAN_FINALIZER);
    } else if (finalizers.includes(FOREGROUND_FINALIZER)) {
      const dependents = this.#store.dependents(uid);
      for (const dependent of dependents) this.#collectIfAbandoned(dependent);
      if (!dependents.some((dependent) => this.#blocks(dependent, uid))) {
        this.#dropFinalizer(ref, object, FOREGROUND_FINALIZER);
      }
    }
  }

  /** A namespace that is to go takes its contents with it, and waits for those that finalizers hold. */
  #continueNamespace(name: string): void {
    const namespace = this.#store.get(Namespaces, { namespace: '', name });
    if (namespace?.metadata.deletionTimestamp === undefined) return;
    const contents = this.#store.inNamespace(name);
    if (contents.length === 0) this.#actions.finalizeNamespace(name);
    for (const ref of contents) {
      if (this.#store.get(ref.type, ref.key)?.metadata.deletionTimestamp !== undefined) continue;
      this.#actions.remove(ref, 'Background');
    }
  }

  #blocks(dependent: StoredRef, ownerUid: string): boolean {
    const owners = this.#store.get(dependent.type, dependent.key)?.metadata.ownerReferences ?? [];
    return owners.some((owner) => owner.uid === ownerUid && owner.blockOwnerDeletion === true);
  }

  #orphan(ref: StoredRef, ownerUid: string): void {
    const object = this.#store.get(ref.type, ref.key);
    if (object === undefined) return;
    const ownerReferences = (object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== ownerUid);
    this.#actions.writeMetadata(ref, object, { ...object.metadata, ownerReferences });
  }

  #dropFinalizer(ref: StoredRef, object: KubeObject, finalizer: string): void {
    // Its dependents may have been written meanwhile, but not the object itself: this is one transaction.
    const finalizers = (object.metadata.finalizers ?? []).filter((other) => other !== finalizer);
    this.#actions.writeMetadata(ref, object, { ...object.metadata, finalizers });
  }

  /** An owner of a kind that is not served counts as there: nothing is deleted on a guess. */
  #find(owner: OwnerReference, namespace: string): { ref: StoredRef; object: KubeObject } | 'unknown' | undefined {
    const slash = owner.apiVersion.indexOf('/');
    const group = slash === -1 ? '' : owner.apiVersion.slice(0, slash);
    const type = this.#types.find((candidate) => candidate.group === group && candidate.kind === owner.kind);
    if (type === undefined || (type.namespaced && namespace === '')) return 'unknown';
    const key: ObjectKey = { namespace: type.namespaced ? namespace : '', name: owner.name };
    const object = this.#store.get(type, key);
    return object?.metadata.uid === owner.uid ? { ref: { type, key }, object } : undefined;
  }
}

function waitsForDependents(object: KubeObject): boolean {
  return (
    object.metadata.deletionTimestamp !== undefined && (object.metadata.finalizers ?? []).includes(FOREGROUND_FINALIZER)
  );
}

function refOf(type: ResourceType, object: KubeObject): StoredRef {
  return { type, key: { namespace: object.metadata.namespace ?? '', name: object.metadata.name } };
}

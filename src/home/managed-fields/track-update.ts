import type { KubeObject } from '../../api/meta.ts';
import { isJsonObject, jsonEqual } from '../json.ts';
import { compareFields } from './compare-fields.ts';
import type { FieldChanges } from './compare-fields.ts';
import { dropForeignVersions, isCustom } from './field-scope.ts';
import type { FieldScope } from './field-scope.ts';
import { difference, EMPTY, isEmpty, LEAF, union } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import { emptyObjectOf } from './kind-types.ts';
import {
  capUpdateManagers,
  entriesOf,
  entryOf,
  givenManagers,
  managerId,
  setOwned,
  storedManagers,
} from './manager-entries.ts';
import type { ManagedFieldsEntry, ManagerInfo, Managers } from './manager-entries.ts';

/** Owner of what was in an object before the first apply, when nothing says who wrote it. */
const BEFORE_FIRST_APPLY = 'before-first-apply';

/** Who writes, and when. */
export interface Writer {
  readonly manager: string;
  /** RFC 3339 in whole seconds. */
  readonly now: string;
}

/** Metadata and type are the server's: nobody owns these, but whoever wrote them owns what is below `metadata`. */
const NOT_OWNED: FieldSet = {
  'f:apiVersion': LEAF,
  'f:kind': LEAF,
  'f:metadata': {
    '.': LEAF,
    'f:clusterName': LEAF,
    'f:creationTimestamp': LEAF,
    'f:generation': LEAF,
    'f:managedFields': LEAF,
    'f:name': LEAF,
    'f:namespace': LEAF,
    'f:resourceVersion': LEAF,
    'f:selfLink': LEAF,
    'f:uid': LEAF,
  },
};

export function withoutServerFields(set: FieldSet): FieldSet {
  return difference(set, NOT_OWNED);
}

/** The `managedFields` of an object that was just created. */
export function trackCreate(scope: FieldScope, created: KubeObject, writer: Writer): ManagedFieldsEntry[] | undefined {
  const managers: Managers = new Map();
  recordUpdate(scope, managers, emptyObjectOf(scope.type, created), created, writer);
  return entriesOf(managers);
}

/**
 * The `managedFields` of `next`, which an update or patch made of `live`: what it added or changed belongs to the writer,
 * what it removed to nobody. `given` is what the client sent as `managedFields`: it may take ownership away or hand it
 * over. The answer is the live list itself when nothing changed in it.
 */
export function trackUpdate(
  scope: FieldScope,
  live: KubeObject,
  next: KubeObject,
  given: unknown,
  writer: Writer,
): readonly unknown[] | undefined {
  const stored = live.metadata.managedFields;
  const managers = managersBefore(scope, stored, given);
  dropForeignVersions(scope, managers);
  // Ownership is not tracked from halfway: as long as nobody applies, it stays unknown.
  if (managers.size > 0) {
    recordUpdate(scope, managers, live, next, writer);
    capUpdateManagers(managers);
  }
  return unchangedOr(stored, entriesOf(managers));
}

/** The live list itself when the entries in it are still the same. */
export function unchangedOr(
  stored: readonly unknown[] | undefined,
  entries: ManagedFieldsEntry[] | undefined,
): readonly unknown[] | undefined {
  const same = stored?.length === entries?.length && entries?.every((entry, index) => entry === stored?.[index]);
  return same === true ? stored : entries;
}

/** Makes an object's content the property of `before-first-apply`, so that an apply can conflict with it. */
export function managersBeforeFirstApply(scope: FieldScope, live: KubeObject, now: string): Managers {
  const managers: Managers = new Map();
  const writer = { manager: BEFORE_FIRST_APPLY, now };
  recordUpdate(scope, managers, emptyObjectOf(scope.type, live), live, writer);
  return managers;
}

/** Takes from the managers what a write changed or removed. */
export function takeFrom(managers: Managers, { changed, removed }: FieldChanges, except?: string): void {
  for (const [id, entry] of managers) {
    if (id !== except) setOwned(managers, id, entry, difference(difference(entry.fieldsV1, changed), removed));
  }
}

function recordUpdate(scope: FieldScope, managers: Managers, live: KubeObject, next: KubeObject, writer: Writer): void {
  const { apiVersion, subresource } = scope;
  const changes = compareFields(scope.fields, live, next, scope.reset);
  const info: ManagerInfo = {
    manager: writer.manager === '' ? 'unknown' : writer.manager,
    operation: 'Update',
    apiVersion,
    ...(subresource === undefined ? {} : { subresource }),
  };
  const id = managerId(info);
  takeFrom(managers, changes, id);
  const entry = managers.get(id) ?? entryOf(info, EMPTY, undefined);
  const changed = withoutServerFields(changes.changed);
  const owned = union(difference(entry.fieldsV1, changes.removed), changed);
  if (isEmpty(changed)) setOwned(managers, id, entry, owned);
  else managers.set(id, entryOf(info, owned, writer.now));
}

function managersBefore(scope: FieldScope, stored: readonly unknown[] | undefined, given: unknown): Managers {
  if (scope.subresource !== undefined || !Array.isArray(given) || given === stored) return storedManagers(stored);
  const entries = given as readonly unknown[];
  if (isReset(scope, entries)) return new Map();
  if (entries.length === 0 || jsonEqual(entries, stored)) return storedManagers(stored);
  return givenManagers(entries) ?? storedManagers(stored);
}

/** `[{}]` forgets all ownership; so does `[]`, which the decoder of custom resources however takes for absent. */
function isReset(scope: FieldScope, entries: readonly unknown[]): boolean {
  if (entries.length === 0) return !isCustom(scope.type);
  const [only] = entries;
  return entries.length === 1 && isJsonObject(only) && Object.keys(only).length === 0;
}

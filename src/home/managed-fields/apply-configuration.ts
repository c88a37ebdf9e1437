import type { KubeObject } from '../../api/meta.ts';
import { ApiError } from '../api-error.ts';
import { badRequest } from '../api-messages.ts';
import { isJsonObject, jsonEqual, sharingParts } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { conflictError } from './apply-conflict.ts';
import type { Conflict } from './apply-conflict.ts';
import { fieldsOf } from './applied-fields.ts';
import { compareFields } from './compare-fields.ts';
import { dropForeignVersions } from './field-scope.ts';
import type { FieldScope } from './field-scope.ts';
import { difference, EMPTY, intersection, isEmpty, recursiveDifference, sorted, union } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import { emptyObjectOf } from './kind-types.ts';
import { fieldsLastApplied, keepLastApplied, KUBECTL } from './last-applied.ts';
import { entriesOf, entryOf, managerId, setOwned, storedManagers } from './manager-entries.ts';
import type { ManagedFieldsEntry, ManagerInfo, Managers } from './manager-entries.ts';
import { mergeValues } from './merge-values.ts';
import { removeFields, withDeclaredFields } from './remove-fields.ts';
import { managersBeforeFirstApply, takeFrom, unchangedOr, withoutServerFields } from './track-update.ts';
import type { Writer } from './track-update.ts';
import { configurationProblems } from './validate-configuration.ts';

export interface Applied {
  /** What is to be stored, before defaults and validation; it may be the live object itself. */
  readonly object: KubeObject;
  readonly managedFields: readonly unknown[] | undefined;
}

/**
 * Server-side apply: merges `body` into the live object, takes away what the manager applied before and no longer does
 * (unless another one owns it), and records who owns what (structured-merge-diff, `Updater.Apply`).
 *
 * @throws ApiError `Conflict` naming the owners when others own, with other values, what the body has, unless `force`;
 * `BadRequest` for a body of another kind or with `managedFields`; an error without a reason, as the API server's, for a
 * body that does not fit the schema.
 */
export function applyConfiguration(
  scope: FieldScope,
  live: KubeObject | undefined,
  given: Readonly<Record<string, unknown>>,
  writer: Writer,
  force: boolean,
): Applied {
  const body = checkedBody(scope, given);
  const base = live ?? emptyObjectOf(scope.type, body as unknown as KubeObject);
  const stored = live?.metadata.managedFields;
  const managers = storedManagers(stored);
  dropForeignVersions(scope, managers);
  const known = managers.size > 0 || live === undefined ? managers : managersBeforeFirstApply(scope, live, writer.now);
  const result = merge(scope, base, body, known, writer, force);
  const kept = writer.manager === KUBECTL ? keepLastApplied(result.object, body) : result.object;
  return { object: kept, managedFields: unchangedOr(stored, result.managedFields) };
}

function merge(
  scope: FieldScope,
  live: KubeObject,
  body: JsonObject,
  managers: Managers,
  writer: Writer,
  force: boolean,
): { object: KubeObject; managedFields: ManagedFieldsEntry[] | undefined } {
  const { fields, apiVersion, subresource } = scope;
  const info: ManagerInfo = {
    manager: writer.manager,
    operation: 'Apply',
    apiVersion,
    ...(subresource === undefined ? {} : { subresource }),
  };
  const id = managerId(info);
  const previous = managers.get(id);
  const resetFields = Object.fromEntries([...scope.reset].map((name) => [`f:${name}`, EMPTY]));
  const owned = recursiveDifference(fieldsOf(fields, body), resetFields);
  managers.set(id, entryOf(info, owned, previous?.time));
  const own = withoutServerFields(owned);
  const ownsTheSame = previous !== undefined && jsonEqual(own, previous.fieldsV1);
  const merged = sharingParts(mergeValues(fields, live, body), live) as JsonObject;
  // Who applies what it applied before takes nothing away.
  const next = ownsTheSame ? merged : prune(scope, merged, managers, previous?.fieldsV1 ?? EMPTY);
  const changes = compareFields(fields, live, next, scope.reset);
  const conflicts = conflictsOf(managers, id, changes.changed);
  if (!force && conflicts.length > 0) {
    const left = writer.manager === KUBECTL ? conflictsBeyond(conflicts, fieldsLastApplied(scope, live)) : conflicts;
    if (left.length > 0) throw conflictError(left);
  }
  takeFrom(managers, changes, id);
  const isChanged = !jsonEqual(live, next);
  const time = isChanged ? writer.now : previous?.time;
  // An entry that says the same as before is the same entry.
  if (ownsTheSame && time === previous.time) managers.set(id, previous);
  else setOwned(managers, id, entryOf(info, EMPTY, time), sorted(own));
  return { object: isChanged ? (next as unknown as KubeObject) : live, managedFields: entriesOf(managers) };
}

function checkedBody({ type, fields, apiVersion }: FieldScope, given: Readonly<Record<string, unknown>>): JsonObject {
  const version = typeof given['apiVersion'] === 'string' ? given['apiVersion'] : '/';
  const kind = typeof given['kind'] === 'string' ? given['kind'] : '';
  if (version !== apiVersion || kind !== type.kind) {
    throw badRequest(`invalid object type: ${version.includes('/') ? version : `/${version}`}, Kind=${kind}`);
  }
  const body = { ...given };
  if (isJsonObject(body['metadata']) && 'managedFields' in body['metadata']) {
    const { managedFields, ...metadata } = body['metadata'];
    if (managedFields !== null) throw badRequest('metadata.managedFields must be nil');
    body['metadata'] = metadata;
  }
  const problems = configurationProblems(fields, body);
  if (problems.length === 0) return body;
  const { name = '', namespace = '' } = (isJsonObject(body['metadata']) ? body['metadata'] : {}) as Record<
    string,
    string
  >;
  const of = `${namespace}/${name}; ${type.group}/${type.version}, Kind=${type.kind}`;
  const list = problems.length === 1 ? (problems[0] ?? '') : ['errors:', ...problems.map((p) => `  ${p}`)].join('\n');
  throw new ApiError('Unknown', `failed to create typed patch object (${of}): ${list}`);
}

/**
 * The merged object without what the manager applied last and now does not, as far as no other manager owns it. Parts
 * that nobody owned stay.
 */
function prune({ fields }: FieldScope, merged: JsonObject, managers: Managers, last: FieldSet): JsonObject {
  if (isEmpty(last)) return merged;
  const lastDeclared = withDeclaredFields(fields, last);
  let owned = EMPTY;
  for (const entry of managers.values()) owned = union(owned, entry.fieldsV1);
  const mergedSet = withDeclaredFields(fields, fieldsOf(fields, merged));
  const fieldsLeft = (value: JsonObject): FieldSet => withDeclaredFields(fields, fieldsOf(fields, value));
  // First all that it applied goes, then what somebody owns comes back, then what the manager never had.
  const bare = fieldsLeft(removeFields(fields, merged, lastDeclared));
  const wanted = union(bare, withDeclaredFields(fields, owned));
  const pruned = fieldsLeft(removeFields(fields, merged, difference(mergedSet, wanted)));
  return removeFields(fields, merged, intersection(difference(mergedSet, pruned), lastDeclared));
}

function conflictsOf(managers: Managers, self: string, changed: FieldSet): Conflict[] {
  return [...managers]
    .filter(([id]) => id !== self)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, owner]) => ({ owner, fields: intersection(owner.fieldsV1, changed) }))
    .filter(({ fields }) => !isEmpty(fields));
}

function conflictsBeyond(conflicts: readonly Conflict[], allowed: FieldSet): Conflict[] {
  return conflicts
    .map(({ owner, fields }) => ({ owner, fields: difference(fields, allowed) }))
    .filter(({ fields }) => !isEmpty(fields));
}

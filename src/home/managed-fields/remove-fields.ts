import { isJsonObject, setMember } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { asMember, childrenOf, isEmpty, isMember } from './field-set.ts';
import type { FieldSet, FieldSetBuilder } from './field-set.ts';
import { memberType } from './field-type.ts';
import type { FieldType, ListType, MapType } from './field-type.ts';
import { itemElementOrNone, typeFor } from './list-items.ts';
import { fieldElement, fieldNameOf, isKeyElement, SELF } from './path-element.ts';

/**
 * A value without the fields and items in `set`. What loses all it had becomes `null`, which validation may refuse, as
 * the API server does (structured-merge-diff, `RemoveItems`).
 */
export function removeFields(type: FieldType, value: JsonObject, set: FieldSet): JsonObject {
  return isEmpty(set) ? value : (removeFrom(type, value, set) as JsonObject);
}

function removeFrom(type: FieldType, value: unknown, set: FieldSet): unknown {
  const { map, scalar, list } = typeFor(type, value);
  if (map !== undefined) return isJsonObject(value) && !map.atomic ? removeMembers(map, value, set) : null;
  if (scalar !== undefined) return value;
  return list !== undefined && Array.isArray(value) && !list.atomic ? removeItems(list, value, set) : null;
}

function removeMembers(map: MapType, value: JsonObject, set: FieldSet): JsonObject | null {
  const result: JsonObject = {};
  for (const [name, member] of Object.entries(value)) {
    const node = set[fieldElement(name)];
    if (isMember(node)) continue;
    const type = memberType(map, name);
    setMember(result, name, node === undefined || type === undefined ? member : removeFrom(type, member, node));
  }
  return Object.keys(result).length > 0 ? result : null;
}

function removeItems(list: ListType, items: readonly unknown[], set: FieldSet): unknown[] | null {
  const result: unknown[] = [];
  for (const item of items) {
    const element = itemElementOrNone(list, item);
    const node = element === undefined ? undefined : set[element];
    if (isMember(node)) continue;
    result.push(node === undefined ? item : removeFrom(list.element, item, node));
  }
  return result.length > 0 ? result : null;
}

/**
 * The set with the declared fields as members that are only there for what is below them: whoever owns all of a struct's
 * fields owns the struct (structured-merge-diff, `EnsureNamedFieldsAreMembers`).
 */
export function withDeclaredFields(type: FieldType, set: FieldSet): FieldSet {
  const result: FieldSetBuilder = {};
  for (const element of Object.keys(set)) {
    const node = set[element] ?? {};
    if (element === SELF || isEmpty(node)) {
      result[element] = node;
      continue;
    }
    const name = fieldNameOf(element);
    const declared = name !== undefined && type.map?.fields.has(name) === true;
    const below = withDeclaredFields(typeBelow(type, element) ?? {}, childrenOf(node));
    result[element] = declared || isMember(node) ? asMember(below) : below;
  }
  return result;
}

function typeBelow(type: FieldType, element: string): FieldType | undefined {
  const name = fieldNameOf(element);
  if (name !== undefined) return type.map === undefined ? undefined : memberType(type.map, name);
  return isKeyElement(element) ? type.list?.element : undefined;
}

import { isJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { asMember, isEmpty, LEAF, nodeOf } from './field-set.ts';
import type { FieldSet, FieldSetBuilder } from './field-set.ts';
import { memberType } from './field-type.ts';
import type { FieldType, ListType, MapType } from './field-type.ts';
import { itemElementOrNone, typeFor } from './list-items.ts';
import { fieldElement } from './path-element.ts';
import type { PathElement } from './path-element.ts';

/**
 * The fields that a value mentions: its leaves, the items of its lists, the keys of its maps (structured-merge-diff,
 * `ToFieldSet`). That is what an applier owns; a struct around its fields it does not. Its members come in any order.
 */
export function fieldsOf(type: FieldType, value: object): FieldSet {
  const out: FieldSetBuilder = {};
  if (type.map !== undefined) addMembers(type.map, value as JsonObject, out);
  return out;
}

/** The node of a value, which may be no member and have nothing below: then it is `undefined`. */
function nodeOfValue(type: FieldType, value: unknown): FieldSet | undefined {
  const { map, scalar, list } = typeFor(type, value);
  const out: FieldSetBuilder = {};
  if (map !== undefined) {
    if (map.atomic) return LEAF;
    if (isJsonObject(value)) addMembers(map, value, out);
  } else if (scalar !== undefined || list === undefined || list.atomic) return LEAF;
  else if (Array.isArray(value)) addItems(list, value, out);
  return isEmpty(out) ? undefined : nodeOf(out);
}

function addMembers(map: MapType, value: JsonObject, out: FieldSetBuilder): void {
  for (const [name, member] of Object.entries(value)) {
    const type = memberType(map, name);
    if (member === undefined || type === undefined) continue;
    const node = nodeOfValue(type, member);
    const isItself = member === null || (isJsonObject(member) && isEmpty(member as FieldSet)) || !map.fields.has(name);
    if (isItself) out[fieldElement(name)] = node === undefined ? LEAF : asMember(node);
    else if (node !== undefined) out[fieldElement(name)] = node;
  }
}

function addItems(list: ListType, items: readonly unknown[], out: FieldSetBuilder): void {
  const twice = new Set<PathElement>();
  for (const item of items) {
    const element = itemElementOrNone(list, item);
    if (element === undefined || twice.has(element)) continue;
    if (out[element] !== undefined) {
      twice.add(element);
      out[element] = LEAF;
      continue;
    }
    const node = nodeOfValue(list.element, item);
    out[element] = node === undefined ? LEAF : asMember(node);
  }
}

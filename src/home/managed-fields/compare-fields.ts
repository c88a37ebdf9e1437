import { isJsonObject, jsonEqual } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { EMPTY, isEmpty, LEAF, nodeOf } from './field-set.ts';
import type { FieldSet, FieldSetBuilder } from './field-set.ts';
import { memberType } from './field-type.ts';
import type { FieldType, ListType, MapType } from './field-type.ts';
import { itemElementOrNone, typeFor } from './list-items.ts';
import { fieldElement, SELF } from './path-element.ts';
import type { PathElement } from './path-element.ts';

/** What a write did to an object: two sets, their members in any order. No field is in both. */
export interface FieldChanges {
  /** Added or given another value. */
  readonly changed: FieldSet;
  readonly removed: FieldSet;
}

/**
 * Compares two states of an object in one walk over both; parts that they share are not looked at. `except` names
 * members of the objects that do not count (structured-merge-diff, `Compare`).
 */
export function compareFields(
  type: FieldType,
  before: object,
  after: object,
  except: ReadonlySet<string> = new Set(),
): FieldChanges {
  const out: Outcome = {};
  const map = type.map;
  if (map !== undefined) compareMembers(map, before as JsonObject, after as JsonObject, out, except);
  return { changed: out.changed ?? EMPTY, removed: out.removed ?? EMPTY };
}

/** What became of one node, as far as anything did. */
interface Outcome {
  changed?: FieldSetBuilder;
  removed?: FieldSetBuilder;
}

const NOTHING: ReadonlySet<string> = new Set();

/** `undefined` is absent, as opposed to `null`. */
function compareValue(type: FieldType, before: unknown, after: unknown, out: Outcome): void {
  if (before === after) return;
  const beforeType = typeFor(type, before);
  const afterType = typeFor(type, after);
  let leaf: boolean;
  if (after === undefined) leaf = compareAs(beforeType, before, after, out);
  else if (before === undefined || sameShape(beforeType, afterType)) leaf = compareAs(afterType, before, after, out);
  else {
    compareAs(beforeType, before, after, out);
    leaf = compareAs(afterType, before, after, out);
  }
  if (leaf) return;
  if (before === undefined) (out.changed ??= {})[SELF] = LEAF;
  else if (after === undefined) (out.removed ??= {})[SELF] = LEAF;
}

/** Answers whether the value counts as one leaf. */
function compareAs(type: FieldType, before: unknown, after: unknown, out: Outcome): boolean {
  if (type.map !== undefined) return compareMaps(type.map, before, after, out);
  if (type.scalar === undefined && type.list !== undefined) return compareLists(type.list, before, after, out);
  compareLeaf(before, after, out);
  return true;
}

function compareLeaf(before: unknown, after: unknown, out: Outcome): void {
  if (after === undefined) (out.removed ??= {})[SELF] = LEAF;
  else if (before === undefined || !jsonEqual(before, after)) (out.changed ??= {})[SELF] = LEAF;
}

function compareMaps(map: MapType, before: unknown, after: unknown, out: Outcome): boolean {
  const left = isJsonObject(before) && !isEmpty(before as FieldSet) ? before : undefined;
  const right = isJsonObject(after) && !isEmpty(after as FieldSet) ? after : undefined;
  // Both empty or null: as one leaf, so that the difference between empty and null counts.
  if (map.atomic || (left === undefined && right === undefined)) {
    compareLeaf(before, after, out);
    return true;
  }
  compareMembers(map, left, right, out, NOTHING);
  return false;
}

function compareMembers(
  map: MapType,
  before: JsonObject | undefined,
  after: JsonObject | undefined,
  out: Outcome,
  except: ReadonlySet<string>,
): void {
  for (const name in after) {
    if (!except.has(name)) compareMember(map, name, memberOf(before, name), after[name], out);
  }
  for (const name in before) {
    if (!except.has(name) && memberOf(after, name) === undefined)
      compareMember(map, name, before[name], undefined, out);
  }
}

function memberOf(object: JsonObject | undefined, name: string): unknown {
  return object !== undefined && Object.hasOwn(object, name) ? object[name] : undefined;
}

function compareMember(map: MapType, name: string, before: unknown, after: unknown, out: Outcome): void {
  if (before === after) return;
  const type = memberType(map, name);
  if (type !== undefined) compareChild(type, fieldElement(name), before, after, out);
}

function compareChild(type: FieldType, element: PathElement, before: unknown, after: unknown, out: Outcome): void {
  const child: Outcome = {};
  compareValue(type, before, after, child);
  if (child.changed !== undefined) (out.changed ??= {})[element] = nodeOf(child.changed);
  if (child.removed !== undefined) (out.removed ??= {})[element] = nodeOf(child.removed);
}

function compareLists(list: ListType, before: unknown, after: unknown, out: Outcome): boolean {
  const left: readonly unknown[] = Array.isArray(before) ? before : [];
  const right: readonly unknown[] = Array.isArray(after) ? after : [];
  if (list.atomic || (left.length === 0 && right.length === 0)) {
    compareLeaf(before, after, out);
    return true;
  }
  const leftItems = itemsByElement(list, left);
  const rightItems = itemsByElement(list, right);
  for (const [element, items] of leftItems) compareItems(list, element, items, rightItems.get(element) ?? [], out);
  for (const [element, items] of rightItems) if (!leftItems.has(element)) compareItems(list, element, [], items, out);
  return false;
}

function itemsByElement(list: ListType, items: readonly unknown[]): Map<PathElement, unknown[]> {
  const found = new Map<PathElement, unknown[]>();
  for (const item of items) {
    const element = itemElementOrNone(list, item);
    if (element === undefined) continue;
    const same = found.get(element);
    if (same === undefined) found.set(element, [item]);
    else same.push(item);
  }
  return found;
}

/** Items that occur more than once under one key are owned together, as a whole. */
function compareItems(
  list: ListType,
  element: PathElement,
  before: readonly unknown[],
  after: readonly unknown[],
  out: Outcome,
): void {
  if (before.length <= 1 && after.length <= 1) compareChild(list.element, element, before[0], after[0], out);
  else if (before.length >= 2 && after.length >= 2) {
    if (!jsonEqual(before, after)) addItself('changed', element, out);
  } else if (before.length >= 2) {
    if (after.length > 0) compareChild(list.element, element, undefined, after[0], out);
    addItself('removed', element, out);
  } else {
    if (before.length > 0) compareChild(list.element, element, before[0], undefined, out);
    addItself('changed', element, out);
  }
}

function addItself(kind: 'changed' | 'removed', element: PathElement, out: Outcome): void {
  const set = (out[kind] ??= {});
  set[element] = set[element] === undefined ? LEAF : nodeOf({ [SELF]: LEAF, ...set[element] });
}

function sameShape(a: FieldType, b: FieldType): boolean {
  return a.map === b.map && a.scalar === b.scalar && a.list === b.list;
}

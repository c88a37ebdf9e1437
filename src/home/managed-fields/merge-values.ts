import { isJsonObject, setMember } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { memberType } from './field-type.ts';
import type { FieldType, ListType, MapType } from './field-type.ts';
import { itemElement, typeFor } from './list-items.ts';
import type { PathElement } from './path-element.ts';

/**
 * The live object with an applied configuration merged into it: leaves and atomic values are the configuration's, and
 * nothing is removed. Both must fit the type (structured-merge-diff, `Merge`).
 */
export function mergeValues(type: FieldType, live: object, configuration: object): JsonObject {
  return mergeValue(type, live, configuration) as JsonObject;
}

/** `undefined` is absent, as opposed to `null`. */
function mergeValue(type: FieldType, live: unknown, applied: unknown): unknown {
  if (applied === undefined) return live;
  const { map, scalar, list } = typeFor(type, applied);
  if (map !== undefined && !map.atomic) {
    if (!isFilled(live) && !isFilled(applied)) return applied;
    return mergeMaps(map, live, applied);
  }
  if (map !== undefined || scalar !== undefined || list === undefined || list.atomic) return applied;
  const liveItems: readonly unknown[] = Array.isArray(live) ? live : [];
  const appliedItems: readonly unknown[] = Array.isArray(applied) ? applied : [];
  return liveItems.length === 0 && appliedItems.length === 0 ? applied : mergeLists(list, liveItems, appliedItems);
}

function isFilled(value: unknown): boolean {
  return isJsonObject(value) && Object.keys(value).length > 0;
}

function mergeMaps(map: MapType, live: unknown, applied: unknown): JsonObject {
  const result: JsonObject = isJsonObject(live) ? { ...live } : {};
  if (!isJsonObject(applied)) return result;
  for (const [name, value] of Object.entries(applied)) {
    const type = memberType(map, name);
    const before = Object.hasOwn(result, name) ? result[name] : undefined;
    setMember(result, name, type === undefined ? value : mergeValue(type, before, value));
  }
  return result;
}

/**
 * The items of both lists. Those that only the live list has keep their place before the item that followed them; the
 * common and the new ones come in the order of the configuration.
 */
function mergeLists(list: ListType, live: readonly unknown[], applied: readonly unknown[]): unknown[] {
  const liveElements = live.map((item) => itemElement(list, item));
  const appliedElements = applied.map((item) => itemElement(list, item));
  const liveByElement = itemsByElement(liveElements, live);
  const appliedByElement = itemsByElement(appliedElements, applied);
  const shared = appliedElements.filter((element) => liveByElement.has(element));
  let nextShared = shared.shift();
  const merged = new Set<PathElement>();
  const result: unknown[] = [];
  let left = 0;
  let right = 0;
  const takeApplied = (element: PathElement): void => {
    merged.add(element);
    result.push(mergeValue(list.element, liveByElement.get(element), appliedByElement.get(element)));
    right++;
  };
  while (left < liveElements.length || right < appliedElements.length) {
    const liveElement = liveElements[left];
    const appliedElement = appliedElements[right];
    if (liveElement !== undefined && appliedElement !== undefined) {
      if (liveElement === appliedElement) {
        takeApplied(appliedElement);
        left++;
        nextShared = shared.shift();
        continue;
      }
      if (appliedByElement.has(liveElement) && nextShared !== undefined && nextShared !== liveElement) {
        // Shared, but not the one whose turn it is.
        left++;
        continue;
      }
    }
    if (liveElement !== undefined) {
      if (!appliedByElement.has(liveElement)) {
        result.push(live[left]);
        left++;
        continue;
      }
      if (merged.has(liveElement)) left++;
    }
    if (appliedElement !== undefined) {
      takeApplied(appliedElement);
      if (nextShared === appliedElement) nextShared = shared.shift();
    }
  }
  return result;
}

/** An element that occurs twice among the live items is not merged but replaced: it maps to `null`. */
function itemsByElement(elements: readonly PathElement[], items: readonly unknown[]): Map<PathElement, unknown> {
  const found = new Map<PathElement, unknown>();
  elements.forEach((element, index) => found.set(element, found.has(element) ? null : items[index]));
  return found;
}

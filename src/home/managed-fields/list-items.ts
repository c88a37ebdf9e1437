import { isJsonObject } from '../json.ts';
import type { FieldType, ListType } from './field-type.ts';
import { keyElement, singleKeyElement, valueElement } from './path-element.ts';
import type { PathElement } from './path-element.ts';

/** What of a type applies to a value: `null` and what fits nowhere leave the type as it is. */
export function typeFor(type: FieldType, value: unknown): FieldType {
  const { map, scalar, list } = type;
  if (value === null || value === undefined || (list === undefined && (map === undefined || scalar === undefined))) {
    return type;
  }
  if (Array.isArray(value)) return list === undefined ? type : { list };
  if (typeof value === 'object') return map === undefined ? type : { map };
  return scalar === undefined ? type : { scalar };
}

/**
 * The path element of an item in a list map or a set.
 *
 * @throws TypeError with the API server's words when the item cannot be addressed.
 */
export function itemElement(list: ListType, item: unknown): PathElement {
  return list.keys.length > 0 ? keyedItemElement(list, item) : setItemElement(item);
}

/** The same, or `undefined`. */
export function itemElementOrNone(list: ListType, item: unknown): PathElement | undefined {
  try {
    return itemElement(list, item);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function keyedItemElement(list: ListType, item: unknown): PathElement {
  if (item === null) throw new TypeError('associative list with keys may not have a null element');
  if (!isJsonObject(item)) throw new TypeError('associative list with keys may not have non-map elements');
  const [first] = list.keys;
  if (list.keys.length === 1 && first !== undefined && item[first.name] !== undefined) {
    return singleKeyElement(first.name, item[first.name]);
  }
  const keys: Record<string, unknown> = {};
  let found = 0;
  for (const key of list.keys) {
    const value = item[key.name] === undefined ? key.default : item[key.name];
    if (value === undefined) continue;
    keys[key.name] = value;
    found++;
  }
  if (found === 0) {
    const names = list.keys.map(({ name }) => JSON.stringify(name)).join(' ');
    throw new TypeError(
      `associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`,
    );
  }
  return keyElement(keys);
}

function setItemElement(item: unknown): PathElement {
  if (item === null) throw new TypeError("associative list without keys has an element that's an explicit null");
  if (Array.isArray(item)) throw new TypeError('not supported: associative list with lists as elements');
  if (isJsonObject(item)) throw new TypeError("associative list without keys has an element that's a map type");
  return valueElement(item);
}

import type { ResourceType } from '../api/meta.ts';
import { badRequest } from './api-messages.ts';
import { isJsonObject, jsonCopy, jsonEqual, setMember } from './json.ts';
import type { JsonObject } from './json.ts';

/**
 * How the lists of the core kinds served here are merged (`patchStrategy` and `patchMergeKey` in their Go types): by a
 * key, or, as `set`, as sets of plain values. Every other list is replaced whole.
 */
const MERGED_LISTS: Readonly<Record<string, string>> = {
  'metadata.finalizers': 'set',
  'metadata.ownerReferences': 'uid',
  'Namespace status.conditions': 'type',
};

const DELETE_FROM = '$deleteFromPrimitiveList/';
const SET_ORDER = '$setElementOrder/';

/**
 * A strategic merge patch, as kubectl makes them for core kinds. `object` is left as it is.
 *
 * https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 *
 * @throws ApiError `BadRequest` on directives that make no sense.
 */
export function strategicMerge(type: ResourceType, object: unknown, patch: JsonObject): unknown {
  return mergeObject(type.kind, isJsonObject(object) ? object : {}, patch, []);
}

function mergeObject(kind: string, object: JsonObject, patch: JsonObject, path: readonly string[]): JsonObject {
  const { $patch: directive } = patch;
  if (directive === 'delete') return {};
  if (directive === 'replace') {
    const { $patch: _directive, ...rest } = patch;
    return jsonCopy(rest);
  }
  if (directive !== undefined && directive !== 'merge') {
    throw badRequest(`Unknown patch type: ${JSON.stringify(directive)}`);
  }
  let result: JsonObject = { ...object };
  if ('$retainKeys' in patch) {
    const retained = new Set(listOf(patch['$retainKeys'], '$retainKeys'));
    result = Object.fromEntries(Object.entries(result).filter(([key]) => retained.has(key)));
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch' || key === '$retainKeys' || key.startsWith(SET_ORDER)) continue;
    if (key.startsWith(DELETE_FROM)) {
      const field = key.slice(DELETE_FROM.length);
      const unwanted = listOf(value, key);
      if (Array.isArray(result[field])) {
        result[field] = result[field].filter((item) => !unwanted.some((other) => jsonEqual(item, other)));
      }
    } else if (value === null) {
      Reflect.deleteProperty(result, key);
    } else {
      const old = Object.hasOwn(result, key) ? result[key] : undefined;
      setMember(result, key, mergeValue(kind, old, value, [...path, key]));
    }
  }
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith(SET_ORDER)) continue;
    const field = key.slice(SET_ORDER.length);
    const items = result[field];
    if (Array.isArray(items)) result[field] = inOrder(items, listOf(value, key), strategyOf(kind, [...path, field]));
  }
  return result;
}

function mergeValue(kind: string, old: unknown, value: unknown, path: readonly string[]): unknown {
  if (isJsonObject(value)) return mergeObject(kind, isJsonObject(old) ? old : {}, value, path);
  if (!Array.isArray(value)) return value;
  const strategy = strategyOf(kind, path);
  if (strategy === undefined || !Array.isArray(old)) return withoutDirectives(kind, value, path);
  return strategy === 'set' ? mergeSet(old, value) : mergeByKey(kind, old, value, strategy, path);
}

function strategyOf(kind: string, path: readonly string[]): string | undefined {
  const place = path.join('.');
  return MERGED_LISTS[place] ?? MERGED_LISTS[`${kind} ${place}`];
}

function mergeSet(old: readonly unknown[], value: readonly unknown[]): unknown[] {
  return [...old, ...value.filter((item) => !old.some((other) => jsonEqual(item, other)))];
}

function mergeByKey(
  kind: string,
  old: readonly unknown[],
  value: readonly unknown[],
  key: string,
  path: readonly string[],
): unknown[] {
  const replaces = value.some((item) => isJsonObject(item) && item['$patch'] === 'replace');
  if (replaces) return withoutDirectives(kind, value, path);
  const result = [...old];
  for (const item of value) {
    if (!isJsonObject(item) || item[key] === undefined) {
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    }
    const at = result.findIndex((other) => isJsonObject(other) && jsonEqual(other[key], item[key]));
    if (item['$patch'] === 'delete') {
      if (at !== -1) result.splice(at, 1);
    } else if (at === -1) result.push(mergeObject(kind, {}, item, path));
    else result[at] = mergeObject(kind, result[at] as JsonObject, item, path);
  }
  return result;
}

/** What there was nothing to merge with: the values, without what only steers a merge. */
function withoutDirectives(kind: string, value: readonly unknown[], path: readonly string[]): unknown[] {
  return value
    .filter((item) => !isJsonObject(item) || !['replace', 'delete'].includes(String(item['$patch'])))
    .map((item) => (isJsonObject(item) ? mergeObject(kind, {}, item, path) : jsonCopy(item)));
}

/** The items in the order that the patch gives; what it does not name keeps its place behind them. */
function inOrder(items: readonly unknown[], order: readonly unknown[], strategy: string | undefined): unknown[] {
  const keyOf = (item: unknown): unknown =>
    strategy !== undefined && strategy !== 'set' && isJsonObject(item) ? item[strategy] : item;
  const wanted = order.map(keyOf);
  const rank = (item: unknown): number => {
    const at = wanted.findIndex((key) => jsonEqual(key, keyOf(item)));
    return at === -1 ? wanted.length : at;
  };
  return items.toSorted((a, b) => rank(a) - rank(b));
}

function listOf(value: unknown, directive: string): readonly unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  throw badRequest(`${directive} must be a list`);
}

import { memberShape, shapeOf } from './schema-shape.ts';
import type { Shape } from './schema-shape.ts';
import type { OpenApiSchema } from './schema/crd.ts';

/** What the API server makes of an object by its structural schema before it checks it. */

type JsonObject = Record<string, unknown>;

/** Such as `spec.addons[0].name`. */
export function childField(field: string, key: string | number): string {
  if (typeof key === 'number') return `${field}[${String(key)}]`;
  return field === '' ? key : `${field}.${key}`;
}

/** A member that the schema does not know, and where it is. */
export interface UnknownMember {
  readonly field: string;
  readonly holder: JsonObject;
  readonly name: string;
}

/** What the schema does not know of an object, in the order of the alphabet. `metadata` is looked at elsewhere. */
export function unknownMembers(schema: OpenApiSchema, object: JsonObject): UnknownMember[] {
  const unknown: UnknownMember[] = [];
  const { properties } = shapeOf(schema);
  for (const name of Object.keys(object)) {
    if (name === 'apiVersion' || name === 'kind' || name === 'metadata') continue;
    const child = properties.get(name);
    if (child === undefined) unknown.push({ field: name, holder: object, name });
    else if (!knowsAll(child, object[name])) collectUnknown(child, object[name], name, unknown);
  }
  return unknown.sort((a, b) => (a.field < b.field ? -1 : 1));
}

/** The common case, without a thought for what to call each field. */
function knowsAll(shape: Shape | undefined, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (!knowsAll(shape?.items, item)) return false;
    return true;
  }
  for (const [name, member] of Object.entries(value)) {
    const child = shape && memberShape(shape, name);
    if (child === undefined || !knowsAll(child, member)) return false;
  }
  return true;
}

function collectUnknown(shape: Shape | undefined, value: unknown, field: string, unknown: UnknownMember[]): void {
  if (Array.isArray(value)) {
    value.forEach((item, index) => collectUnknown(shape?.items, item, childField(field, index), unknown));
    return;
  }
  if (!isObject(value)) return;
  for (const name of Object.keys(value)) {
    const child = shape && memberShape(shape, name);
    const at = childField(field, name);
    if (child === undefined) unknown.push({ field: at, holder: value, name });
    else collectUnknown(child, value[name], at, unknown);
  }
}

export function dropUnknown(unknown: readonly UnknownMember[]): void {
  for (const { holder, name } of unknown) Reflect.deleteProperty(holder, name);
}

/**
 * Fills in defaults, at every depth. `null` for what is not nullable is as good as absent; with `keepNulls` only where
 * there is a default to stand in for it.
 *
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting-and-nullable
 */
export function fillDefaults(schema: OpenApiSchema, value: unknown, keepNulls = false): void {
  fill(shapeOf(schema), value, keepNulls);
}

function fill(shape: Shape, value: unknown, keepNulls: boolean): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    if (shape.items !== undefined) for (const item of value) fill(shape.items, item, keepNulls);
    return;
  }
  const object = value as JsonObject;
  for (const name of Object.keys(object)) {
    const child = memberShape(shape, name);
    if (child === undefined) continue;
    if (object[name] !== null) fill(child, object[name], keepNulls);
    else if (child.schema.nullable !== true && (!keepNulls || child.schema.default !== undefined)) {
      Reflect.deleteProperty(object, name);
    }
  }
  for (const [name, property] of shape.defaults) {
    if (Object.hasOwn(object, name)) continue;
    object[name] = structuredClone(property.schema.default);
    fill(property, object[name], keepNulls);
  }
}

/** The schema of one member of an object, whether it is a property or an entry of a map. */
export function memberSchema(schema: OpenApiSchema, name: string): OpenApiSchema | undefined {
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, name)) return schema.properties[name];
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

/** The schema at a field's path, or `undefined` where the schema does not reach. */
export function schemaAt(schema: OpenApiSchema, path: readonly (string | number)[]): OpenApiSchema | undefined {
  let node: OpenApiSchema | undefined = schema;
  for (const key of path) {
    if (node === undefined) return undefined;
    node = typeof key === 'number' ? node.items : memberSchema(node, key);
  }
  return node;
}

/** The part of `old` that a part of its successor stands for, where that can be told. */
export function counterpart(schema: OpenApiSchema, value: unknown, old: unknown, key: string | number): unknown {
  if (typeof key === 'string') return isObject(old) && Object.hasOwn(old, key) ? old[key] : undefined;
  return Array.isArray(value) ? itemCounterparts(schema, old)(value[key]) : undefined;
}

/**
 * Finds for each item of a list the one of the `old` list that it stands for: entries of a `map` list go by their keys,
 * those of other lists have no identity.
 */
export function itemCounterparts(schema: OpenApiSchema, old: unknown): (item: unknown) => unknown {
  if (schema['x-kubernetes-list-type'] !== 'map' || !Array.isArray(old)) return () => undefined;
  const byKey = new Map<string, unknown>();
  for (const item of old) {
    const key = listKey(schema, item);
    if (!byKey.has(key)) byKey.set(key, item);
  }
  return (item) => byKey.get(listKey(schema, item));
}

/** What tells an entry of a `map` or `set` list from the others, as JSON. */
export function listKey(schema: OpenApiSchema, item: unknown): string {
  if (schema['x-kubernetes-list-type'] !== 'map') return JSON.stringify(item);
  let members = '';
  for (const key of schema['x-kubernetes-list-map-keys'] ?? []) {
    const value = isObject(item) ? item[key] : undefined;
    if (value === undefined) continue;
    members += `${members === '' ? '' : ','}${JSON.stringify(key)}:${JSON.stringify(value)}`;
  }
  return `{${members}}`;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

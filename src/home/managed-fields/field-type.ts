import type { OpenApiSchema } from '../../api/schema/crd.ts';

/**
 * How the values of a field are merged and owned, as far as a schema says: what structured-merge-diff calls an atom. A
 * field of several types (free-form content) has more than one part.
 */
export interface FieldType {
  readonly scalar?: ScalarType;
  readonly list?: ListType;
  readonly map?: MapType;
}

export type ScalarType = 'string' | 'numeric' | 'boolean' | 'untyped';

export interface ListType {
  /** Owned as a whole. */
  readonly atomic: boolean;
  /** What tells the items of a list map apart, by name; without any, the list is a set of scalars. */
  readonly keys: readonly ListKey[];
  readonly element: FieldType;
}

export interface ListKey {
  readonly name: string;
  /** Stands in for a key that an item does not have. */
  readonly default?: unknown;
}

export interface MapType {
  /** Owned as a whole. */
  readonly atomic: boolean;
  readonly fields: ReadonlyMap<string, FieldType>;
  /** Of what is not among the fields; without it nothing else may be there. */
  readonly element?: FieldType;
}

/** Free-form content that is owned as a whole. */
export const UNTYPED: FieldType = selfContaining((self) => ({
  scalar: 'untyped',
  list: { atomic: true, keys: [], element: self },
  map: { atomic: true, fields: new Map(), element: self },
}));

/** Free-form content whose maps are owned field by field, and whose lists are owned as a whole. */
export const DEDUCED: FieldType = selfContaining((self) => ({
  scalar: 'untyped',
  list: { atomic: true, keys: [], element: UNTYPED },
  map: { atomic: false, fields: new Map(), element: self },
}));

/** The type of one member of a map, or `undefined` where the schema knows no such member. */
export function memberType(map: MapType, name: string): FieldType | undefined {
  return map.fields.get(name) ?? map.element;
}

export function struct(fields: Readonly<Record<string, FieldType>>, atomic = false): FieldType {
  return { map: { atomic, fields: new Map(Object.entries(fields)) } };
}

export function mapOf(element: FieldType): FieldType {
  return { map: { atomic: false, fields: new Map(), element } };
}

export const STRING: FieldType = { scalar: 'string' };
export const NUMBER: FieldType = { scalar: 'numeric' };
export const BOOLEAN: FieldType = { scalar: 'boolean' };
/** Of times: `null` and any scalar pass. */
export const SCALAR: FieldType = { scalar: 'untyped' };

export function setOf(element: FieldType): FieldType {
  return { list: { atomic: false, keys: [], element } };
}

export function listMapOf(key: string, element: FieldType): FieldType {
  return { list: { atomic: false, keys: [{ name: key }], element } };
}

export function atomicListOf(element: FieldType): FieldType {
  return { list: { atomic: true, keys: [], element } };
}

/** Words of a structural schema beyond those that our own CRDs use. */
interface Extensions {
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-map-type'?: 'granular' | 'atomic';
}

/** The type that the API server derives from a structural schema (kube-openapi, `schemaconv`). */
export function fieldTypeOfSchema(schema: OpenApiSchema & Extensions, preserving = false): FieldType {
  const preserves = preserving || schema['x-kubernetes-preserve-unknown-fields'] === true;
  switch (schema.type) {
    case undefined:
      return { scalar: 'untyped', list: listOfSchema(schema, preserves), map: mapOfSchema(schema, preserves) };
    case 'object':
      return { map: mapOfSchema(schema, preserves) };
    case 'array':
      return { list: listOfSchema(schema, preserves) };
    case 'boolean':
      return BOOLEAN;
    case 'string':
      return schema.format === undefined || schema.format === 'byte' ? STRING : SCALAR;
    default:
      return NUMBER;
  }
}

function mapOfSchema(schema: OpenApiSchema & Extensions, preserves: boolean): MapType {
  const fields = new Map<string, FieldType>();
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    fields.set(name, fieldTypeOfSchema(member, preserves));
  }
  const { additionalProperties } = schema;
  let element: FieldType | undefined;
  if (typeof additionalProperties === 'object') element = fieldTypeOfSchema(additionalProperties, preserves);
  else if (additionalProperties ?? (preserves || fields.size === 0)) element = DEDUCED;
  return { atomic: schema['x-kubernetes-map-type'] === 'atomic', fields, ...(element && { element }) };
}

function listOfSchema(schema: OpenApiSchema, preserves: boolean): ListType {
  const kind = schema['x-kubernetes-list-type'] ?? 'atomic';
  const names = kind === 'map' ? (schema['x-kubernetes-list-map-keys'] ?? []) : [];
  return {
    atomic: kind === 'atomic',
    keys: names.map((name) => {
      const standIn = schema.items?.properties?.[name]?.default;
      return standIn === undefined ? { name } : { name, default: standIn };
    }),
    element: schema.items === undefined ? UNTYPED : fieldTypeOfSchema(schema.items, preserves),
  };
}

function selfContaining(make: (self: FieldType) => FieldType): FieldType {
  const self: FieldType = {};
  return Object.assign(self, make(self));
}

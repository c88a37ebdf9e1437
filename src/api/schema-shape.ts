import type { OpenApiSchema } from './schema/crd.ts';

/** A node of a structural schema as the walks over each written object need it: worked out once, not at every visit. */
export interface Shape {
  readonly schema: OpenApiSchema;
  readonly properties: ReadonlyMap<string, Shape>;
  /** Of what is no property, where the node is a map. */
  readonly entry: Shape | undefined;
  readonly items: Shape | undefined;
  /** The properties that have a default. */
  readonly defaults: readonly (readonly [name: string, property: Shape])[];
  readonly rules: readonly Rule[];
  /** Whether there are rules here or below, and whether one of them is about a change. */
  readonly hasRules: boolean;
  readonly hasChangeRules: boolean;
  /** Whether this, or something below, is a list whose entries must differ. */
  readonly hasKeyedLists: boolean;
}

/** A CEL rule. */
interface Rule {
  readonly rule: string;
  readonly message: string;
  /** It names `oldSelf`. */
  readonly aboutChange: boolean;
}

const shapes = new WeakMap<OpenApiSchema, Shape>();

export function shapeOf(schema: OpenApiSchema): Shape {
  let shape = shapes.get(schema);
  if (shape === undefined) {
    shape = compile(schema);
    shapes.set(schema, shape);
  }
  return shape;
}

function compile(schema: OpenApiSchema): Shape {
  const { additionalProperties } = schema;
  const properties = new Map(Object.entries(schema.properties ?? {}).map(([name, child]) => [name, shapeOf(child)]));
  const entry = typeof additionalProperties === 'object' ? shapeOf(additionalProperties) : undefined;
  const items = schema.items === undefined ? undefined : shapeOf(schema.items);
  const rules = (schema['x-kubernetes-validations'] ?? []).map(({ rule, message }) => ({
    rule,
    message,
    aboutChange: /\boldSelf\b/.test(rule),
  }));
  const below = [...properties.values(), entry, items].filter((shape) => shape !== undefined);
  return {
    schema,
    properties,
    entry,
    items,
    defaults: [...properties].filter(([, property]) => property.schema.default !== undefined),
    rules,
    hasRules: rules.length > 0 || below.some(({ hasRules }) => hasRules),
    hasChangeRules: rules.some(({ aboutChange }) => aboutChange) || below.some((shape) => shape.hasChangeRules),
    hasKeyedLists: isKeyedList(schema) || below.some((shape) => shape.hasKeyedLists),
  };
}

/** Whether the entries of a list must differ: in their keys, or in themselves. */
export function isKeyedList(schema: OpenApiSchema): boolean {
  const kind = schema['x-kubernetes-list-type'];
  return kind === 'map' || kind === 'set';
}

/** The shape of one member of an object, whether it is a property or an entry of a map. */
export function memberShape(shape: Shape, name: string): Shape | undefined {
  return shape.properties.get(name) ?? shape.entry;
}

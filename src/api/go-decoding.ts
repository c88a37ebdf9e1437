import { goStructs } from './core-schemas.ts';
import { base64Problem, timeProblem } from './go-values.ts';
import type { OpenApiSchema } from './schema/crd.ts';
import { childField } from './structural.ts';
import { goQuote } from './violation.ts';

/** JSON that does not fit the Go struct it is for, in the words of Go's `encoding/json`. */
export class GoDecodeError extends Error {}

interface Place {
  /** The innermost Go struct around, such as `ObjectMeta`. */
  readonly struct: string;
  /** The field as Go's decoder names it: without positions in lists. */
  readonly goField: string;
  /** The field as Kubernetes names it, with positions. */
  readonly field: string;
  readonly kind: string;
  readonly unknown: string[];
}

/**
 * Reads JSON into what a Go struct would hold of it: unknown members are left out, `null` is the zero value, base64 is
 * written in its canonical form. The schema's defaults stand for fields that are shown even when empty.
 *
 * @param start - the struct, its kind, and the field it stands at, as Go and as Kubernetes write it.
 * @returns the value, and the unknown fields in the order of the text.
 * @throws GoDecodeError at the first value of a wrong type.
 */
export function decodeStruct(
  schema: OpenApiSchema,
  value: unknown,
  start: { readonly struct: string; readonly kind: string; readonly goField?: string; readonly field?: string },
): { value: Record<string, unknown>; unknown: string[] } {
  const unknown: string[] = [];
  const { struct, kind, goField = '', field = '' } = start;
  const decoded = decode(schema, value, { struct, kind, goField, field, unknown });
  return { value: decoded as Record<string, unknown>, unknown };
}

function decode(schema: OpenApiSchema, value: unknown, place: Place): unknown {
  switch (schema.type) {
    case 'object':
      if (!isObject(value)) throw mismatch(schema, value, place);
      if (schema['x-kubernetes-preserve-unknown-fields'] === true) return value;
      return schema.properties === undefined ? decodeMap(schema, value, place) : decodeMembers(schema, value, place);
    case 'array':
      if (!Array.isArray(value)) throw mismatch(schema, value, place);
      return value.map((item: unknown, index) =>
        item === null
          ? zeroOf(schema.items)
          : decode(schema.items ?? {}, item, { ...place, field: childField(place.field, index) }),
      );
    case 'string':
      if (typeof value !== 'string') throw mismatch(schema, value, place);
      return decodeString(schema.format, value);
    case 'integer':
      if (typeof value !== 'number') throw mismatch(schema, value, place);
      if (!Number.isInteger(value) || Math.abs(value) >= (schema.format === 'int32' ? 2 ** 31 : 2 ** 63)) {
        throw mismatch(schema, value, place, ` ${String(value)}`);
      }
      return value;
    default:
      if (typeof value !== schema.type) throw mismatch(schema, value, place);
      return value;
  }
}

function decodeMembers(schema: OpenApiSchema, value: Record<string, unknown>, place: Place): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const field = childField(place.field, name);
    const child = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
    if (child === undefined) {
      place.unknown.push(field);
      continue;
    }
    if (member === null) continue;
    const goField = childField(place.goField, name);
    const struct = hasMembers(child) ? structOf(name, place.kind) : place.struct;
    out[name] = decode(child, member, { ...place, struct, goField, field });
  }
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    if (child.default !== undefined && !Object.hasOwn(out, name)) out[name] = structuredClone(child.default);
  }
  return out;
}

function decodeMap(schema: OpenApiSchema, value: Record<string, unknown>, place: Place): Record<string, unknown> {
  const child = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
  // `__proto__` is a key like any other.
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, member === null ? zeroOf(child) : decode(child, member, place)]),
  );
}

function hasMembers(schema: OpenApiSchema): boolean {
  return schema.properties !== undefined || schema.items?.properties !== undefined;
}

function structOf(name: string, kind: string): string {
  return goStructs[name] ?? `${kind}${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}

function zeroOf(schema: OpenApiSchema | undefined): unknown {
  return schema?.type === 'string' ? '' : schema?.type === 'array' ? [] : {};
}

function decodeString(format: string | undefined, value: string): string {
  const problem =
    format === 'byte'
      ? base64Problem(value)
      : format === 'date-time' || format === 'micro-time'
        ? timeProblem(value, format)
        : undefined;
  if (problem !== undefined) throw new GoDecodeError(problem);
  return format === 'byte' ? Buffer.from(value, 'base64').toString('base64') : value;
}

function mismatch(schema: OpenApiSchema, value: unknown, place: Place, shown = ''): GoDecodeError {
  const field = place.goField === '' ? place.struct : `${place.struct}.${place.goField}`;
  // A struct inside a list is the field of the struct around the list.
  const holder = schema.properties === undefined ? field : `${holderOf(place)}.${place.goField}`;
  const what = `${jsonKind(value)}${shown}`;
  const wanted = goType(schema, place.goField, place.kind);
  return new GoDecodeError(`json: cannot unmarshal ${what} into Go struct field ${holder} of type ${wanted}`);
}

function holderOf(place: Place): string {
  return place.struct === 'OwnerReference' || place.struct === 'ManagedFieldsEntry' ? 'ObjectMeta' : place.kind;
}

function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

function goType(schema: OpenApiSchema, goField: string, kind: string): string {
  switch (schema.type) {
    case 'boolean':
      return 'bool';
    case 'integer':
      return schema.format ?? 'int64';
    case 'array':
      return `[]${goType(schema.items ?? {}, goField, kind)}`;
    case 'object':
      if (typeof schema.additionalProperties === 'object') {
        return `map[string]${goType(schema.additionalProperties, goField, kind)}`;
      }
      return `v1.${structOf(goField.slice(goField.lastIndexOf('.') + 1), kind)}`;
    default:
      return schema.format === 'byte' ? '[]uint8' : 'string';
  }
}

/** The problem as a `400 BadRequest` tells it. */
export function strictProblem(problems: readonly string[]): string {
  return `strict decoding error: ${problems.join(', ')}`;
}

export function unknownField(field: string): string {
  return `unknown field ${goQuote(field)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { Ajv } from 'ajv';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { isDeepStrictEqual } from 'node:util';
import { schemaOf } from './crds.ts';
import { base64Problem, timeProblem } from './go-values.ts';
import type { KubeObject, ResourceType } from './meta.ts';
import { isKeyedList, memberShape, shapeOf } from './schema-shape.ts';
import type { Shape } from './schema-shape.ts';
import type { OpenApiSchema } from './schema/crd.ts';
import { childField, counterpart, itemCounterparts, listKey, schemaAt } from './structural.ts';
import { invalidValue, required, show, tooLong } from './violation.ts';
import type { Violation } from './violation.ts';

export type { Violation } from './violation.ts';

export type Path = readonly (string | number)[];

/** What ajv found, with where. */
export interface SchemaError {
  readonly error: ErrorObject;
  readonly path: Path;
}

/**
 * Checks a custom resource against the schema of its kind, as an API server with the same CRD does: types, bounds and
 * the uniqueness of list entries. CEL rules come after it (`ruleViolations`).
 *
 * @param part - `status` for a write of the status, which is then all that is looked at.
 * @param old - what the object replaces: what an update leaves as it was is not checked again.
 */
export function schemaViolations(
  type: Pick<ResourceType, 'group' | 'kind'>,
  object: KubeObject,
  old: KubeObject | undefined,
  part: 'all' | 'status',
): Violation[] {
  const schema = schemaOfPart(type, part);
  if (schema === undefined) return [];
  const root = part === 'status' ? 'status' : '';
  const value: unknown = part === 'status' ? object.status : object;
  const before: unknown = part === 'status' ? old?.status : old;
  if (value === undefined || value === before) return [];
  const found: Violation[] = [];
  const shortened = new Set<string>();
  const looked = part === 'status' ? value : withoutKnownStatus(object, old);
  for (const { error, path } of schemaErrors(`${type.kind}/${part}`, schema, looked)) {
    if (old !== undefined && unchanged(schema, value, before, path)) continue;
    // The API server stops at the first thing that is wrong with a string.
    if (['minLength', 'maxLength', 'pattern'].includes(error.keyword)) {
      if (shortened.has(error.instancePath)) continue;
      shortened.add(error.instancePath);
    }
    found.push(...worded(error, fieldOf(path), root));
  }
  return [...found, ...duplicates(schema, value, before, root)];
}

function schemaOfPart(type: Pick<ResourceType, 'group' | 'kind'>, part: 'all' | 'status'): OpenApiSchema | undefined {
  const whole = schemaOf(type);
  return part === 'status' ? whole && (whole.properties?.['status'] ?? {}) : whole;
}

/** Compiles what checks a kind, so that its first object need not wait for that: a large schema takes a fifth of a second. */
export function prepareValidation(type: Pick<ResourceType, 'group' | 'kind'>): void {
  for (const part of ['all', 'status'] as const) {
    const schema = schemaOfPart(type, part);
    if (schema !== undefined) validatorFor(`${type.kind}/${part}`, schema);
  }
}

/** Without the status where it is as it was: that is often the larger part of an object, and needs no second look. */
function withoutKnownStatus(object: KubeObject, old: KubeObject | undefined): KubeObject {
  const known = object.status !== undefined && object.status === old?.status;
  return known ? { ...object, status: undefined } : object;
}

const validators = new Map<string, ValidateFunction>();
let ajv: Ajv | undefined;

function validatorFor(id: string, schema: OpenApiSchema): ValidateFunction {
  let check = validators.get(id);
  if (check === undefined) {
    ajv ??= createAjv();
    check = ajv.compile(schema);
    validators.set(id, check);
  }
  return check;
}

/** What ajv has to say about a value; `id` names the schema. */
export function schemaErrors(id: string, schema: OpenApiSchema, value: unknown): SchemaError[] {
  const check = validatorFor(id, schema);
  if (check(value)) return [];
  return inOrder((check.errors ?? []).map((error) => ({ error, path: pathOf(error.instancePath, value) })));
}

/** What is missing from an object comes after what is wrong inside it, and formats before bounds, as in kube-openapi. */
function inOrder(errors: readonly SchemaError[]): SchemaError[] {
  const out: SchemaError[] = [];
  const held: { readonly path: Path; readonly missing: SchemaError[] }[] = [];
  for (const found of errors) {
    const { error, path } = found;
    while (held.length > 0 && held.at(-1)?.path.some((key, depth) => key !== path[depth]) === true) {
      out.push(...(held.pop()?.missing ?? []));
    }
    const last = held.at(-1);
    if (error.keyword !== 'required') {
      const before =
        error.keyword === 'format' ? out.findIndex((other) => other.error.instancePath === error.instancePath) : -1;
      out.splice(before === -1 ? out.length : before, 0, found);
    } else if (last?.path.length === path.length) last.missing.push(found);
    else held.push({ path, missing: [found] });
  }
  return [...out, ...held.reverse().flatMap(({ missing }) => missing)];
}

function createAjv(): Ajv {
  const instance = new Ajv({ allErrors: true, strict: true, strictRequired: false, strictTypes: false, verbose: true });
  for (const keyword of [
    'x-kubernetes-validations',
    'x-kubernetes-list-type',
    'x-kubernetes-list-map-keys',
    'x-kubernetes-preserve-unknown-fields',
  ]) {
    instance.addKeyword(keyword);
  }
  instance.addFormat('int32', { type: 'number', validate: (n) => n >= -(2 ** 31) && n < 2 ** 31 });
  instance.addFormat('int64', { type: 'number', validate: fitsInt64 });
  instance.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
  // Of core kinds, in files: what reaches an API is decoded before.
  instance.addFormat('byte', (text) => base64Problem(text) === undefined);
  instance.addFormat('micro-time', (text) => timeProblem(text, 'micro-time') === undefined);
  return instance;
}

function fitsInt64(n: number): boolean {
  return n >= -(2 ** 63) && n < 2 ** 63;
}

function pathOf(pointer: string, value: unknown): Path {
  const path: (string | number)[] = [];
  let node = value;
  for (const raw of pointer.split('/').slice(1)) {
    const key = raw.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(node) ? Number(key) : key);
    node = (node as Record<string, unknown> | null)?.[key];
  }
  return path;
}

export function fieldOf(path: Path): string {
  return path.reduce<string>(childField, '');
}

/** Whether the value at the path, or something around it, is as it was. */
function unchanged(schema: OpenApiSchema, value: unknown, old: unknown, path: Path): boolean {
  let node = value;
  let before = old;
  for (let depth = 0; ; depth++) {
    if (before === undefined) return false;
    if (isDeepStrictEqual(node, before)) return true;
    const key = path[depth];
    const here = schemaAt(schema, path.slice(0, depth));
    if (key === undefined || here === undefined) return false;
    before = counterpart(here, node, before, key);
    node = (node as Record<string | number, unknown>)[key];
  }
}

/** An error in the words of kube-openapi (`pkg/validation/errors`) and apiextensions (`validation.go`). */
function worded(error: ErrorObject, path: string, root: string): Violation[] {
  const field = root === '' ? path || '<nil>' : path === '' ? root : `${root}.${path}`;
  const { keyword, data } = error;
  const limit = Number((error.params as { limit?: number }).limit);
  const inBody = (problem: string): Violation[] => [invalidValue(field, data, `${path} in body ${problem}`)];
  const wrongType = (wanted: string, shown: string): Violation => ({
    reason: 'FieldValueTypeInvalid',
    field,
    message: `Invalid value: ${shown}: ${path} in body must be of type ${wanted}: ${shown}`,
  });
  const format = (error.parentSchema as OpenApiSchema).format ?? '';
  const unfit = (): Violation =>
    invalidValue(root || '<nil>', '', `Checked value must be of type integer with format ${format} in ${path}`);
  switch (keyword) {
    case 'required':
      return [
        required(
          childField(field === '<nil>' ? '' : field, (error.params as { missingProperty: string }).missingProperty),
        ),
      ];
    case 'type': {
      const { type } = error.params as { type: string };
      if (type === 'integer' && typeof data === 'number') return [wrongType(format, '"float64"'), unfit()];
      return [wrongType(type, show(typeName(data)))];
    }
    case 'format':
      if (typeof data !== 'number') return [wrongType(format, show(data))];
      return fitsInt64(data) ? [unfit()] : [wrongType(format, '"float64"'), unfit()];
    case 'enum': {
      const allowed = (error.params as { allowedValues: unknown[] }).allowedValues.map(show).join(', ');
      const message = `Unsupported value: ${show(data)}: supported values: ${allowed}`;
      return [{ reason: 'FieldValueNotSupported', field, message }];
    }
    case 'maxLength':
      return [tooLong(field, limit)];
    case 'minLength':
      return inBody(`should be at least ${String(limit)} chars long`);
    case 'pattern':
      return inBody(`should match '${(error.params as { pattern: string }).pattern}'`);
    case 'minimum':
      return inBody(`should be greater than or equal to ${String(limit)}`);
    case 'maximum':
      return inBody(`should be less than or equal to ${String(limit)}`);
    case 'maxItems': {
      const count = (data as unknown[]).length;
      const message = `Too many: ${String(count)}: must have at most ${String(limit)} items`;
      return [{ reason: 'FieldValueTooMany', field, message }];
    }
    case 'minItems':
      return [
        invalidValue(field, (data as unknown[]).length, `${path} in body should have at least ${String(limit)} items`),
      ];
    default:
      return inBody(error.message ?? keyword);
  }
}

export function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

/** Entries of a `map` list must differ in their keys, those of a `set` in themselves; each double is told once. */
export function duplicates(schema: OpenApiSchema, value: unknown, old: unknown, field: string): Violation[] {
  const shape = shapeOf(schema);
  const found: Violation[] = [];
  // Most objects have none, and then it does not matter what there was before.
  if (hasDuplicates(shape, value, old)) collectDuplicates(shape, value, old, field, found);
  return found;
}

function hasDuplicates(shape: Shape, value: unknown, old: unknown): boolean {
  if (!shape.hasKeyedLists || value === old || typeof value !== 'object' || value === null) return false;
  if (!Array.isArray(value)) {
    return Object.entries(value).some(([name, member]) => {
      const child = memberShape(shape, name);
      return child !== undefined && hasDuplicates(child, member, counterpart(shape.schema, value, old, name));
    });
  }
  const { schema, items } = shape;
  if (isKeyedList(schema)) {
    const keys = new Set<string>();
    for (const item of value) keys.add(listKey(schema, item));
    if (keys.size < value.length) return true;
  }
  return items?.hasKeyedLists === true && value.some((item) => hasDuplicates(items, item, undefined));
}

function collectDuplicates(shape: Shape, value: unknown, old: unknown, field: string, found: Violation[]): void {
  if (typeof value !== 'object' || value === null) return;
  if (old !== undefined && isDeepStrictEqual(value, old)) return;
  const { schema, items } = shape;
  if (!Array.isArray(value)) {
    for (const [name, member] of Object.entries(value)) {
      const child = memberShape(shape, name);
      if (child === undefined) continue;
      collectDuplicates(child, member, counterpart(schema, value, old, name), childField(field, name), found);
    }
    return;
  }
  if (isKeyedList(schema)) {
    const seen = new Map<string, number>();
    value.forEach((item, index) => {
      const key = listKey(schema, item);
      const times = (seen.get(key) ?? 0) + 1;
      seen.set(key, times);
      if (times === 2) {
        const at = childField(field, index);
        found.push({ reason: 'FieldValueDuplicate', field: at, message: `Duplicate value: ${key}` });
      }
    });
  }
  if (items === undefined) return;
  const before = itemCounterparts(schema, old);
  value.forEach((item, index) => {
    collectDuplicates(items, item, before(item), childField(field, index), found);
  });
}

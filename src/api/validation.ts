import { Environment } from '@marcbachmann/cel-js';
import { Ajv } from 'ajv';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { coreSchemas, metadataSchema } from './core-schemas.ts';
import { schemaOf } from './crds.ts';
import type { KubeObject, ResourceType } from './meta.ts';
import { nearest } from './nearest.ts';
import type { OpenApiSchema } from './schema/crd.ts';

/** One thing that is wrong with an object, in the words of the Kubernetes API. */
export interface Violation {
  /** A Kubernetes cause type: `FieldValueRequired`, `FieldValueInvalid`, `FieldValueNotSupported`, … */
  readonly reason: string;
  /** Such as `spec.healthCheck.http.port` or `spec.addons[0].name`. */
  readonly field: string;
  readonly message: string;
}

/**
 * Fills in the defaults and checks an object against the schema and the CEL rules of its kind. `object` is changed in
 * place (defaults); `old` is what it replaces, for rules about changes.
 */
export function validate(
  type: Pick<ResourceType, 'group' | 'kind'>,
  object: KubeObject,
  old?: KubeObject,
): Violation[] {
  const schema = schemaOf(type) ?? coreSchemas[type.kind];
  if (schema === undefined) return [];
  const check = validatorOf(type.kind, schema);
  const violations = check(object) ? [] : (check.errors ?? []).flatMap((error) => violationOf(error, object));
  // CEL rules may rely on the types being right, as they do in the API server.
  return violations.length > 0 ? unique(violations) : celViolations(schema, object, old, '', 0);
}

const validators = new Map<string, ValidateFunction>();
let ajv: Ajv | undefined;

function validatorOf(kind: string, schema: OpenApiSchema): ValidateFunction {
  let found = validators.get(kind);
  if (found === undefined) {
    ajv ??= createAjv();
    const withMetadata = { ...schema, properties: { ...schema.properties, metadata: metadataSchema } };
    found = ajv.compile(closed(withMetadata));
    validators.set(kind, found);
  }
  return found;
}

function createAjv(): Ajv {
  const instance = new Ajv({
    allErrors: true,
    strict: true,
    strictRequired: false,
    strictTypes: false,
    useDefaults: true,
    verbose: true,
  });
  for (const keyword of [
    'x-kubernetes-validations',
    'x-kubernetes-list-type',
    'x-kubernetes-list-map-keys',
    'x-kubernetes-preserve-unknown-fields',
  ]) {
    instance.addKeyword(keyword);
  }
  instance.addFormat('int32', { type: 'number', validate: (n) => Number.isInteger(n) && Math.abs(n) <= 0x7fff_ffff });
  instance.addFormat('int64', { type: 'number', validate: (n) => Number.isSafeInteger(n) });
  instance.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
  return instance;
}

/** The schema with every object closed, so that an unknown field is an error instead of being dropped in silence. */
function closed(schema: OpenApiSchema): OpenApiSchema {
  const out: OpenApiSchema = { ...schema };
  if (schema.properties !== undefined) {
    out.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, child]) => [name, closed(child)]),
    );
    out.additionalProperties = false;
  } else if (typeof schema.additionalProperties === 'object') {
    out.additionalProperties = closed(schema.additionalProperties);
  }
  if (schema.items !== undefined) out.items = closed(schema.items);
  return out;
}

function violationOf(error: ErrorObject, object: KubeObject): Violation[] {
  const field = fieldOf(error.instancePath, object);
  const join = (name: string): string => (field === '' ? name : `${field}.${name}`);
  const shown = show(error.data);
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = String((error.params as { additionalProperty: string }).additionalProperty);
      const known = Object.keys((error.parentSchema as OpenApiSchema).properties ?? {});
      const guess = nearest(name, known);
      const hint = guess === undefined ? '' : `, did you mean "${guess}"?`;
      return [{ reason: 'FieldValueForbidden', field: join(name), message: `unknown field "${join(name)}"${hint}` }];
    }
    case 'required': {
      const name = String((error.params as { missingProperty: string }).missingProperty);
      return [{ reason: 'FieldValueRequired', field: join(name), message: 'Required value' }];
    }
    case 'enum': {
      const allowed = (error.params as { allowedValues: unknown[] }).allowedValues.map((v) => JSON.stringify(v));
      const guess =
        typeof error.data === 'string'
          ? nearest(
              error.data,
              allowed.map((v) => JSON.parse(v) as string),
            )
          : undefined;
      const hint = guess === undefined ? '' : `, did you mean "${guess}"?`;
      return [
        {
          reason: 'FieldValueNotSupported',
          field,
          message: `Unsupported value: ${shown}: supported values: ${allowed.join(', ')}${hint}`,
        },
      ];
    }
    case 'type': {
      const wanted = String((error.params as { type: string }).type);
      return [
        {
          reason: 'FieldValueTypeInvalid',
          field,
          message: `Invalid value: ${shown}: must be of type ${wanted}, not ${typeName(error.data)}`,
        },
      ];
    }
    case 'pattern': {
      const pattern = String((error.params as { pattern: string }).pattern);
      return [{ reason: 'FieldValueInvalid', field, message: `Invalid value: ${shown}: must match ${pattern}` }];
    }
    default:
      return [
        { reason: 'FieldValueInvalid', field, message: `Invalid value: ${shown}: ${error.message ?? error.keyword}` },
      ];
  }
}

/** ajv's JSON pointer as Kubernetes writes a field: dots, and brackets around positions. */
function fieldOf(pointer: string, object: unknown): string {
  let field = '';
  let node = object;
  for (const raw of pointer.split('/').slice(1)) {
    const part = raw.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(node)) {
      field += `[${part}]`;
      node = node[Number(part)] as unknown;
    } else {
      field += field === '' ? part : `.${part}`;
      node = (node as Record<string, unknown> | null)?.[part];
    }
  }
  return field;
}

function show(value: unknown): string {
  const json = value === undefined ? 'null' : JSON.stringify(value);
  return json.length > 80 ? `${json.slice(0, 77)}…` : json;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

function unique(violations: readonly Violation[]): Violation[] {
  const seen = new Set<string>();
  return violations.filter((violation) => {
    const key = `${violation.field}\n${violation.message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

type Program = (context: Record<string, unknown>) => unknown;
const programs = new Map<string, Program>();
let environment: Environment | undefined;

function programOf(rule: string): Program {
  let program = programs.get(rule);
  if (program === undefined) {
    environment ??= new Environment({ unlistedVariablesAreDyn: true });
    program = environment.parse(rule) as Program;
    programs.set(rule, program);
  }
  return program;
}

function celViolations(schema: OpenApiSchema, value: unknown, old: unknown, field: string, depth: number): Violation[] {
  if (value === undefined || value === null) return [];
  const found: Violation[] = [];
  for (const { rule, message } of schema['x-kubernetes-validations'] ?? []) {
    // A rule about a change does not apply to what is new (Kubernetes: transition rules).
    if (/\boldSelf\b/.test(rule) && old === undefined) continue;
    if (programOf(rule)({ self: value, oldSelf: old }) !== true) {
      const shown = depth === 0 || typeof value === 'object' ? '' : ` ${show(value)}:`;
      found.push({ reason: 'FieldValueInvalid', field, message: `Invalid value:${shown} ${message}` });
    }
  }
  if (schema.properties !== undefined && typeof value === 'object') {
    for (const [name, child] of Object.entries(schema.properties)) {
      const next = (value as Record<string, unknown>)[name];
      const before = (old as Record<string, unknown> | undefined)?.[name];
      found.push(...celViolations(child, next, before, field === '' ? name : `${field}.${name}`, depth + 1));
    }
  }
  if (schema.items !== undefined && Array.isArray(value)) {
    found.push(...duplicates(schema, value, field));
    // Entries of a list have no stable identity here, so rules about changes do not reach into it.
    value.forEach((item, index) =>
      found.push(...celViolations(schema.items ?? {}, item, undefined, `${field}[${String(index)}]`, depth + 1)),
    );
  }
  return found;
}

/** Entries of a `map` list must differ in their keys, those of a `set` in themselves, as in the API server. */
function duplicates(schema: OpenApiSchema, list: readonly unknown[], field: string): Violation[] {
  const kind = schema['x-kubernetes-list-type'];
  if (kind !== 'map' && kind !== 'set') return [];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const seen = new Set<string>();
  return list.flatMap((item, index) => {
    const identity =
      kind === 'set' ? item : Object.fromEntries(keys.map((key) => [key, (item as Record<string, unknown>)[key]]));
    const text = JSON.stringify(identity);
    if (seen.has(text)) {
      const at = `${field}[${String(index)}]`;
      return [{ reason: 'FieldValueDuplicate', field: at, message: `Duplicate value: ${text}` }];
    }
    seen.add(text);
    return [];
  });
}

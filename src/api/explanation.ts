import { ruleViolations } from './cel-rules.ts';
import { coreSchemas, metadataSchema } from './core-schemas.ts';
import { schemaOf } from './crds.ts';
import type { KubeObject, ResourceType } from './meta.ts';
import { nearest } from './nearest.ts';
import type { OpenApiSchema } from './schema/crd.ts';
import { childField, fillDefaults, memberSchema } from './structural.ts';
import { duplicates, fieldOf, schemaErrors, typeName } from './validation.ts';
import type { SchemaError } from './validation.ts';
import { goQuote, REDACTED, required, show } from './violation.ts';
import type { Violation } from './violation.ts';

/** Longer values are cut where people read them. */
const SHOWN_LENGTH = 80;

/**
 * All that schema and rules have against an object that a user wrote, in words for people: a real API server would stop
 * at the first unknown field, and never guess what was meant. Fills in the defaults in place.
 */
export function explainSchema(type: Pick<ResourceType, 'group' | 'kind'>, object: KubeObject): Violation[] {
  const custom = schemaOf(type);
  const schema = custom ?? coreSchemas[type.kind];
  if (schema === undefined) return [];
  const whole = { ...schema, properties: { ...schema.properties, metadata: metadataSchema } };
  const found = unknownFields(whole, object, '');
  fillDefaults(custom ?? {}, object);
  for (const error of schemaErrors(`${type.kind}/explained`, whole, object)) found.push(...explained(type, error));
  if (custom !== undefined) found.push(...duplicates(custom, object, undefined, ''));
  if (found.length > 0 || custom === undefined) return unique(found);
  return ruleViolations(custom, object, undefined);
}

function unknownFields(schema: OpenApiSchema, value: unknown, field: string): Violation[] {
  if (typeof value !== 'object' || value === null || schema['x-kubernetes-preserve-unknown-fields'] === true) return [];
  if (Array.isArray(value)) {
    return value.flatMap((item: unknown, index) => unknownFields(schema.items ?? {}, item, childField(field, index)));
  }
  // What is no object by the schema is told as such.
  if (schema.type !== 'object') return [];
  return Object.entries(value).flatMap(([name, member]) => {
    const at = childField(field, name);
    const child = memberSchema(schema, name);
    if (child !== undefined) return unknownFields(child, member, at);
    if (schema.properties === undefined) return [];
    const guess = didYouMean(name, Object.keys(schema.properties));
    return [{ reason: 'FieldValueForbidden', field: at, message: `unknown field ${goQuote(at)}${guess}` }];
  });
}

function explained(type: Pick<ResourceType, 'kind'>, { error, path }: SchemaError): Violation[] {
  const field = fieldOf(path);
  const secret = type.kind === 'Secret' && /^(data|stringData)\b/.test(field);
  const shown = secret ? `"${REDACTED}"` : cut(show(error.data));
  const invalid = (reason: string, problem: string): Violation[] => [
    { reason, field, message: `Invalid value: ${shown}: ${problem}` },
  ];
  switch (error.keyword) {
    case 'required':
      return [required(childField(field, (error.params as { missingProperty: string }).missingProperty))];
    case 'enum': {
      const { allowedValues } = error.params as { allowedValues: unknown[] };
      const words = allowedValues.filter((value) => typeof value === 'string');
      const guess = typeof error.data === 'string' ? didYouMean(error.data, words) : '';
      const message = `Unsupported value: ${shown}: supported values: ${allowedValues.map(show).join(', ')}${guess}`;
      return [{ reason: 'FieldValueNotSupported', field, message }];
    }
    case 'type': {
      const { type: wanted } = error.params as { type: string };
      return invalid('FieldValueTypeInvalid', `must be of type ${wanted}, not ${typeName(error.data)}`);
    }
    case 'format': {
      const { format } = error.params as { format: string };
      return invalid('FieldValueInvalid', format === 'byte' ? 'must be base64' : `must be of format ${format}`);
    }
    case 'pattern':
      return invalid('FieldValueInvalid', `must match ${(error.params as { pattern: string }).pattern}`);
    default:
      return invalid('FieldValueInvalid', error.message ?? error.keyword);
  }
}

function didYouMean(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  return guess === undefined ? '' : `, did you mean "${guess}"?`;
}

function cut(text: string): string {
  return text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH - 3)}…` : text;
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

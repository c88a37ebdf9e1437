import { coreSchemas, metadataSchema } from '../api/core-schemas.ts';
import { schemaOf } from '../api/crds.ts';
import { decodeStruct, GoDecodeError, strictProblem, unknownField } from '../api/go-decoding.ts';
import { apiVersionOf, GROUP } from '../api/meta.ts';
import type { KubeObject, ObjectMeta, ResourceType } from '../api/meta.ts';
import { dropUnknown, fillDefaults, unknownMembers } from '../api/structural.ts';
import { goQuote, invalidValue, REDACTED } from '../api/violation.ts';
import type { DecodeOptions } from './admission.ts';
import { ApiError } from './api-error.ts';
import { badRequest, invalid } from './api-messages.ts';
import { isJsonObject } from './json.ts';
import type { JsonObject } from './json.ts';
import { mergeStringData } from './object-rules.ts';

/** How much of a body the API server shows that it cannot make sense of. */
const SHOWN_OF_BODY = 30;

/**
 * Reads JSON as an object of its kind, as the decoders of an API server do.
 *
 * @throws ApiError `BadRequest`, or `Invalid` for what a patch made of an object.
 */
export function decodeObject<T extends KubeObject>(type: ResourceType<T>, given: T, options: DecodeOptions = {}): T {
  try {
    checkKind(type, given, options);
    const object = type.group === GROUP ? decodeCustom(type, given, options) : decodeCore(type, given, options);
    return object as T;
  } catch (error) {
    if (!(error instanceof GoDecodeError)) throw error;
    if (options.patched !== undefined) {
      // What was given is still as it was: nothing is changed before all of it is known to be right.
      const message = `Invalid value: ${quoted(type, options.patched)}: ${error.message}`;
      const causes = [{ reason: 'FieldValueInvalid', field: 'patch', message }];
      throw new ApiError('Invalid', ` "" is invalid: patch: ${message}`, { causes }, error);
    }
    const what = `${type.kind} in version ${JSON.stringify(type.version)} cannot be handled as a ${type.kind}`;
    throw new ApiError('BadRequest', `${what}: ${error.message}`, {}, error);
  }
}

/** The patched object as the message shows it. A real API server shows a Secret's values here. */
function quoted(type: ResourceType, object: KubeObject): string {
  return goQuote(type.kind === 'Secret' ? REDACTED : JSON.stringify(object, inOrder));
}

/** Go writes the members of a map in the order of their names. */
function inOrder(_name: string, value: unknown): unknown {
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function checkKind(type: ResourceType, object: KubeObject, options: DecodeOptions): void {
  const { apiVersion, kind } = object as { apiVersion?: unknown; kind?: unknown };
  const wanted = apiVersionOf(type);
  if (typeof kind !== 'string' || kind === '') {
    const json = type.kind === 'Secret' ? REDACTED : JSON.stringify(object);
    const problem = `Object 'Kind' is missing in '${json}'`;
    if (options.patched !== undefined) throw new GoDecodeError(problem);
    const start = `${json.slice(0, SHOWN_OF_BODY)} ...`;
    throw badRequest(`the object provided is unrecognized (must be of type ${type.kind}): ${problem} (${start})`);
  }
  if (apiVersion !== wanted) {
    const shown = typeof apiVersion === 'string' ? apiVersion : '';
    throw badRequest(`the API version in the data (${shown}) does not match the expected API version (${wanted})`);
  }
  if (kind === type.kind) return;
  if (type.group !== GROUP) {
    const version = JSON.stringify(type.version);
    throw badRequest(
      `${kind} in version ${version} cannot be handled as a ${type.kind}: converting (${type.version}.${kind}) to (${internalPackage(type)}.${type.kind}): unknown conversion`,
    );
  }
  throw invalid({ ...type, kind }, object.metadata.name, [invalidValue('kind', kind, `must be ${type.kind}`)]);
}

function internalPackage(type: ResourceType): string {
  return type.group === '' ? 'core' : (type.group.split('.')[0] ?? '');
}

function decodeCustom(type: ResourceType, object: KubeObject, options: DecodeOptions): KubeObject {
  const metadata = decodeStruct(metadataSchema, (object as Partial<KubeObject>).metadata ?? {}, {
    struct: 'ObjectMeta',
    kind: 'ObjectMeta',
    field: 'metadata',
  });
  const schema = schemaOf(type);
  const unknown = schema === undefined ? [] : unknownMembers(schema, object as unknown as JsonObject);
  reportFields([...metadata.unknown.sort(), ...unknown.map(({ field }) => field)], options);
  object.metadata = metadata.value as unknown as ObjectMeta;
  if (schema !== undefined) {
    dropUnknown(unknown);
    fillDefaults(schema, object, options.applied);
  }
  return object;
}

function decodeCore(type: ResourceType, object: KubeObject, options: DecodeOptions): KubeObject {
  const schema = coreSchemas[type.kind];
  if (schema === undefined) return object;
  const whole = { ...schema, properties: { ...schema.properties, metadata: { ...metadataSchema, default: {} } } };
  const { value, unknown } = decodeStruct(whole, object, { struct: type.kind, kind: type.kind });
  reportFields(unknown, options);
  const decoded = value as unknown as KubeObject;
  if (type.kind === 'Secret') mergeStringData(decoded);
  return decoded;
}

/** @throws GoDecodeError under `Strict`. */
function reportFields(unknown: readonly string[], options: DecodeOptions): void {
  const { fieldValidation = 'Strict', duplicateFields = [], onWarning } = options;
  if (fieldValidation === 'Ignore' || unknown.length + duplicateFields.length === 0) return;
  const problems = [
    ...duplicateFields.map((field) => `duplicate field ${goQuote(field)}`),
    ...unknown.map(unknownField),
  ];
  if (fieldValidation === 'Strict') throw new GoDecodeError(strictProblem(problems));
  for (const problem of problems) onWarning?.(problem);
}

import { apiVersionOf } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { ApiError } from './api-error.ts';
import type { StatusCause, StatusDetails } from './api-error.ts';

/** The API server's own errors, in its own words (apimachinery `api/errors`). */

/** `transfers.gridferry.io`, or `secrets` for the core group. */
export function resourceName(type: ResourceType): string {
  return type.group === '' ? type.plural : `${type.plural}.${type.group}`;
}

function detailsOf(type: ResourceType, name: string): StatusDetails {
  return { name, ...(type.group === '' ? {} : { group: type.group }), kind: type.plural };
}

export function notFound(type: ResourceType, name: string): ApiError {
  return new ApiError('NotFound', `${resourceName(type)} "${name}" not found`, detailsOf(type, name));
}

export function alreadyExists(type: ResourceType, name: string): ApiError {
  return new ApiError('AlreadyExists', `${resourceName(type)} "${name}" already exists`, detailsOf(type, name));
}

export const OBJECT_MODIFIED =
  'the object has been modified; please apply your changes to the latest version and try again';

export function conflict(type: ResourceType, name: string, why: string): ApiError {
  return new ApiError(
    'Conflict',
    `Operation cannot be fulfilled on ${resourceName(type)} "${name}": ${why}`,
    detailsOf(type, name),
  );
}

export function invalid(type: ResourceType, name: string, causes: readonly StatusCause[]): ApiError {
  const kind = type.group === '' ? type.kind : `${type.kind}.${type.group}`;
  const listed = causes.map((cause) =>
    cause.field === undefined ? cause.message : `${cause.field}: ${cause.message}`,
  );
  const text = listed.length === 1 ? (listed[0] ?? '') : `[${listed.join(', ')}]`;
  return new ApiError('Invalid', `${kind} "${name}" is invalid: ${text}`, {
    name,
    ...(type.group === '' ? {} : { group: type.group }),
    kind: type.kind,
    causes,
  });
}

export function badRequest(message: string): ApiError {
  return new ApiError('BadRequest', message);
}

/** @throws ApiError `BadRequest` when the object says that it is of another kind. */
export function checkKind(type: ResourceType, object: KubeObject): void {
  const wanted = apiVersionOf(type);
  if (object.apiVersion === wanted && object.kind === type.kind) return;
  throw badRequest(
    `the object is of kind ${object.kind} (${object.apiVersion}), but ${type.kind} (${wanted}) is expected here`,
  );
}

export function invalidValue(field: string, value: unknown, problem: string): StatusCause {
  return {
    reason: 'FieldValueInvalid',
    field,
    message: `Invalid value: ${JSON.stringify(value ?? null)}: ${problem}`,
  };
}

export function forbidden(field: string, problem: string): StatusCause {
  return { reason: 'FieldValueForbidden', field, message: `Forbidden: ${problem}` };
}

export function required(field: string, problem = ''): StatusCause {
  return {
    reason: 'FieldValueRequired',
    field,
    message: problem === '' ? 'Required value' : `Required value: ${problem}`,
  };
}

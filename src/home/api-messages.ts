import type { ResourceType } from '../api/meta.ts';
import { goQuote, invalidValue } from '../api/violation.ts';
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

/** A conflict with what the caller of a delete takes for granted, which names the kind instead of the resource. */
export function preconditionFailed(type: ResourceType, name: string, why: string): ApiError {
  const kind = kindName(type);
  return new ApiError('Conflict', `Operation cannot be fulfilled on ${kind} "${name}": ${why}`, {
    ...detailsOf(type, name),
    kind: type.kind,
  });
}

function kindName(type: ResourceType): string {
  return type.group === '' ? type.kind : `${type.kind}.${type.group}`;
}

export function invalid(type: ResourceType, name: string, causes: readonly StatusCause[]): ApiError {
  const listed = causes.map((cause) =>
    cause.field === undefined ? cause.message : `${cause.field}: ${cause.message}`,
  );
  // Twice the same is said once, as by `field.ErrorList.ToAggregate`.
  const said = [...new Set(listed)];
  const text = said.length === 1 ? (said[0] ?? '') : `[${said.join(', ')}]`;
  return new ApiError('Invalid', `${kindName(type)} "${name}" is invalid: ${text}`, {
    name,
    ...(type.group === '' ? {} : { group: type.group }),
    kind: type.kind,
    causes,
  });
}

export function badRequest(message: string): ApiError {
  return new ApiError('BadRequest', message);
}

/** A version that an update of most kinds must name (`AllowUnconditionalUpdate`). */
export function versionRequired(type: ResourceType, name: string): ApiError {
  const cause = invalidValue('metadata.resourceVersion', 0, 'must be specified for an update');
  return new ApiError(
    'Invalid',
    `${resourceName(type)} "${name}" is invalid: ${String(cause.field)}: ${cause.message}`,
    {
      ...detailsOf(type, name),
      causes: [cause],
    },
  );
}

/** What becomes of a `resourceVersion` that is no number. */
export function badVersion(version: string): ApiError {
  return new ApiError('Unknown', `strconv.ParseUint: parsing ${goQuote(version)}: invalid syntax`);
}

/** Nothing is made in a namespace that is going. */
export function namespaceTerminating(type: ResourceType, name: string, namespace: string): ApiError {
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  const message = `namespace ${namespace} is being terminated`;
  return new ApiError('Forbidden', `${resourceName(type)} "${name}" is forbidden: ${why}`, {
    ...detailsOf(type, name),
    causes: [{ reason: 'NamespaceTerminating', message, field: 'metadata.namespace' }],
  });
}

/** What becomes of the wish to delete a namespace that everything else stands on. */
export function namespaceStays(name: string): ApiError {
  const message = `namespaces ${goQuote(name)} is forbidden: this namespace may not be deleted`;
  return new ApiError('Forbidden', message, { name, kind: 'namespaces' });
}

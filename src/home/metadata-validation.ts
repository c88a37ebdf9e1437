import type { KubeObject, ResourceType } from '../api/meta.ts';
import { invalidValue, required } from './api-messages.ts';
import type { StatusCause } from './api-error.ts';
import { isJsonObject } from './json.ts';
import { labelNameProblem, labelValueProblem, qualifiedNameProblem, subdomainProblem } from './names.ts';

/** Of all annotations of one object together, as in Kubernetes. */
const MAX_ANNOTATION_BYTES = 256 * 1024;

/** What is wrong with an object's metadata, by the API server's rules. */
export function metadataViolations(type: ResourceType, object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  const { metadata } = object;
  const add = (field: string, value: unknown, problem: string | undefined): void => {
    if (problem !== undefined) causes.push(invalidValue(field, value, problem));
  };
  const nameProblem = type.kind === 'Namespace' && type.group === '' ? labelNameProblem : subdomainProblem;
  add('metadata.name', metadata.name, nameProblem(metadata.name));
  if (type.namespaced) add('metadata.namespace', metadata.namespace, labelNameProblem(metadata.namespace ?? ''));
  for (const [key, value] of entries(metadata.labels, 'metadata.labels', causes)) {
    add('metadata.labels', key, qualifiedNameProblem(key));
    add('metadata.labels', value, typeof value === 'string' ? labelValueProblem(value) : 'must be a string');
  }
  let annotationBytes = 0;
  for (const [key, value] of entries(metadata.annotations, 'metadata.annotations', causes)) {
    add('metadata.annotations', key, qualifiedNameProblem(key.toLowerCase()));
    if (typeof value === 'string') annotationBytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    else add(`metadata.annotations[${key}]`, typeof value, 'must be a string');
  }
  if (annotationBytes > MAX_ANNOTATION_BYTES) {
    const message = `Too long: may not be more than ${String(MAX_ANNOTATION_BYTES)} bytes`;
    causes.push({ reason: 'FieldValueTooLong', field: 'metadata.annotations', message });
  }
  list(metadata.finalizers, 'metadata.finalizers', causes).forEach((finalizer, index) => {
    const field = `metadata.finalizers[${String(index)}]`;
    add(field, finalizer, typeof finalizer === 'string' ? qualifiedNameProblem(finalizer) : 'must be a string');
  });
  causes.push(...ownerViolations(list(metadata.ownerReferences, 'metadata.ownerReferences', causes)));
  return causes;
}

function ownerViolations(owners: readonly unknown[]): StatusCause[] {
  const causes: StatusCause[] = [];
  let controllers = 0;
  owners.forEach((owner, index) => {
    const field = `metadata.ownerReferences[${String(index)}]`;
    if (!isJsonObject(owner)) {
      causes.push(invalidValue(field, owner, 'must be an object'));
      return;
    }
    for (const key of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (typeof owner[key] !== 'string' || owner[key] === '')
        causes.push(required(`${field}.${key}`, 'must not be empty'));
    }
    if (owner.controller === true) controllers++;
  });
  if (controllers > 1) {
    const problem = 'Only one reference can have Controller set to true';
    causes.push(invalidValue('metadata.ownerReferences', controllers, problem));
  }
  return causes;
}

function entries(value: unknown, field: string, causes: StatusCause[]): [string, unknown][] {
  if (value === undefined || value === null) return [];
  if (isJsonObject(value)) return Object.entries(value);
  causes.push(invalidValue(field, value, 'must be an object'));
  return [];
}

function list(value: unknown, field: string, causes: StatusCause[]): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value as unknown[];
  causes.push(invalidValue(field, value, 'must be a list'));
  return [];
}

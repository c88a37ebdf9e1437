import type { KubeObject, ObjectMeta, OwnerReference, ResourceType } from '../api/meta.ts';
import { invalidValue, required, tooLong } from '../api/violation.ts';
import { GROUP } from '../api/meta.ts';
import type { StatusCause } from './api-error.ts';
import { labelNameProblems, labelValueProblems, qualifiedNameProblems, subdomainProblems } from './names.ts';

/** Of all annotations of one object together, as in Kubernetes. */
const MAX_ANNOTATION_BYTES = 256 * 1024;
const STANDARD_FINALIZERS = ['kubernetes', 'orphan', 'foregroundDeletion'];

/** What is wrong with an object's metadata (apimachinery `validation/objectmeta.go`). Its types must be right. */
export function metadataViolations(type: ResourceType, object: KubeObject): StatusCause[] {
  // A generated name is not there yet when the object was only read.
  const metadata: Partial<ObjectMeta> = object.metadata;
  const causes: StatusCause[] = [];
  const add = (field: string, value: unknown, problems: readonly string[]): void => {
    for (const problem of problems) causes.push(invalidValue(field, value, problem));
  };
  const nameProblems = type.kind === 'Namespace' && type.group === '' ? labelNameProblems : subdomainProblems;
  const { name = '', generateName = '', generation = 0 } = metadata;
  // A prefix may end in a dash, which no name may.
  if (generateName !== '') add('metadata.generateName', generateName, nameProblems(generateName.replace(/-$/, 'a')));
  if (name === '') causes.push(required('metadata.name', 'name or generateName is required'));
  else add('metadata.name', name, nameProblems(name));
  if (generation < 0) add('metadata.generation', generation, ['must be greater than or equal to 0']);
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    add('metadata.labels', key, qualifiedNameProblems(key));
    add('metadata.labels', value, labelValueProblems(value));
  }
  let annotationBytes = 0;
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    add('metadata.annotations', key, qualifiedNameProblems(key.toLowerCase()));
    annotationBytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (annotationBytes > MAX_ANNOTATION_BYTES) causes.push(tooLong('metadata.annotations', MAX_ANNOTATION_BYTES));
  causes.push(...ownerViolations(metadata.ownerReferences ?? []));
  causes.push(...finalizerViolations(type, metadata.finalizers ?? []));
  return causes;
}

function finalizerViolations(type: ResourceType, finalizers: readonly string[]): StatusCause[] {
  const field = 'metadata.finalizers';
  const causes = finalizers.flatMap((name) =>
    qualifiedNameProblems(name).map((problem) => invalidValue(field, name, problem)),
  );
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    causes.push(invalidValue(field, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'));
  }
  if (type.group === GROUP) return causes;
  finalizers.forEach((name, index) => {
    if (isDomainQualified(name)) return;
    const problem = 'name is neither a standard finalizer name nor is it fully qualified';
    causes.push(invalidValue(`${field}[${String(index)}]`, name, problem));
  });
  return causes;
}

/** Whether a finalizer cannot be mistaken for another program's. */
export function isDomainQualified(finalizer: string): boolean {
  return finalizer.includes('/') || STANDARD_FINALIZERS.includes(finalizer);
}

function ownerViolations(owners: readonly Partial<OwnerReference>[]): StatusCause[] {
  const field = 'metadata.ownerReferences';
  const causes: StatusCause[] = [];
  for (const owner of owners) {
    const { apiVersion = '', kind = '' } = owner;
    const version = apiVersion.split('/');
    if (apiVersion === '' || version.length > 2) {
      causes.push(invalidValue(`${field}.apiVersion`, apiVersion, 'version must not be empty'));
    }
    for (const key of ['kind', 'name', 'uid'] as const) {
      if (!owner[key]) causes.push(invalidValue(`${field}.${key}`, '', 'must not be empty'));
    }
    if (kind === 'Event' && (apiVersion === 'v1' || apiVersion === 'events.k8s.io/v1')) {
      const [group, short] = version.length === 2 ? version : ['', apiVersion];
      const problem = `${String(group)}/${String(short)}, Kind=Event is disallowed from being an owner`;
      causes.push(invalidValue(field, inOrder(owner), problem));
    }
  }
  const [first, second] = owners.filter((owner) => owner.controller === true);
  if (first !== undefined && second !== undefined) {
    const names = [first, second].map(({ kind, name }) => `${String(kind)}/${String(name)}`).join(' and ');
    const problem = `Only one reference can have Controller set to true. Found "true" in references for ${names}`;
    causes.push(invalidValue(field, owners.map(inOrder), problem));
  }
  return causes;
}

/** Members in the order of the Go struct, as messages show them. */
function inOrder(owner: Partial<OwnerReference>): Partial<OwnerReference> {
  const { apiVersion, kind, name, uid, controller, blockOwnerDeletion } = owner;
  return JSON.parse(
    JSON.stringify({ apiVersion, kind, name, uid, controller, blockOwnerDeletion }),
  ) as Partial<OwnerReference>;
}

/** What an update may not change of what the server decides. To leave such a field out is to leave it alone. */
export function changedServerMetadata(next: Partial<ObjectMeta>, old: ObjectMeta): StatusCause[] {
  return (['uid', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const).flatMap((key) => {
    const value = next[key];
    if (value === undefined || value === '' || value === old[key]) return [];
    return [invalidValue(`metadata.${key}`, value, 'field is immutable')];
  });
}

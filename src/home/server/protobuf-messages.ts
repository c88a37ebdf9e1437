import type { INamespace } from 'protobufjs';

/**
 * The messages that kubectl's typed clients post to the core kinds served here, field by field as in Kubernetes'
 * `generated.proto` files. A field marked `*` is a pointer in Go: its zero value means something.
 */
const fields: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // k8s.io/apimachinery/pkg/runtime
  Unknown: { 1: 'typeMeta TypeMeta', 2: 'raw bytes', 3: 'contentEncoding string', 4: 'contentType string' },
  TypeMeta: { 1: 'apiVersion string', 2: 'kind string' },
  // k8s.io/apimachinery/pkg/apis/meta/v1
  Time: { 1: 'seconds int64', 2: 'nanos int32' },
  MicroTime: { 1: 'seconds int64', 2: 'nanos int32' },
  FieldsV1: { 1: 'Raw bytes' },
  ManagedFieldsEntry: {
    1: 'manager string',
    2: 'operation string',
    3: 'apiVersion string',
    4: 'time Time',
    6: 'fieldsType string',
    7: 'fieldsV1 FieldsV1',
    8: 'subresource string',
  },
  OwnerReference: {
    1: 'kind string',
    3: 'name string',
    4: 'uid string',
    5: 'apiVersion string',
    6: '*controller bool',
    7: '*blockOwnerDeletion bool',
  },
  ObjectMeta: {
    1: 'name string',
    2: 'generateName string',
    3: 'namespace string',
    4: 'selfLink string',
    5: 'uid string',
    6: 'resourceVersion string',
    7: 'generation int64',
    8: 'creationTimestamp Time',
    9: 'deletionTimestamp Time',
    10: '*deletionGracePeriodSeconds int64',
    11: 'labels map:string',
    12: 'annotations map:string',
    13: 'ownerReferences []OwnerReference',
    14: 'finalizers []string',
    17: 'managedFields []ManagedFieldsEntry',
  },
  Preconditions: { 1: '*uid string', 2: '*resourceVersion string' },
  DeleteOptions: {
    1: '*gracePeriodSeconds int64',
    2: 'preconditions Preconditions',
    3: '*orphanDependents bool',
    4: '*propagationPolicy string',
    5: 'dryRun []string',
  },
  // k8s.io/api/core/v1
  Secret: {
    1: 'metadata ObjectMeta',
    2: 'data map:bytes',
    3: 'type string',
    4: 'stringData map:string',
    5: '*immutable bool',
  },
  ConfigMap: { 1: 'metadata ObjectMeta', 2: 'data map:string', 3: 'binaryData map:bytes', 4: '*immutable bool' },
  NamespaceSpec: { 1: 'finalizers []string' },
  NamespaceCondition: {
    1: 'type string',
    2: 'status string',
    4: 'lastTransitionTime Time',
    5: 'reason string',
    6: 'message string',
  },
  NamespaceStatus: { 1: 'phase string', 2: 'conditions []NamespaceCondition' },
  Namespace: { 1: 'metadata ObjectMeta', 2: 'spec NamespaceSpec', 3: 'status NamespaceStatus' },
  ObjectReference: {
    1: 'kind string',
    2: 'namespace string',
    3: 'name string',
    4: 'uid string',
    5: 'apiVersion string',
    6: 'resourceVersion string',
    7: 'fieldPath string',
  },
  EventSource: { 1: 'component string', 2: 'host string' },
  EventSeries: { 1: 'count int32', 2: 'lastObservedTime MicroTime' },
  Event: {
    1: 'metadata ObjectMeta',
    2: 'involvedObject ObjectReference',
    3: 'reason string',
    4: 'message string',
    5: 'source EventSource',
    6: 'firstTimestamp Time',
    7: 'lastTimestamp Time',
    8: 'count int32',
    9: 'type string',
    10: 'eventTime MicroTime',
    11: 'series EventSeries',
    12: 'action string',
    13: 'related ObjectReference',
    14: 'reportingComponent string',
    15: 'reportingInstance string',
  },
  // k8s.io/api/coordination/v1
  LeaseSpec: {
    1: '*holderIdentity string',
    2: '*leaseDurationSeconds int32',
    3: 'acquireTime MicroTime',
    4: 'renewTime MicroTime',
    5: '*leaseTransitions int32',
    6: '*strategy string',
    7: '*preferredHolder string',
  },
  Lease: { 1: 'metadata ObjectMeta', 2: 'spec LeaseSpec' },
  // k8s.io/api/authentication/v1, k8s.io/api/authorization/v1
  SelfSubjectReview: { 1: 'metadata ObjectMeta' },
  ResourceAttributes: {
    1: 'namespace string',
    2: 'verb string',
    3: 'group string',
    4: 'version string',
    5: 'resource string',
    6: 'subresource string',
    7: 'name string',
  },
  NonResourceAttributes: { 1: 'path string', 2: 'verb string' },
  SelfSubjectAccessReviewSpec: {
    1: 'resourceAttributes ResourceAttributes',
    2: 'nonResourceAttributes NonResourceAttributes',
  },
  SelfSubjectAccessReview: { 1: 'metadata ObjectMeta', 2: 'spec SelfSubjectAccessReviewSpec' },
  SelfSubjectRulesReviewSpec: { 1: 'namespace string' },
  SelfSubjectRulesReview: { 1: 'metadata ObjectMeta', 2: 'spec SelfSubjectRulesReviewSpec' },
};

/** The same as descriptors of protobufjs. */
export const messageTypes: NonNullable<INamespace['nested']> = Object.fromEntries(
  Object.entries(fields).map(([name, numbered]) => [
    name,
    { fields: Object.fromEntries(Object.entries(numbered).map(descriptor)) },
  ]),
);

function descriptor([number, text]: [string, string]): [string, { id: number; type: string }] {
  const [marked = '', kind = ''] = text.split(' ');
  const id = Number(number);
  const name = marked.replace('*', '');
  if (kind.startsWith('map:')) return [name, { id, type: kind.slice(4), ...{ keyType: 'string' } }];
  if (kind.startsWith('[]')) return [name, { id, type: kind.slice(2), ...{ rule: 'repeated' } }];
  return [name, { id, type: kind, ...(marked.startsWith('*') ? { options: { pointer: true } } : {}) }];
}

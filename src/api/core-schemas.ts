import type { OpenApiSchema } from './schema/crd.ts';

/**
 * The core kinds as their Go structs have them: what is not here, the decoder does not know. A `default` is what a field
 * without `omitempty` shows when it was not given.
 */

const text: OpenApiSchema = { type: 'string' };
const bool: OpenApiSchema = { type: 'boolean' };
const int32: OpenApiSchema = { type: 'integer', format: 'int32' };
const time: OpenApiSchema = { type: 'string', format: 'date-time' };
const microTime: OpenApiSchema = { type: 'string', format: 'micro-time' };
const texts: OpenApiSchema = { type: 'array', items: text };
const textMap: OpenApiSchema = { type: 'object', additionalProperties: text };
const bytesMap: OpenApiSchema = { type: 'object', additionalProperties: { type: 'string', format: 'byte' } };

function struct(properties: Record<string, OpenApiSchema>): OpenApiSchema {
  return { type: 'object', properties };
}

function kind(properties: Record<string, OpenApiSchema>): OpenApiSchema {
  return struct({ apiVersion: text, kind: text, metadata: { type: 'object' }, ...properties });
}

const reference = struct({
  kind: text,
  namespace: text,
  name: text,
  uid: text,
  apiVersion: text,
  resourceVersion: text,
  fieldPath: text,
});

export const coreSchemas: Readonly<Record<string, OpenApiSchema>> = {
  Secret: kind({
    immutable: bool,
    data: bytesMap,
    stringData: textMap,
    type: { ...text, default: 'Opaque' },
  }),
  ConfigMap: kind({ immutable: bool, data: textMap, binaryData: bytesMap }),
  Namespace: kind({
    spec: { ...struct({ finalizers: texts }), default: {} },
    status: struct({
      phase: text,
      conditions: {
        type: 'array',
        items: struct({ type: text, status: text, lastTransitionTime: time, reason: text, message: text }),
      },
    }),
  }),
  Lease: kind({
    spec: {
      ...struct({
        holderIdentity: text,
        leaseDurationSeconds: int32,
        acquireTime: microTime,
        renewTime: microTime,
        leaseTransitions: int32,
        strategy: text,
        preferredHolder: text,
      }),
      default: {},
    },
  }),
  Event: kind({
    involvedObject: { ...reference, default: {} },
    reason: text,
    message: text,
    source: { ...struct({ component: text, host: text }), default: {} },
    firstTimestamp: { ...time, nullable: true, default: null },
    lastTimestamp: { ...time, nullable: true, default: null },
    count: int32,
    type: text,
    eventTime: { ...microTime, nullable: true, default: null },
    series: struct({ count: int32, lastObservedTime: microTime }),
    action: text,
    related: reference,
    reportingComponent: { ...text, default: '' },
    reportingInstance: { ...text, default: '' },
  }),
};

/** `metav1.ObjectMeta`. `managedFields` is the server's own and passes as it is. */
export const metadataSchema: OpenApiSchema = struct({
  name: text,
  generateName: text,
  namespace: text,
  selfLink: text,
  uid: text,
  resourceVersion: text,
  generation: { type: 'integer', format: 'int64' },
  creationTimestamp: { ...time, nullable: true },
  deletionTimestamp: { ...time, nullable: true },
  deletionGracePeriodSeconds: { type: 'integer', format: 'int64' },
  labels: textMap,
  annotations: textMap,
  ownerReferences: {
    type: 'array',
    items: struct({
      apiVersion: text,
      kind: text,
      name: text,
      uid: text,
      controller: bool,
      blockOwnerDeletion: bool,
    }),
  },
  finalizers: texts,
  managedFields: { type: 'array', items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
});

/** The Go struct that a field of a core kind holds; those not named here are `<Kind>Spec` and the like. */
export const goStructs: Readonly<Record<string, string>> = {
  metadata: 'ObjectMeta',
  ownerReferences: 'OwnerReference',
  managedFields: 'ManagedFieldsEntry',
  involvedObject: 'ObjectReference',
  related: 'ObjectReference',
  source: 'EventSource',
  series: 'EventSeries',
  conditions: 'NamespaceCondition',
};

import { schemaOf } from '../../api/crds.ts';
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { resourceName } from '../api-messages.ts';
import type { FieldType } from './field-type.ts';
import {
  atomicListOf,
  BOOLEAN,
  DEDUCED,
  fieldTypeOfSchema,
  listMapOf,
  mapOf,
  NUMBER,
  SCALAR,
  setOf,
  STRING,
  struct,
} from './field-type.ts';

/** The types of whole objects: from the CRDs, and of the core kinds as the API server's own schemas have them. */

const ownerReference = struct(
  { apiVersion: STRING, kind: STRING, name: STRING, uid: STRING, controller: BOOLEAN, blockOwnerDeletion: BOOLEAN },
  true,
);

const objectMeta = struct({
  name: STRING,
  generateName: STRING,
  namespace: STRING,
  selfLink: STRING,
  uid: STRING,
  resourceVersion: STRING,
  generation: NUMBER,
  creationTimestamp: SCALAR,
  deletionTimestamp: SCALAR,
  deletionGracePeriodSeconds: NUMBER,
  labels: mapOf(STRING),
  annotations: mapOf(STRING),
  ownerReferences: listMapOf('uid', ownerReference),
  finalizers: setOf(STRING),
  managedFields: atomicListOf(DEDUCED),
});

function objectWith(fields: Readonly<Record<string, FieldType>>): FieldType {
  return struct({ apiVersion: STRING, kind: STRING, metadata: objectMeta, ...fields });
}

const objectReference = struct(
  {
    apiVersion: STRING,
    kind: STRING,
    namespace: STRING,
    name: STRING,
    uid: STRING,
    resourceVersion: STRING,
    fieldPath: STRING,
  },
  true,
);

const coreTypes: Readonly<Record<string, FieldType>> = {
  secrets: objectWith({ type: STRING, immutable: BOOLEAN, data: mapOf(STRING), stringData: mapOf(STRING) }),
  configmaps: objectWith({ immutable: BOOLEAN, data: mapOf(STRING), binaryData: mapOf(STRING) }),
  namespaces: objectWith({
    spec: struct({ finalizers: atomicListOf(STRING) }),
    status: struct({
      phase: STRING,
      conditions: listMapOf(
        'type',
        struct({ type: STRING, status: STRING, reason: STRING, message: STRING, lastTransitionTime: SCALAR }),
      ),
    }),
  }),
  events: objectWith({
    action: STRING,
    count: NUMBER,
    eventTime: SCALAR,
    firstTimestamp: SCALAR,
    involvedObject: objectReference,
    lastTimestamp: SCALAR,
    message: STRING,
    reason: STRING,
    related: objectReference,
    reportingComponent: STRING,
    reportingInstance: STRING,
    series: struct({ count: NUMBER, lastObservedTime: SCALAR }),
    source: struct({ component: STRING, host: STRING }),
    type: STRING,
  }),
  'leases.coordination.k8s.io': objectWith({
    spec: struct({
      acquireTime: SCALAR,
      holderIdentity: STRING,
      leaseDurationSeconds: NUMBER,
      leaseTransitions: NUMBER,
      preferredHolder: STRING,
      renewTime: SCALAR,
      strategy: STRING,
    }),
  }),
};

const types = new Map<string, FieldType>();

/** The type of a kind's objects; of a kind without a schema everything is free-form but the metadata. */
export function typeOfKind(type: ResourceType): FieldType {
  const name = resourceName(type);
  let found = coreTypes[name] ?? types.get(name);
  if (found === undefined) {
    const schema = schemaOf(type);
    const body = schema === undefined ? DEDUCED : fieldTypeOfSchema(schema);
    const map = body.map ?? { atomic: false, fields: new Map<string, FieldType>() };
    const fields = new Map([
      ...map.fields,
      ['apiVersion', STRING],
      ['kind', STRING],
      ['metadata', objectMeta],
    ] as const);
    found = { map: { ...map, fields } };
    types.set(name, found);
  }
  return found;
}

/** What an object of a core kind has before anybody wrote to it: the fields that Go's encoder never leaves out. */
const ZERO_VALUES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  namespaces: { spec: {}, status: {} },
  events: {
    involvedObject: {},
    source: {},
    firstTimestamp: null,
    lastTimestamp: null,
    eventTime: null,
    reportingComponent: '',
    reportingInstance: '',
  },
  'leases.coordination.k8s.io': { spec: {} },
};

export function zeroValuesOf(type: ResourceType): Readonly<Record<string, unknown>> {
  return ZERO_VALUES[resourceName(type)] ?? {};
}

/** The object that a new one is compared with: nobody owns what is in it. */
export function emptyObjectOf(type: ResourceType, object: KubeObject): KubeObject {
  return { apiVersion: object.apiVersion, kind: object.kind, ...zeroValuesOf(type) } as unknown as KubeObject;
}

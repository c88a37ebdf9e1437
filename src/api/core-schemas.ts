import type { OpenApiSchema } from './schema/crd.ts';

/**
 * Schemas of the core kinds, as far as a user's manifest may go. Kinds that only programs write (Event, Lease) are not
 * checked beyond their metadata.
 */

const stringMap: OpenApiSchema = { type: 'object', additionalProperties: { type: 'string' } };
const base: Record<string, OpenApiSchema> = {
  apiVersion: { type: 'string' },
  kind: { type: 'string' },
  metadata: { type: 'object' },
};

export const coreSchemas: Readonly<Record<string, OpenApiSchema>> = {
  Secret: {
    type: 'object',
    properties: {
      ...base,
      type: { type: 'string', default: 'Opaque' },
      immutable: { type: 'boolean' },
      data: stringMap,
      stringData: stringMap,
    },
  },
  ConfigMap: {
    type: 'object',
    properties: { ...base, immutable: { type: 'boolean' }, data: stringMap, binaryData: stringMap },
  },
  Namespace: {
    type: 'object',
    properties: { ...base, spec: { type: 'object' }, status: { type: 'object' } },
  },
};

/** Metadata as the API reads it; closed, so that a typo in it is found too. */
export const metadataSchema: OpenApiSchema = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    namespace: { type: 'string' },
    generateName: { type: 'string' },
    labels: stringMap,
    annotations: stringMap,
    finalizers: { type: 'array', items: { type: 'string' } },
    ownerReferences: {
      type: 'array',
      items: {
        type: 'object',
        required: ['apiVersion', 'kind', 'name', 'uid'],
        properties: {
          apiVersion: { type: 'string' },
          kind: { type: 'string' },
          name: { type: 'string' },
          uid: { type: 'string' },
          controller: { type: 'boolean' },
          blockOwnerDeletion: { type: 'boolean' },
        },
      },
    },
    uid: { type: 'string' },
    resourceVersion: { type: 'string' },
    generation: { type: 'integer' },
    creationTimestamp: { type: 'string', nullable: true },
    deletionTimestamp: { type: 'string', nullable: true },
    deletionGracePeriodSeconds: { type: 'integer' },
    managedFields: { type: 'array', items: { type: 'object' } },
    selfLink: { type: 'string' },
  },
};

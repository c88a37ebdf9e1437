import { z } from 'zod';
import { GROUP, VERSION } from '../meta.ts';
import type { KindDefinition } from './kinds.ts';

/** A node of an OpenAPI v3 structural schema. */
export interface OpenApiSchema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  description?: string;
  format?: string;
  default?: unknown;
  enum?: unknown[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  required?: string[];
  properties?: Record<string, OpenApiSchema>;
  additionalProperties?: OpenApiSchema | boolean;
  items?: OpenApiSchema;
  nullable?: boolean;
  'x-kubernetes-validations'?: { rule: string; message: string }[];
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-preserve-unknown-fields'?: boolean;
}

export interface CustomResourceDefinition {
  apiVersion: 'apiextensions.k8s.io/v1';
  kind: 'CustomResourceDefinition';
  metadata: { name: string };
  spec: {
    group: string;
    scope: 'Namespaced';
    names: {
      kind: string;
      listKind: string;
      plural: string;
      singular: string;
      shortNames: string[];
      categories: string[];
    };
    versions: {
      name: string;
      served: true;
      storage: true;
      subresources: { status: Record<string, never> };
      additionalPrinterColumns: {
        name: string;
        type: string;
        jsonPath: string;
        description: string;
        priority?: number;
      }[];
      schema: { openAPIV3Schema: OpenApiSchema };
    }[];
  };
}

const KEYS = [
  'description',
  'type',
  'format',
  'default',
  'enum',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'required',
  'properties',
  'additionalProperties',
  'items',
  'x-kubernetes-validations',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
] as const;

/**
 * Turns what zod prints into a structural schema: no `$ref`, no `additionalProperties: false` (the API server prunes
 * instead), no bounds that only say "a safe integer", every array with an explicit merge strategy.
 *
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
function structural(node: Record<string, unknown>, path: string): OpenApiSchema {
  const unknown = Object.keys(node).filter(
    (key) => !(KEYS as readonly string[]).includes(key) && key !== '$schema' && key !== 'propertyNames',
  );
  if (unknown.length > 0) throw new Error(`${path}: a structural schema cannot say ${unknown.join(', ')}`);
  const out: OpenApiSchema = {};
  for (const key of KEYS) if (node[key] !== undefined) Object.assign(out, { [key]: node[key] });
  if (out.type === 'integer') {
    if (out.minimum === Number.MIN_SAFE_INTEGER || out.minimum === -2147483648) delete out.minimum;
    if (out.maximum === Number.MAX_SAFE_INTEGER || out.maximum === 2147483647) delete out.maximum;
    out.format ??= 'int32';
  }
  if (out.required?.length === 0) delete out.required;
  if (out.properties !== undefined) {
    out.properties = Object.fromEntries(
      Object.entries(out.properties).map(([name, child]) => [
        name,
        structural(child as Record<string, unknown>, `${path}.${name}`),
      ]),
    );
    delete out.additionalProperties;
  } else if (typeof out.additionalProperties === 'object') {
    out.additionalProperties = structural(out.additionalProperties as Record<string, unknown>, `${path}.*`);
  }
  if (out.items !== undefined) {
    out.items = structural(out.items as Record<string, unknown>, `${path}[]`);
    out['x-kubernetes-list-type'] ??= 'atomic';
  }
  return out;
}

function openApi(schema: z.ZodType, path: string): OpenApiSchema {
  const json = z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', reused: 'inline' });
  return structural({ ...json }, path);
}

/** The CustomResourceDefinition of one kind. */
export function customResourceDefinition(kind: KindDefinition): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: [...kind.shortNames],
        categories: kind.localOnly === true ? [] : ['gridferry'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: kind.columns.map((column) => ({ ...column })),
          schema: {
            openAPIV3Schema: {
              description: kind.description,
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: 'Version of the schema: gridferry.io/v1alpha1.' },
                kind: { type: 'string', description: `${kind.kind}.` },
                metadata: { type: 'object' },
                spec: openApi(kind.spec, `${kind.kind}.spec`),
                // Before the controller has seen an object, tools such as Flux and `kubectl wait` are not to take it for done.
                status: { ...openApi(kind.status, `${kind.kind}.status`), default: { observedGeneration: -1 } },
              },
              ...(kind.rules === undefined
                ? {}
                : { 'x-kubernetes-validations': kind.rules.map((rule) => ({ ...rule })) }),
            },
          },
        },
      ],
    },
  };
}

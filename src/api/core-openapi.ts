import { readFileSync } from 'node:fs';
import type { OpenApiSchema } from './schema/crd.ts';

/** A component of an OpenAPI v3 document: like a structural schema, but it may refer to others. */
export type OpenApiComponent = OpenApiSchema & {
  readonly properties?: Readonly<Record<string, OpenApiComponent>>;
  readonly 'x-kubernetes-group-version-kind'?: readonly { group: string; kind: string; version: string }[];
};

let loaded: Readonly<Record<string, OpenApiComponent>> | undefined;

/**
 * The components of Kubernetes' own OpenAPI v3 document that describe the core kinds served here, and the metadata of
 * every kind, as kube-apiserver 1.36 publishes them (Apache License 2.0, The Kubernetes Authors).
 */
export function coreComponents(): Readonly<Record<string, OpenApiComponent>> {
  loaded ??= JSON.parse(readFileSync(new URL('./core-openapi.json', import.meta.url), 'utf8')) as typeof loaded;
  return loaded ?? {};
}

/** What the API server says of a field. */
export function propertyDescription(schema: string, field: string): string {
  return coreComponents()[schema]?.properties?.[field]?.description ?? '';
}

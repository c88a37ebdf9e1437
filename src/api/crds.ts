import { readFileSync } from 'node:fs';
import { GROUP } from './meta.ts';
import type { ResourceType } from './meta.ts';
import type { CustomResourceDefinition, OpenApiSchema } from './schema/crd.ts';

let loaded: ReadonlyMap<string, CustomResourceDefinition> | undefined;

function all(): ReadonlyMap<string, CustomResourceDefinition> {
  if (loaded === undefined) {
    const text = readFileSync(new URL('./crds.generated.json', import.meta.url), 'utf8');
    const list = JSON.parse(text) as CustomResourceDefinition[];
    loaded = new Map(list.map((crd) => [crd.spec.names.kind, crd]));
  }
  return loaded;
}

/** The CRD of a kind, or `undefined` for a core kind. */
export function crdOf(type: Pick<ResourceType, 'group' | 'kind'>): CustomResourceDefinition | undefined {
  return type.group === GROUP ? all().get(type.kind) : undefined;
}

/** The schema of a kind's objects, from its CRD. */
export function schemaOf(type: Pick<ResourceType, 'group' | 'kind'>): OpenApiSchema | undefined {
  return crdOf(type)?.spec.versions[0]?.schema.openAPIV3Schema;
}

import { createHash } from 'node:crypto';
import { coreComponents } from '../../api/core-openapi.ts';
import type { OpenApiComponent } from '../../api/core-openapi.ts';
import { schemaOf } from '../../api/crds.ts';
import { isCustom } from '../../api/meta.ts';
import type { ResourceType } from '../../api/meta.ts';
import { verbsOf } from './discovery.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const PATCH_TYPES = ['application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json'];
const CORE_PATCH_TYPES = [...PATCH_TYPES, 'application/strategic-merge-patch+json'];

type Json = Record<string, unknown>;

/** The OpenAPI v3 documents, each made when it is first asked for. */
export interface OpenApiDocuments {
  readonly index: () => string;
  readonly document: (group: string, version: string) => string | undefined;
}

export function createOpenApi(types: readonly ResourceType[], release: string): OpenApiDocuments {
  const made = new Map<string, string>();

  function document(group: string, version: string): string | undefined {
    const key = `${group}/${version}`;
    const ready = made.get(key);
    if (ready !== undefined) return ready;
    const served = types.filter((type) => type.group === group && type.version === version);
    if (served.length === 0) return undefined;
    const text = JSON.stringify(groupDocument(served, release));
    made.set(key, text);
    return text;
  }

  return {
    document,
    index() {
      const paths: Json = {};
      for (const { group, version } of types) {
        const place = group === '' ? `api/${version}` : `apis/${group}/${version}`;
        if (Object.hasOwn(paths, place)) continue;
        const hash = createHash('sha512')
          .update(document(group, version) ?? '')
          .digest('hex')
          .toUpperCase();
        paths[place] = { serverRelativeURL: `/openapi/v3/${place}?hash=${hash}` };
      }
      return JSON.stringify({ paths });
    },
  };
}

function groupDocument(types: readonly ResourceType[], release: string): Json {
  const components: Record<string, OpenApiComponent> = {};
  const add = (name: string, component: OpenApiComponent | undefined): void => {
    if (component === undefined || Object.hasOwn(components, name)) return;
    components[name] = component;
    for (const reference of referencesOf(component)) add(reference, coreComponents()[reference]);
  };
  const paths: Json = {};
  for (const type of types) {
    const name = componentName(type);
    const schema = schemaOf(type);
    add(name, schema === undefined ? coreComponents()[name] : customComponent(type, schema));
    add(`${name}List`, coreComponents()[`${name}List`] ?? listComponent(type));
    Object.assign(paths, pathsOf(type));
  }
  for (const shared of ['DeleteOptions', 'Patch', 'Status']) {
    add(`${META}.${shared}`, coreComponents()[`${META}.${shared}`]);
  }
  const sorted = Object.fromEntries(Object.entries(components).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return { openapi: '3.0.0', info: { title: 'Gridferry', version: release }, paths, components: { schemas: sorted } };
}

function componentName({ group, version, kind }: ResourceType): string {
  if (group === '') return `io.k8s.api.core.${version}.${kind}`;
  if (group.endsWith('.k8s.io')) return `io.k8s.api.${group.slice(0, -'.k8s.io'.length)}.${version}.${kind}`;
  return `${group.split('.').reverse().join('.')}.${version}.${kind}`;
}

function referencesOf(node: unknown): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const found = Object.values(node).flatMap(referencesOf);
  const reference: unknown = Reflect.get(node, '$ref');
  if (typeof reference === 'string') found.push(reference.slice(reference.lastIndexOf('/') + 1));
  return found;
}

function ref(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

/** The API server says of every kind the same about these, whatever its CRD says. */
function standardProperties(metadata: 'ObjectMeta' | 'ListMeta'): Json {
  const { apiVersion, kind, metadata: own } = coreComponents()['io.k8s.api.core.v1.Namespace']?.properties ?? {};
  const list = coreComponents()['io.k8s.api.core.v1.NamespaceList']?.properties;
  const { description } = (metadata === 'ListMeta' ? list?.['metadata'] : own) ?? {};
  return { apiVersion, kind, metadata: { description, allOf: [ref(`${META}.${metadata}`)] } };
}

function customComponent(type: ResourceType, schema: OpenApiComponent): OpenApiComponent {
  const { group, version, kind } = type;
  return {
    ...schema,
    properties: { ...schema.properties, ...standardProperties('ObjectMeta') } as Record<string, OpenApiComponent>,
    'x-kubernetes-group-version-kind': [{ group, kind, version }],
  };
}

function listComponent(type: ResourceType): OpenApiComponent {
  const { group, version, kind, plural } = type;
  const items = {
    description: `List of ${plural}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md`,
    type: 'array',
    items: ref(componentName(type)),
  };
  return {
    description: `${kind}List is a list of ${kind}`,
    type: 'object',
    required: ['items'],
    properties: { ...standardProperties('ListMeta'), items } as Record<string, OpenApiComponent>,
    'x-kubernetes-group-version-kind': [{ group, kind: `${kind}List`, version }],
  };
}

function pathsOf(type: ResourceType): Json {
  const { group, version, plural, namespaced } = type;
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
  const place = namespaced ? [pathParameter('namespace')] : [];
  const named = [pathParameter('name'), ...place];
  const list = `${componentName(type)}List`;
  const item = componentName(type);
  const collectionDelete = verbsOf(type).includes('deletecollection')
    ? { delete: operation(type, 'deletecollection', `${META}.Status`) }
    : {};
  return {
    ...(namespaced ? { [`${root}/${plural}`]: { get: operation(type, 'list', list) } } : {}),
    [collection]: {
      parameters: place,
      get: operation(type, 'list', list),
      post: operation(type, 'post', item),
      ...collectionDelete,
    },
    [`${collection}/{name}`]: {
      parameters: named,
      get: operation(type, 'get', item),
      put: operation(type, 'put', item),
      patch: operation(type, 'patch', item),
      delete: operation(type, 'delete', `${META}.Status`),
    },
    ...(type.hasStatus
      ? {
          [`${collection}/{name}/status`]: {
            parameters: named,
            get: operation(type, 'get', item),
            put: operation(type, 'put', item),
            patch: operation(type, 'patch', item),
          },
        }
      : {}),
  };
}

function pathParameter(name: 'name' | 'namespace'): Json {
  const description =
    name === 'name' ? 'name of the object' : 'object name and auth scope, such as for teams and projects';
  return { name, in: 'path', description, required: true, schema: { type: 'string', uniqueItems: true } };
}

function queryParameter(name: string, type: 'string' | 'boolean' | 'integer' = 'string'): Json {
  return { name, in: 'query', schema: { type, uniqueItems: true } };
}

type Action = 'list' | 'get' | 'post' | 'put' | 'patch' | 'delete' | 'deletecollection';

/** kubectl asks of it which kind a path is about, and whether a write knows `fieldValidation` and `dryRun`. */
function operation(type: ResourceType, action: Action, answer: string): Json {
  const { group, version, kind } = type;
  const body = bodyOf(type, action);
  return {
    parameters: parametersOf(action),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: { '200': { description: 'OK', content: { 'application/json': { schema: ref(answer) } } } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group, kind, version },
  };
}

function parametersOf(action: Action): Json[] {
  const writing = [queryParameter('dryRun'), queryParameter('fieldManager'), queryParameter('fieldValidation')];
  const selecting = [queryParameter('labelSelector'), queryParameter('fieldSelector')];
  switch (action) {
    case 'post':
    case 'put':
      return writing;
    case 'patch':
      return [...writing, queryParameter('force', 'boolean')];
    case 'get':
      return [];
    case 'list':
      return [
        ...selecting,
        queryParameter('limit', 'integer'),
        queryParameter('continue'),
        queryParameter('resourceVersion'),
        queryParameter('resourceVersionMatch'),
        queryParameter('watch', 'boolean'),
        queryParameter('allowWatchBookmarks', 'boolean'),
        queryParameter('sendInitialEvents', 'boolean'),
        queryParameter('timeoutSeconds', 'integer'),
      ];
    case 'delete':
      return [queryParameter('dryRun'), queryParameter('propagationPolicy')];
    case 'deletecollection':
      return [queryParameter('dryRun'), queryParameter('propagationPolicy'), ...selecting];
  }
}

function bodyOf(type: ResourceType, action: Action): Json | undefined {
  switch (action) {
    case 'post':
    case 'put':
      return { content: { '*/*': { schema: ref(componentName(type)) } }, required: true };
    case 'patch': {
      const accepted = isCustom(type) ? PATCH_TYPES : CORE_PATCH_TYPES;
      const schema = ref(`${META}.Patch`);
      return { content: Object.fromEntries(accepted.map((media) => [media, { schema }])), required: true };
    }
    case 'delete':
    case 'deletecollection':
      return { content: { '*/*': { schema: ref(`${META}.DeleteOptions`) } } };
    default:
      return undefined;
  }
}

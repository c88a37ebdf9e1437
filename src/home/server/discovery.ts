import { createHash } from 'node:crypto';
import { isCustom } from '../../api/meta.ts';
import type { ResourceType } from '../../api/meta.ts';
import type { Representation } from './media-types.ts';
import { reviewGroups } from './route.ts';

/** In the order in which the API server names them: it differs between core and custom kinds. */
const CORE_VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const CUSTOM_VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const STATUS_VERBS = ['get', 'patch', 'update'];

const reviewKinds: Readonly<Record<string, string>> = {
  selfsubjectreviews: 'SelfSubjectReview',
  selfsubjectaccessreviews: 'SelfSubjectAccessReview',
  selfsubjectrulesreviews: 'SelfSubjectRulesReview',
};

interface ServedVersion {
  readonly group: string;
  readonly version: string;
  readonly types: readonly ResourceType[];
}

/** What there is to ask for; every document is made once. */
export interface Discovery {
  /** Of `/api` (`core`) or `/apis`. */
  readonly root: (core: boolean, representation: Representation) => DiscoveryDocument;
  readonly group: (group: string) => unknown;
  readonly version: (group: string) => unknown;
}

export interface DiscoveryDocument {
  readonly body: string;
  readonly contentType: string;
  readonly etag?: string;
}

export function createDiscovery(types: readonly ResourceType[]): Discovery {
  const versions = servedVersions(types);
  const groups = versions.filter(({ group }) => group !== '');

  const made = new Map<string, DiscoveryDocument>();
  function aggregated(core: boolean, version: string): DiscoveryDocument {
    const list = {
      kind: 'APIGroupDiscoveryList',
      apiVersion: `apidiscovery.k8s.io/${version}`,
      metadata: {},
      items: versions.filter(({ group }) => (group === '') === core).map(groupDiscovery),
    };
    const body = `${JSON.stringify(list)}\n`;
    const contentType = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
    return { body, contentType, etag: `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"` };
  }

  return {
    root(core, { as, version = '' }) {
      if (as === 'APIGroupDiscoveryList') {
        const key = `${version} ${String(core)}`;
        const document = made.get(key) ?? aggregated(core, version);
        made.set(key, document);
        return document;
      }
      const plain = core
        ? { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] }
        : { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(apiGroup) };
      return { body: `${JSON.stringify(plain)}\n`, contentType: 'application/json' };
    },
    group(name) {
      const found = groups.find(({ group }) => group === name);
      return found === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(found) };
    },
    version(name) {
      const found = versions.find(({ group }) => group === name);
      if (found === undefined) return undefined;
      return {
        kind: 'APIResourceList',
        apiVersion: 'v1',
        groupVersion: groupVersion(found),
        resources: [...found.types.flatMap(apiResources), ...(reviewGroups[name] ?? []).map(reviewResource)],
      };
    },
  };
}

function servedVersions(types: readonly ResourceType[]): ServedVersion[] {
  const names = [...new Set([...types.map((type) => type.group), ...Object.keys(reviewGroups)])];
  return names.map((group) => {
    const ofGroup = types.filter((type) => type.group === group);
    return {
      group,
      version: ofGroup[0]?.version ?? 'v1',
      types: ofGroup.toSorted((a, b) => (a.plural < b.plural ? -1 : 1)),
    };
  });
}

function groupVersion({ group, version }: Pick<ServedVersion, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

function apiGroup(served: ServedVersion): Record<string, unknown> {
  const version = { groupVersion: groupVersion(served), version: served.version };
  return { name: served.group, versions: [version], preferredVersion: version };
}

/** The verbs that a kind's collection and objects know. */
export function verbsOf(type: ResourceType): readonly string[] {
  if (type.group === '' && type.kind === 'Namespace') return CORE_VERBS.filter((verb) => verb !== 'deletecollection');
  return isCustom(type) ? CUSTOM_VERBS : CORE_VERBS;
}

function apiResources(type: ResourceType): Record<string, unknown>[] {
  const { plural, singular, namespaced, kind, shortNames, categories } = type;
  const main = {
    name: plural,
    singularName: singular,
    namespaced,
    kind,
    verbs: verbsOf(type),
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
  };
  if (!type.hasStatus) return [main];
  return [main, { name: `${plural}/status`, singularName: '', namespaced, kind, verbs: STATUS_VERBS }];
}

function reviewResource(plural: string): Record<string, unknown> {
  const kind = reviewKinds[plural];
  return { name: plural, singularName: plural.slice(0, -1), namespaced: false, kind, verbs: ['create'] };
}

function groupDiscovery(served: ServedVersion): Record<string, unknown> {
  const { group, version, types } = served;
  return {
    metadata: group === '' ? {} : { name: group },
    versions: [
      {
        version,
        resources: [...types.map(resourceDiscovery), ...(reviewGroups[group] ?? []).map(reviewDiscovery)],
        freshness: 'Current',
      },
    ],
  };
}

function resourceDiscovery(type: ResourceType): Record<string, unknown> {
  const { plural, singular, namespaced, kind, shortNames, categories, group, version } = type;
  // The API server fills these in for custom kinds only.
  const responseKind = isCustom(type) ? { group, version, kind } : { group: '', version: '', kind };
  return {
    resource: plural,
    responseKind,
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: verbsOf(type),
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
    ...(type.hasStatus ? { subresources: [{ subresource: 'status', responseKind, verbs: STATUS_VERBS }] } : {}),
  };
}

function reviewDiscovery(plural: string): Record<string, unknown> {
  return {
    resource: plural,
    responseKind: { group: '', version: '', kind: reviewKinds[plural] },
    scope: 'Cluster',
    singularResource: plural.slice(0, -1),
    verbs: ['create'],
  };
}

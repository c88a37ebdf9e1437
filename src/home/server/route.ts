import { isCustom } from '../../api/meta.ts';
import type { ResourceType } from '../../api/meta.ts';

/** What a path names. */
export type Route =
  | { readonly kind: 'resource'; readonly type: ResourceType; readonly place: Place }
  /** A subresource that the kind does not have. */
  | { readonly kind: 'no-subresource'; readonly type: ResourceType; readonly name: string }
  | { readonly kind: 'review'; readonly group: string; readonly plural: string }
  | { readonly kind: 'group'; readonly group: string }
  | { readonly kind: 'version'; readonly group: string; readonly version: string }
  | { readonly kind: 'openapi-v2' }
  | { readonly kind: 'openapi'; readonly group: string; readonly version: string }
  | { readonly kind: 'fixed'; readonly path: FixedPath };

/** Where in a resource. `namespace` is '' for what has none; absent where a path means all namespaces. */
export interface Place {
  readonly namespace: string | undefined;
  /** Absent: the collection. */
  readonly name?: string;
  readonly subresource?: 'status';
}

const fixedPaths = ['/', '/api', '/apis', '/healthz', '/livez', '/openapi/v3', '/readyz', '/version'] as const;
export type FixedPath = (typeof fixedPaths)[number];
const isFixed = new Set<string>(fixedPaths);

export const reviewGroups: Readonly<Record<string, readonly string[]>> = {
  'authentication.k8s.io': ['selfsubjectreviews'],
  'authorization.k8s.io': ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
};

/** Finds out what a path names; `undefined`: nothing that is served. */
export type Router = (path: string) => Route | undefined;

export function createRouter(types: readonly ResourceType[]): Router {
  const resources = new Map<string, ResourceType>();
  const versions = new Map<string, string>([...Object.keys(reviewGroups)].map((group) => [group, 'v1']));
  for (const type of types) {
    resources.set(`${type.group}/${type.plural}`, type);
    versions.set(type.group, type.version);
  }

  function inVersion(group: string, rest: readonly string[]): Route | undefined {
    const [first, second, third, fourth, ...more] = rest;
    if (first === undefined || more.length > 1) return undefined;
    const namespacedHere = first === 'namespaces' && third !== undefined && !(group === '' && isOfNamespaces(third));
    const plural = namespacedHere ? third : first;
    const [name, subresource] = namespacedHere ? [fourth, more[0]] : [second, third];
    if (!namespacedHere && (fourth !== undefined || more.length > 0)) return undefined;
    if (reviewGroups[group]?.includes(plural) === true) {
      return name === undefined && !namespacedHere ? { kind: 'review', group, plural } : undefined;
    }
    const type = resources.get(`${group}/${plural}`);
    if (type === undefined || (namespacedHere && !type.namespaced)) return undefined;
    // A namespaced object is not to be found without its namespace.
    if (name !== undefined && type.namespaced && !namespacedHere) return undefined;
    if (subresource !== undefined && (subresource !== 'status' || !type.hasStatus)) {
      return name !== undefined && isCustom(type) ? { kind: 'no-subresource', type, name } : undefined;
    }
    const namespace = !type.namespaced ? '' : namespacedHere ? (second ?? '') : undefined;
    const place: Place = {
      namespace,
      ...(name === undefined ? {} : { name }),
      ...(subresource === undefined ? {} : { subresource }),
    };
    return { kind: 'resource', type, place };
  }

  return (path) => {
    if (isFixed.has(path)) return { kind: 'fixed', path: path as FixedPath };
    const segments = segmentsOf(path);
    if (segments === undefined) return undefined;
    const [root, second = '', third = '', ...rest] = segments;
    switch (root) {
      case 'api':
        if (second !== 'v1' || !versions.has('')) return undefined;
        return segments.length === 2 ? { kind: 'version', group: '', version: 'v1' } : inVersion('', segments.slice(2));
      case 'apis':
        if (second === '' || !versions.has(second)) return undefined;
        if (segments.length === 2) return { kind: 'group', group: second };
        if (versions.get(second) !== third) return undefined;
        return rest.length === 0 ? { kind: 'version', group: second, version: third } : inVersion(second, rest);
      case 'openapi':
        if (second === 'v2') return segments.length === 2 ? { kind: 'openapi-v2' } : undefined;
        return second === 'v3' ? documentOf(third, rest) : undefined;
      case 'healthz':
      case 'livez':
      case 'readyz':
        return segments.length === 1 ? { kind: 'fixed', path: `/${root}` } : undefined;
      default:
        return segments.length === 1 && isFixed.has(`/${root ?? ''}`)
          ? { kind: 'fixed', path: `/${root ?? ''}` as FixedPath }
          : undefined;
    }
  };

  function documentOf(root: string, rest: readonly string[]): Route | undefined {
    if (root === '') return { kind: 'fixed', path: '/openapi/v3' };
    const [group, version] = root === 'api' ? ['', rest[0]] : [rest[0], rest[1]];
    if (rest.length !== (root === 'api' ? 1 : 2) || group === undefined || version === undefined) return undefined;
    if ((root !== 'api' && group === '') || versions.get(group) !== version) return undefined;
    return { kind: 'openapi', group, version };
  }
}

/** `/api/v1/namespaces/x/status` is about the namespace itself. */
function isOfNamespaces(segment: string): boolean {
  return segment === 'status' || segment === 'finalize';
}

/**
 * The parts of a path, decoded once and never joined again: a `%2F` stays within its part. `undefined` for a path that
 * has an empty part, a dot part, or does not decode. One slash at the end is allowed, as in the API server.
 */
function segmentsOf(path: string): string[] | undefined {
  if (!path.startsWith('/')) return undefined;
  const raw = path.slice(1, path.endsWith('/') ? -1 : undefined).split('/');
  for (let index = 0; index < raw.length; index++) {
    let segment = raw[index] ?? '';
    if (segment.includes('%')) {
      try {
        segment = decodeURIComponent(segment);
      } catch {
        // Not UTF-8, or not even hexadecimal: it names nothing.
        return undefined;
      }
      raw[index] = segment;
    }
    if (segment === '' || segment === '.' || segment === '..' || segment.includes('/')) return undefined;
  }
  return raw;
}

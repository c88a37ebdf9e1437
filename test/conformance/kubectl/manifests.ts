import { stringify } from 'yaml';

/** Metadata, or the name alone. */
type Metadata = string | Readonly<Record<string, unknown>>;

export function service(metadata: Metadata, spec: Readonly<Record<string, unknown>> = {}): string {
  return manifest('gridferry.io/v1alpha1', 'Service', metadata, {
    spec: { container: 'web', serverRef: { name: 'alpha' }, ...spec },
  });
}

export function server(metadata: Metadata, spec: Readonly<Record<string, unknown>> = {}): string {
  return manifest('gridferry.io/v1alpha1', 'ManagedServer', metadata, {
    spec: { address: '192.0.2.7', ssh: { credentialsRef: { name: 'key' } }, ...spec },
  });
}

export function transfer(metadata: Metadata, spec: Readonly<Record<string, unknown>> = {}): string {
  return manifest('gridferry.io/v1alpha1', 'Transfer', metadata, {
    spec: {
      container: 'web',
      sourceServerRef: { name: 'alpha' },
      targetServerRef: { name: 'beta' },
      ...spec,
    },
  });
}

export function configMap(metadata: Metadata, data: Readonly<Record<string, string>>): string {
  return manifest('v1', 'ConfigMap', metadata, { data });
}

export function secret(metadata: Metadata, content: Readonly<Record<string, unknown>>): string {
  return manifest('v1', 'Secret', metadata, content);
}

/** A core event about an object of our group, as kubectl looks for it: by the object's UID. */
export function event(
  name: string,
  about: Readonly<Record<string, string>>,
  rest: Readonly<Record<string, unknown>>,
): string {
  return manifest('v1', 'Event', name, {
    involvedObject: { apiVersion: 'gridferry.io/v1alpha1', namespace: '${namespace}', ...about },
    source: { component: 'gridferry' },
    count: 1,
    ...rest,
  });
}

function manifest(apiVersion: string, kind: string, metadata: Metadata, content: object): string {
  const named = typeof metadata === 'string' ? { name: metadata } : metadata;
  // Quoted, so that what is put in the place of a `${name}` stays a string.
  const quoted = { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN' } as const;
  return stringify({ apiVersion, kind, metadata: named, ...content }, quoted);
}

/** Several objects in one file. */
export function documents(...manifests: readonly string[]): string {
  return manifests.join('---\n');
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LineCounter, parseAllDocuments } from 'yaml';
import type { Document } from 'yaml';
import type { Secret } from '../api/core.ts';
import { nearest } from '../api/nearest.ts';
import type { ManagedServer, PlatformConfig, Service, Transfer } from '../api/resources.ts';
import { messageOf } from '../errors.ts';
import type { LoadedObject } from '../home/manifest-file.ts';
import { locateField } from '../home/manifest-position.ts';
import type { SecretsDirectory } from '../home/secrets-dir.ts';
import type { DirectoryProblem } from './problem-line.ts';

/** One object that names another. */
interface Reference {
  readonly field: string;
  readonly kind: 'ManagedServer' | 'Service' | 'Secret';
  readonly name: string;
  /** Of a Secret: keys, one of which it must have. */
  readonly keys?: readonly string[];
}

/**
 * What the manifests say of each other: a name that no manifest has is an error, as nothing will ever happen to who names
 * it. A Secret is only a warning, as it may come from a secrets directory.
 */
export async function findReferenceProblems(
  directory: string,
  objects: readonly LoadedObject[],
  secretsDir: SecretsDirectory | undefined,
): Promise<DirectoryProblem[]> {
  const problems: DirectoryProblem[] = [];
  for (const loaded of objects) {
    for (const reference of referencesOf(loaded)) {
      const found = await problemOf(loaded, reference, objects, secretsDir);
      if (found === undefined) continue;
      const place = await placeOf(directory, loaded, reference.field);
      problems.push({ ...found, code: 'GF_MANIFEST_REFERENCE', file: loaded.file, field: reference.field, ...place });
    }
  }
  return problems;
}

function referencesOf({ type, object }: LoadedObject): Reference[] {
  const server = (field: string, ref: { name?: string } | undefined): Reference[] =>
    typeof ref?.name === 'string' ? [{ field: `${field}.name`, kind: 'ManagedServer', name: ref.name }] : [];
  switch (type.kind) {
    case 'Transfer': {
      // A file that is not valid may lack anything; what it lacks is reported already.
      const spec = (object as Partial<Transfer>).spec as Partial<Transfer['spec']> | undefined;
      const service = spec?.serviceRef?.name;
      return [
        ...server('spec.sourceServerRef', spec?.sourceServerRef),
        ...server('spec.targetServerRef', spec?.targetServerRef),
        ...(service === undefined
          ? []
          : [{ field: 'spec.serviceRef.name', kind: 'Service', name: service } satisfies Reference]),
      ];
    }
    case 'Service':
      return server(
        'spec.serverRef',
        ((object as Partial<Service>).spec as Partial<Service['spec']> | undefined)?.serverRef,
      );
    case 'ManagedServer': {
      const spec = (object as Partial<ManagedServer>).spec as Partial<ManagedServer['spec']> | undefined;
      const ref = spec?.ssh?.credentialsRef as { name?: string } | undefined;
      if (typeof ref?.name !== 'string') return [];
      const keys = ['ssh-privatekey', 'password'];
      return [{ field: 'spec.ssh.credentialsRef.name', kind: 'Secret', name: ref.name, keys }];
    }
    case 'PlatformConfig': {
      const spec = (object as Partial<PlatformConfig>).spec as Partial<PlatformConfig['spec']> | undefined;
      const ref = spec?.cloudflare?.apiTokenRef as { name?: string; key?: string } | undefined;
      if (typeof ref?.name !== 'string') return [];
      const keys = typeof ref.key === 'string' ? [ref.key] : [];
      return [{ field: 'spec.cloudflare.apiTokenRef.name', kind: 'Secret', name: ref.name, keys }];
    }
    default:
      return [];
  }
}

type Finding = Pick<DirectoryProblem, 'severity' | 'message' | 'hint'>;

async function problemOf(
  { key: { namespace } }: LoadedObject,
  reference: Reference,
  objects: readonly LoadedObject[],
  secretsDir: SecretsDirectory | undefined,
): Promise<Finding | undefined> {
  const { kind, name, keys = [] } = reference;
  const candidates = objects.filter((other) => other.type.kind === kind && other.key.namespace === namespace);
  const target = candidates.find((other) => other.key.name === name);
  if (kind === 'Secret') {
    const data = await secretKeys(target, { namespace, name }, secretsDir);
    if (typeof data === 'string') return { severity: 'error', message: data, hint: '' };
    if (data !== undefined) {
      if (keys.length === 0 || keys.some((key) => data.includes(key))) return undefined;
      const has = data.length === 0 ? 'is empty' : `has only ${data.join(', ')}`;
      return { severity: 'error', message: `Secret ${name} ${has}`, hint: `add ${keys.join(' or ')} to it` };
    }
  } else if (target !== undefined) {
    return undefined;
  }
  const elsewhere = objects.find((other) => other.type.kind === kind && other.key.name === name);
  const guess = nearest(
    name,
    candidates.map((other) => other.key.name),
  );
  const hint =
    guess !== undefined
      ? `did you mean "${guess}"?`
      : elsewhere !== undefined
        ? `the one in namespace ${elsewhere.key.namespace} cannot be referred to from here`
        : kind === 'Secret'
          ? `add it, or give its directory with --secrets-dir`
          : candidates.length === 0
            ? `add it: there is no ${kind} in namespace ${namespace}`
            : `there are ${candidates.map((other) => other.key.name).join(', ')}`;
  const severity = kind === 'Secret' ? 'warning' : 'error';
  return { severity, message: `${reference.field}: no manifest has a ${kind} named "${name}"`, hint };
}

/** The keys of a Secret, what keeps them from being read, or `undefined` when there is none. */
async function secretKeys(
  target: LoadedObject | undefined,
  key: { readonly namespace: string; readonly name: string },
  secretsDir: SecretsDirectory | undefined,
): Promise<string[] | string | undefined> {
  try {
    const found = await secretsDir?.read(key);
    if (found !== undefined) return [...found.keys()];
  } catch (error) {
    return messageOf(error);
  }
  if (target === undefined) return undefined;
  const { data = {}, stringData = {} } = target.object as Secret;
  return [...new Set([...Object.keys(data), ...Object.keys(stringData)])];
}

async function placeOf(
  directory: string,
  loaded: LoadedObject,
  field: string,
): Promise<{ readonly line: number; readonly column: number }> {
  try {
    const lines = new LineCounter();
    const text = await readFile(join(directory, loaded.file), 'utf8');
    const documents = parseAllDocuments(text, { version: '1.2', merge: true, lineCounter: lines }) as Document[];
    const document = documents[loaded.document];
    if (document !== undefined) return locateField(document, lines, loaded.path, field);
  } catch {
    // The file changed or went meanwhile: where the object began is near enough.
  }
  return { line: loaded.line, column: loaded.column };
}

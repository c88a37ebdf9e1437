import { nearest } from '../api/nearest.ts';
import { apiVersionOf } from '../api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { messageOf } from '../errors.ts';
import { REDACTED } from '../api/violation.ts';
import type { Admission } from './admission.ts';
import type { ApiError } from './api-error.ts';
import { invalid } from './api-messages.ts';
import { isJsonObject, jsonCopy } from './json.ts';
import type { JsonObject } from './json.ts';
import { OWN_ANNOTATIONS } from './manifest-annotations.ts';
import { FILE_START, problem } from './manifest-problem.ts';
import type { ManifestProblem, Position } from './manifest-problem.ts';
import { locatorOf, readYaml, recalledYaml } from './manifest-yaml.ts';
import type { PlainDocument, YamlDocument } from './manifest-yaml.ts';
import { mergeStringData } from './object-rules.ts';

const SERVER_METADATA = [
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
  'selfLink',
] as const;

export interface ManifestContext {
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly defaultNamespace: string;
}

/** An object as its file has it, checked, with where it stands. */
export interface LoadedObject {
  readonly type: ResourceType;
  readonly key: ObjectKey;
  readonly object: KubeObject;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The place inside the file: which document, and the path to the object within it. */
  readonly document: number;
  readonly path: readonly (string | number)[];
}

export interface ParsedManifest {
  /** All objects that could be told apart, even if something else in the file is wrong. */
  readonly objects: readonly LoadedObject[];
  readonly problems: readonly ManifestProblem[];
}

/**
 * Reads the objects of one file. Whatever the file holds, the answer is objects and problems, never an exception.
 *
 * @param plain what `plainDocuments` said of the text, if it was asked.
 */
export function parseManifest(
  file: string,
  text: string,
  context: ManifestContext,
  plain?: readonly PlainDocument[],
): ParsedManifest {
  const reader: Reader = { file, context, objects: [], problems: [] };
  try {
    const documents = plain === undefined ? readYaml(file, text, reader.problems) : recalledYaml(text, plain);
    for (const document of documents) readValue(reader, document, [], document.value);
  } catch (error) {
    // The parser recurses: a file that nests thousands deep ends its stack.
    const message = error instanceof RangeError ? 'it nests too deeply' : messageOf(error);
    reader.problems.push(
      problem('GF_MANIFEST_YAML', file, FILE_START, `the file cannot be read: ${message}`, 'simplify it'),
    );
  }
  return { objects: reader.objects, problems: reader.problems };
}

/** What an API error says about an object of a file, with the places in the file. */
export function problemsOfRefusal(loaded: LoadedObject, text: string | undefined, error: ApiError): ManifestProblem[] {
  const locateIn = text === undefined ? undefined : locatorOf(text);
  const locate = (field: string, prefer: 'value' | 'key'): Position =>
    locateIn?.(loaded.document, loaded.path, field, prefer) ?? loaded;
  return refusalProblems(loaded.file, loaded.type, error, locate);
}

interface Reader {
  readonly file: string;
  readonly context: ManifestContext;
  readonly objects: LoadedObject[];
  readonly problems: ManifestProblem[];
}

function readValue(reader: Reader, document: YamlDocument, path: (string | number)[], value: unknown): void {
  const { file, problems, context } = reader;
  const locate = (field: string, prefer: 'value' | 'key' = 'value'): Position => document.locate(path, field, prefer);
  if (!isJsonObject(value)) {
    const hint = 'every document needs apiVersion, kind and metadata';
    problems.push(problem('GF_MANIFEST_NOT_AN_OBJECT', file, locate(''), 'the document is not an object', hint));
    return;
  }
  const { apiVersion, kind, items } = value;
  if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)) {
    items.forEach((item, position) => readValue(reader, document, [...path, 'items', position], item));
    return;
  }
  const missing = (field: string, message: string, hint: string): void => {
    problems.push(problem('GF_MANIFEST_INCOMPLETE', file, locate(field), message, hint, { field }));
  };
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    missing('apiVersion', 'apiVersion is missing', 'such as gridferry.io/v1alpha1');
    return;
  }
  if (typeof kind !== 'string' || kind === '') {
    missing('kind', 'kind is missing', 'such as Transfer');
    return;
  }
  const type = typeOf(context.types, apiVersion, kind);
  if ('code' in type) {
    problems.push(problem(type.code, file, locate(type.field), type.message, type.hint, { field: type.field }));
    return;
  }
  const { metadata } = value;
  if (!isJsonObject(metadata)) {
    missing('metadata', 'metadata is missing', 'it needs at least a name');
    return;
  }
  if (typeof metadata['name'] !== 'string' || metadata['name'] === '') {
    const hint =
      metadata['generateName'] === undefined ? '' : 'generateName cannot be used in a file, as it names no object';
    missing('metadata.name', 'metadata.name is missing', hint);
    return;
  }
  warnOfServerFields(reader, value, metadata, locate);
  if (!type.namespaced) delete metadata['namespace'];
  else metadata['namespace'] ??= context.defaultNamespace;
  const object = value as unknown as KubeObject;
  const causes = violations(context.admission, type, object);
  if (causes !== undefined) problems.push(...refusalProblems(file, type, causes, locate));
  mergeStringData(object);
  const key = {
    namespace: typeof metadata['namespace'] === 'string' ? metadata['namespace'] : '',
    name: metadata['name'],
  };
  reader.objects.push({ type, key, object, file, ...locate(''), document: document.index, path });
}

function warnOfServerFields(
  reader: Reader,
  value: JsonObject,
  metadata: JsonObject,
  locate: (field: string, prefer: 'key') => Position,
): void {
  const drop = (holder: JsonObject, key: string, field: string): void => {
    if (holder[key] === undefined) return;
    Reflect.deleteProperty(holder, key);
    const message = `${field} is set by the server; what the file says is ignored`;
    const at = locate(field, 'key');
    reader.problems.push(
      problem('GF_MANIFEST_SERVER_FIELD', reader.file, at, message, 'remove it', { field, severity: 'warning' }),
    );
  };
  drop(value, 'status', 'status');
  for (const key of SERVER_METADATA) drop(metadata, key, `metadata.${key}`);
  const { annotations } = metadata;
  if (isJsonObject(annotations))
    for (const key of OWN_ANNOTATIONS) drop(annotations, key, `metadata.annotations.${key}`);
}

type TypeProblem = {
  readonly code: 'GF_MANIFEST_UNKNOWN_KIND' | 'GF_MANIFEST_VERSION';
  readonly field: string;
  readonly message: string;
  readonly hint: string;
};

function typeOf(types: readonly ResourceType[], apiVersion: string, kind: string): ResourceType | TypeProblem {
  const exact = types.find((type) => type.kind === kind && apiVersionOf(type) === apiVersion);
  if (exact !== undefined) return exact;
  const sameKind = types.filter((type) => type.kind === kind);
  if (sameKind.length > 0) {
    const served = sameKind.map(apiVersionOf).join(', ');
    const message = `${kind} is not served as apiVersion ${JSON.stringify(apiVersion)}`;
    return { code: 'GF_MANIFEST_VERSION', field: 'apiVersion', message, hint: `write apiVersion: ${served}` };
  }
  const guess = nearest(
    kind,
    types.map((type) => type.kind),
  );
  const known = [...new Set(types.map((type) => type.kind))].sort().join(', ');
  const hint = guess === undefined ? `known kinds: ${known}` : `did you mean ${guess}?`;
  return { code: 'GF_MANIFEST_UNKNOWN_KIND', field: 'kind', message: `there is no kind ${JSON.stringify(kind)}`, hint };
}

function violations(admission: Admission, type: ResourceType, object: KubeObject): ApiError | undefined {
  const causes = admission.explain(type, jsonCopy(object));
  return causes.length === 0 ? undefined : invalid(type, object.metadata.name, causes);
}

function refusalProblems(
  file: string,
  type: ResourceType,
  error: ApiError,
  locate: (field: string, prefer: 'value' | 'key') => Position,
): ManifestProblem[] {
  const causes = error.statusDetails.causes ?? [];
  if (causes.length === 0) {
    return [problem('GF_MANIFEST_APPLY', file, locate('', 'value'), `it is refused: ${error.message}`, '')];
  }
  return causes.map((cause) => {
    const field = cause.field ?? '';
    const unknown = /^unknown field\b/.test(cause.message);
    const at = locate(field, unknown ? 'key' : 'value');
    const guess = /, did you mean "([^"]+)"\?/.exec(cause.message);
    const hint =
      guess === null ? (unknown ? 'remove it, or look for its right place' : '') : `did you mean "${guess[1] ?? ''}"?`;
    const text = guess === null ? cause.message : cause.message.replace(guess[0], '');
    // The message may quote the value, and a Secret's must not be seen. Rules about keys name the field `data[key]`.
    const secret = type.group === '' && type.kind === 'Secret' && /^(data|stringData)(?!\[)\b/.test(field) && !unknown;
    const message = secret && !text.includes(REDACTED) ? 'the value is not valid' : text.replace(`"${REDACTED}": `, '');
    const full = unknown || field === '' ? message : `${field}: ${message}`;
    return problem(unknown ? 'GF_MANIFEST_UNKNOWN_FIELD' : 'GF_MANIFEST_INVALID', file, at, full, hint, { field });
  });
}

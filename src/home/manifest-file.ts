import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import type { Document, Scalar } from 'yaml';
import { nearest } from '../api/nearest.ts';
import { apiVersionOf } from '../api/meta.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { messageOf } from '../errors.ts';
import type { Admission } from './admission.ts';
import { ApiError } from './api-error.ts';
import type { StatusCause } from './api-error.ts';
import { invalidValue } from './api-messages.ts';
import { isJsonObject, jsonCopy } from './json.ts';
import type { JsonObject } from './json.ts';
import { OWN_ANNOTATIONS } from './manifest-annotations.ts';
import { locateField, positionAt } from './manifest-position.ts';
import { FILE_START, problem } from './manifest-problem.ts';
import type { ManifestProblem, Position } from './manifest-problem.ts';
import { metadataViolations } from './metadata-validation.ts';
import { mergeStringData } from './object-rules.ts';
import { ambiguityOf } from './yaml-ambiguity.ts';

const MAX_ALIASES = 100;
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

/** Reads the objects of one file. Whatever the file holds, the answer is objects and problems, never an exception. */
export function parseManifest(file: string, text: string, context: ManifestContext): ParsedManifest {
  const reader: Reader = { file, text, context, lines: new LineCounter(), objects: [], problems: [] };
  try {
    readDocuments(reader);
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
  const place = (): { document: Document; lines: LineCounter } | undefined => {
    if (text === undefined) return undefined;
    const lines = new LineCounter();
    const document = documentsOf(text, lines)[loaded.document];
    return document === undefined ? undefined : { document, lines };
  };
  const found = place();
  const locate = (field: string, prefer: 'value' | 'key'): Position =>
    found === undefined ? loaded : locateField(found.document, found.lines, loaded.path, field, prefer);
  return refusalProblems(loaded.file, loaded.type, error, locate);
}

interface Reader {
  readonly file: string;
  readonly text: string;
  readonly context: ManifestContext;
  readonly lines: LineCounter;
  readonly objects: LoadedObject[];
  readonly problems: ManifestProblem[];
}

function documentsOf(text: string, lines: LineCounter): Document[] {
  const options = { version: '1.2', merge: true, lineCounter: lines, prettyErrors: false } as const;
  return parseAllDocuments(text, options);
}

function readDocuments(reader: Reader): void {
  const { file, text, lines, problems } = reader;
  // A value that reads in two ways may be a password: its text is then left out of the message.
  const hidden = /\bSecret\b/.test(text);
  documentsOf(text, lines).forEach((document, index) => {
    const before = problems.length;
    for (const error of [...document.errors, ...document.warnings]) {
      const at = positionAt(lines, error.pos[0]);
      const duplicate = error.code === 'DUPLICATE_KEY';
      const hint = duplicate ? 'remove one of the two' : error.code === 'TAB_AS_INDENT' ? 'indent with spaces' : '';
      const message = hidden ? `the YAML is not valid (${error.code})` : error.message;
      problems.push(problem(duplicate ? 'GF_MANIFEST_DUPLICATE_KEY' : 'GF_MANIFEST_YAML', file, at, message, hint));
    }
    if (problems.length > before) return;
    refuseAmbiguities(reader, document.contents, hidden);
    if (problems.length > before) return;
    let value: unknown;
    try {
      // A copy by way of JSON: it ends sharing between aliases, and refuses cycles.
      value = document.contents === null ? null : jsonCopy(document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown);
    } catch (error) {
      const message = `its aliases cannot be resolved: ${messageOf(error)}`;
      problems.push(problem('GF_MANIFEST_ALIASES', file, FILE_START, message, 'write the values out'));
      return;
    }
    if (value !== null) readValue(reader, document, index, [], value);
  });
}

function refuseAmbiguities(reader: Reader, node: unknown, hidden: boolean): void {
  if (isScalar(node)) checkScalar(reader, node, hidden);
  else if (isSeq(node)) for (const item of node.items) refuseAmbiguities(reader, item, hidden);
  else if (isMap(node)) {
    for (const pair of node.items) {
      refuseAmbiguities(reader, pair.key, hidden);
      if (!isAlias(pair.value)) refuseAmbiguities(reader, pair.value, hidden);
    }
  }
}

function checkScalar(reader: Reader, node: Scalar, hidden: boolean): void {
  if (node.type !== 'PLAIN' || node.source === undefined || node.tag === 'tag:yaml.org,2002:str') return;
  const found = ambiguityOf(node.source, hidden);
  if (found === undefined) return;
  const shown = hidden ? 'this value' : node.source;
  reader.problems.push(
    problem(
      'GF_MANIFEST_AMBIGUOUS',
      reader.file,
      positionAt(reader.lines, node.range?.[0]),
      `${shown} has two readings: kubectl takes it for ${found.kubectl}, YAML 1.2 for ${found.yaml12}`,
      hidden
        ? 'quote it, or write it the way that is meant'
        : `quote it ("${node.source}"), or write what is meant in full`,
    ),
  );
}

function readValue(reader: Reader, document: Document, index: number, path: (string | number)[], value: unknown): void {
  const { file, problems, context } = reader;
  const locate = (field: string, prefer: 'value' | 'key' = 'value'): Position =>
    locateField(document, reader.lines, path, field, prefer);
  if (!isJsonObject(value)) {
    const hint = 'every document needs apiVersion, kind and metadata';
    problems.push(problem('GF_MANIFEST_NOT_AN_OBJECT', file, locate(''), 'the document is not an object', hint));
    return;
  }
  const { apiVersion, kind, items } = value;
  if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)) {
    items.forEach((item, position) => readValue(reader, document, index, [...path, 'items', position], item));
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
  reader.objects.push({ type, key, object, file, ...locate(''), document: index, path });
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
  const copy = jsonCopy(object);
  const own: StatusCause[] = [];
  try {
    own.push(...metadataViolations(type, copy));
    admission.admit(type, copy, undefined, 'create');
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const causes = error.statusDetails.causes ?? [];
    return new ApiError(error.reason, error.message, { ...error.statusDetails, causes: [...causes, ...own] }, error);
  }
  if (own.length === 0) return undefined;
  return new ApiError('Invalid', invalidValue('metadata', '', 'not valid').message, { causes: own });
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
    // The message may quote the value, and a Secret's must not be seen.
    const secret = type.group === '' && type.kind === 'Secret' && /^(data|stringData)\b/.test(field) && !unknown;
    const message = secret ? 'the value is not valid' : text;
    const full = unknown || field === '' ? message : `${field}: ${message}`;
    return problem(unknown ? 'GF_MANIFEST_UNKNOWN_FIELD' : 'GF_MANIFEST_INVALID', file, at, full, hint, { field });
  });
}

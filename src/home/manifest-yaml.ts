import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import type { Document, Scalar } from 'yaml';
import { messageOf } from '../errors.ts';
import { jsonCopy } from './json.ts';
import { locateField, positionAt } from './manifest-position.ts';
import { FILE_START, problem } from './manifest-problem.ts';
import type { ManifestProblem, Position } from './manifest-problem.ts';
import { ambiguityOf } from './yaml-ambiguity.ts';

const MAX_ALIASES = 100;

/** One document of a file as JSON, and where its parts stand. Empty documents are none. */
export interface YamlDocument {
  readonly index: number;
  readonly value: unknown;
  /** Where `field` of the object at `path` stands, as `locateField` finds it. */
  readonly locate: (path: readonly (string | number)[], field: string, prefer?: 'value' | 'key') => Position;
}

/** What is left of a document for the thread that did not parse it: all but the places within. */
export interface PlainDocument extends Position {
  readonly index: number;
  readonly value: unknown;
}

/** Reads the documents one after the other; `problems` gets what is wrong with the YAML, and such documents are left out. */
export function* readYaml(file: string, text: string, problems: ManifestProblem[]): Generator<YamlDocument> {
  const lines = new LineCounter();
  // A value that reads in two ways may be a password: its text is then left out of the message.
  const hidden = /\bSecret\b/.test(text);
  for (const [index, document] of documentsOf(text, lines).entries()) {
    const found = [...syntaxProblems(file, document, lines, hidden)];
    if (found.length === 0) found.push(...ambiguities(file, document.contents, lines, hidden));
    problems.push(...found);
    if (found.length > 0 || document.contents === null) continue;
    let value: unknown;
    try {
      // A copy by way of JSON: it ends sharing between aliases, and refuses cycles.
      value = jsonCopy(document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown);
    } catch (error) {
      const message = `its aliases cannot be resolved: ${messageOf(error)}`;
      problems.push(problem('GF_MANIFEST_ALIASES', file, FILE_START, message, 'write the values out'));
      continue;
    }
    if (value === null) continue;
    const locate: YamlDocument['locate'] = (path, field, prefer) => locateField(document, lines, path, field, prefer);
    yield { index, value, locate };
  }
}

/** The documents of a text with which nothing is wrong; otherwise `undefined`, and `readYaml` says what. */
export function plainDocuments(text: string): PlainDocument[] | undefined {
  const problems: ManifestProblem[] = [];
  try {
    const documents = Array.from(readYaml('', text, problems), ({ index, value, locate }) => ({
      index,
      value,
      ...locate([], ''),
    }));
    return problems.length === 0 ? documents : undefined;
  } catch {
    // Nested too deeply for this stack, say: whoever reads it again for its problems meets the same.
    return undefined;
  }
}

/** The documents again as `readYaml` has them. The text is parsed only when a place within is asked for. */
export function* recalledYaml(text: string, plain: readonly PlainDocument[]): Generator<YamlDocument> {
  let locateIn: ReturnType<typeof locatorOf> | undefined;
  for (const { index, value, line, column } of plain) {
    const locate: YamlDocument['locate'] = (path, field, prefer) => {
      if (path.length === 0 && field === '') return { line, column };
      locateIn ??= locatorOf(text);
      return locateIn(index, path, field, prefer) ?? { line, column };
    };
    yield { index, value, locate };
  }
}

/** Finds places in a text by the index of the document; `undefined` where there is no such document. */
export function locatorOf(
  text: string,
): (index: number, ...place: Parameters<YamlDocument['locate']>) => Position | undefined {
  const lines = new LineCounter();
  const documents = documentsOf(text, lines);
  return (index, path, field, prefer) => {
    const document = documents[index];
    return document === undefined ? undefined : locateField(document, lines, path, field, prefer);
  };
}

function documentsOf(text: string, lines: LineCounter): Document[] {
  const options = { version: '1.2', merge: true, lineCounter: lines, prettyErrors: false } as const;
  return parseAllDocuments(text, options);
}

function* syntaxProblems(
  file: string,
  document: Document,
  lines: LineCounter,
  hidden: boolean,
): Generator<ManifestProblem> {
  for (const error of [...document.errors, ...document.warnings]) {
    const at = positionAt(lines, error.pos[0]);
    const duplicate = error.code === 'DUPLICATE_KEY';
    const hint = duplicate ? 'remove one of the two' : error.code === 'TAB_AS_INDENT' ? 'indent with spaces' : '';
    const message = hidden ? `the YAML is not valid (${error.code})` : error.message;
    yield problem(duplicate ? 'GF_MANIFEST_DUPLICATE_KEY' : 'GF_MANIFEST_YAML', file, at, message, hint);
  }
}

function ambiguities(file: string, root: unknown, lines: LineCounter, hidden: boolean): ManifestProblem[] {
  const found: ManifestProblem[] = [];
  const visit = (node: unknown): void => {
    if (isScalar(node)) {
      const ambiguity = scalarProblem(file, node, lines, hidden);
      if (ambiguity !== undefined) found.push(ambiguity);
    } else if (isSeq(node)) node.items.forEach(visit);
    else if (isMap(node)) {
      for (const pair of node.items) {
        visit(pair.key);
        if (!isAlias(pair.value)) visit(pair.value);
      }
    }
  };
  visit(root);
  return found;
}

function scalarProblem(file: string, node: Scalar, lines: LineCounter, hidden: boolean): ManifestProblem | undefined {
  if (node.type !== 'PLAIN' || node.source === undefined || node.tag === 'tag:yaml.org,2002:str') return undefined;
  const found = ambiguityOf(node.source, hidden);
  if (found === undefined) return undefined;
  const shown = hidden ? 'this value' : node.source;
  return problem(
    'GF_MANIFEST_AMBIGUOUS',
    file,
    positionAt(lines, node.range?.[0]),
    `${shown} has two readings: kubectl takes it for ${found.kubectl}, YAML 1.2 for ${found.yaml12}`,
    hidden
      ? 'quote it, or write it the way that is meant'
      : `quote it ("${node.source}"), or write what is meant in full`,
  );
}

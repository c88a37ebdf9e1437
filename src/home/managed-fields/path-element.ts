import { isJsonObject } from '../json.ts';

/**
 * One step of a path in FieldsV1, in its serialized form: `f:<field>`, `k:<keys of a list item>`, `v:<value in a set>`,
 * `i:<position>`. The serialized form is canonical, so that equal steps are equal strings.
 *
 * https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#fieldsv1-v1-meta
 */
export type PathElement = string;

/** Says in a node of a FieldsV1 tree that the node itself is a member. */
export const SELF = '.';

export function fieldElement(name: string): PathElement {
  return `f:${name}`;
}

export function keyElement(keys: Readonly<Record<string, unknown>>): PathElement {
  return `k:${canonicalJson(keys)}`;
}

/** The same for one key, which most lists have. */
export function singleKeyElement(name: string, value: unknown): PathElement {
  return typeof value === 'string' && isPlain(value) && isPlain(name)
    ? `k:{"${name}":"${value}"}`
    : keyElement({ [name]: value });
}

/** Whether JSON, as Go writes it, has a text as it is. */
function isPlain(text: string): boolean {
  return /^[\w ./:@#+,;=-]*$/.test(text);
}

export function valueElement(value: unknown): PathElement {
  return `v:${canonicalJson(value)}`;
}

/** The field that an `f:` element names. */
export function fieldNameOf(element: PathElement): string | undefined {
  return element.startsWith('f:') ? element.slice(2) : undefined;
}

export function isKeyElement(element: PathElement): boolean {
  return element.startsWith('k:');
}

/**
 * The canonical form of what a client sent; `undefined` for kinds of elements that only a later version knows (they are
 * dropped, as the API server does).
 *
 * @throws SyntaxError when it is no path element.
 */
export function parseElement(text: string): PathElement | undefined {
  if (text.length < 2 || text[1] !== ':') throw new SyntaxError(`${JSON.stringify(text)} is no path element`);
  const rest = text.slice(2);
  switch (text[0]) {
    case 'f':
      return text;
    case 'v':
      return valueElement(JSON.parse(rest));
    case 'i':
      if (!/^[+-]?\d+$/.test(rest)) throw new SyntaxError(`${JSON.stringify(text)} is no position`);
      return `i:${String(Number(rest))}`;
    case 'k': {
      const keys: unknown = JSON.parse(rest);
      if (!isJsonObject(keys)) throw new SyntaxError(`${JSON.stringify(text)} has no keys`);
      return keyElement(keys);
    }
    default:
      return undefined;
  }
}

/** The order in which the API server writes them: fields, keys, values, positions, each by its own value. */
export function compareElements(a: PathElement, b: PathElement): number {
  if (a === b) return 0;
  const rankA = rankOf(a);
  const rankB = rankOf(b);
  if (rankA !== rankB) return rankA - rankB;
  return rankA <= 1 ? compareScalars(a, b) : compareValues(contentOf(a), contentOf(b));
}

/** As the messages of the API server show it: `.spec`, `[name="x"]`, `[="x"]`, `[3]`. */
export function elementText(element: PathElement): string {
  const field = fieldNameOf(element);
  if (field !== undefined) return `.${field}`;
  const content = contentOf(element);
  if (element.startsWith('v:')) return `[=${JSON.stringify(content)}]`;
  if (!isJsonObject(content)) return `[${String(content)}]`;
  return `[${Object.entries(content)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',')}]`;
}

export function pathText(path: readonly PathElement[]): string {
  return path.map(elementText).join('');
}

/** JSON as Go writes it: sorted keys, and `<`, `>`, `&` escaped. */
function canonicalJson(value: unknown): string {
  const sorted = isJsonObject(value) ? Object.fromEntries(Object.entries(value).sort(byName)) : value;
  const json = JSON.stringify(sorted);
  return /[<>&\u2028\u2029]/.test(json)
    ? json.replaceAll(/[<>&\u2028\u2029]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`)
    : json;
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return compareScalars(a, b);
}

const RANKS: Readonly<Record<string, number>> = { [SELF]: 0, f: 1, k: 2, v: 3, i: 4 };

function rankOf(element: PathElement): number {
  return RANKS[element.charAt(0)] ?? 5;
}

/** The items of a list are compared again with every write, and there are few different ones. */
const contents = new Map<PathElement, unknown>();
const MAX_CONTENTS = 10_000;

function contentOf(element: PathElement): unknown {
  let content = contents.get(element);
  if (content === undefined) {
    if (contents.size >= MAX_CONTENTS) contents.clear();
    content = JSON.parse(element.slice(2));
    contents.set(element, content);
  }
  return content;
}

/** Of different types: numbers, strings, booleans, objects, null (structured-merge-diff, `value.Compare`). */
function compareValues(a: unknown, b: unknown): number {
  const byType = typeRank(a) - typeRank(b);
  if (byType !== 0) return byType;
  if (isJsonObject(a) && isJsonObject(b)) return compareKeys(Object.entries(a), Object.entries(b));
  return typeof a === 'object' ? 0 : compareScalars(a as string, b as string);
}

function compareKeys(a: readonly [string, unknown][], b: readonly [string, unknown][]): number {
  for (let i = 0; ; i++) {
    const left = a[i];
    const right = b[i];
    if (left === undefined || right === undefined) return a.length - b.length;
    const order = compareScalars(left[0], right[0]) || compareValues(left[1], right[1]);
    if (order !== 0) return order;
  }
}

function typeRank(value: unknown): number {
  const rank = ['number', 'string', 'boolean', 'object'].indexOf(typeof value);
  return value === null ? 4 : rank;
}

function compareScalars<T extends string | number | boolean>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

import { GridferryError } from '../errors.ts';

type Segment =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'filter'; readonly path: readonly Segment[]; readonly equal: boolean; readonly value: unknown };

/**
 * The part of JSONPath that printer columns are written in: fields, positions, `[*]`, and filters such as
 * `.status.conditions[?(@.type=="Ready")].reason`. Returns everything that the path leads to.
 *
 * @throws GridferryError `GF_CLI_JSONPATH` on anything else.
 */
export function evaluateJsonPath(path: string, value: unknown): unknown[] {
  return follow(parse(path), value);
}

function follow(segments: readonly Segment[], value: unknown): unknown[] {
  let found: unknown[] = [value];
  for (const segment of segments) found = found.flatMap((node) => step(segment, node));
  return found;
}

function step(segment: Segment, node: unknown): unknown[] {
  switch (segment.kind) {
    case 'field': {
      if (typeof node !== 'object' || node === null || Array.isArray(node)) return [];
      const child = Object.hasOwn(node, segment.name) ? (node as Record<string, unknown>)[segment.name] : undefined;
      return child === undefined ? [] : [child];
    }
    case 'index': {
      const child: unknown = Array.isArray(node) ? node.at(segment.index) : undefined;
      return child === undefined ? [] : [child];
    }
    case 'all':
      if (Array.isArray(node)) return node as unknown[];
      return typeof node === 'object' && node !== null ? Object.values(node) : [];
    case 'filter':
      if (!Array.isArray(node)) return [];
      return node.filter((item) => (follow(segment.path, item)[0] === segment.value) === segment.equal);
  }
}

const parsed = new Map<string, readonly Segment[]>();

function parse(path: string): readonly Segment[] {
  const known = parsed.get(path);
  if (known !== undefined) return known;
  const segments: Segment[] = [];
  let rest = path.replace(/^\{(.*)\}$/, '$1').replace(/^\$/, '');
  while (rest !== '') {
    const [segment, length] = firstSegment(rest, path);
    segments.push(segment);
    rest = rest.slice(length);
  }
  parsed.set(path, segments);
  return segments;
}

const FIELD = /^\.((?:[^.[\]\\]|\\.)+)/;
const QUOTED = /^\[\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\]/;
const INDEX = /^\[(-?\d+)\]/;
const ALL = /^(?:\[\*\]|\.\*)/;
const FILTER = /^\[\?\(\s*@((?:\.[^.[\]\\=!<>\s)]+)+)\s*(==|!=)\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\s*\)\]/;

function firstSegment(rest: string, path: string): readonly [Segment, number] {
  const all = ALL.exec(rest);
  if (all !== null) return [{ kind: 'all' }, all[0].length];
  const field = FIELD.exec(rest);
  if (field !== null) return [{ kind: 'field', name: unescape(field[1] ?? '') }, field[0].length];
  const quoted = QUOTED.exec(rest);
  if (quoted !== null) return [{ kind: 'field', name: unescape(quoted[1] ?? quoted[2] ?? '') }, quoted[0].length];
  const index = INDEX.exec(rest);
  if (index !== null) return [{ kind: 'index', index: Number(index[1]) }, index[0].length];
  const filter = FILTER.exec(rest);
  if (filter !== null) {
    const [text, inner = '', operator, double, single, bare] = filter;
    const value: unknown = double ?? single ?? literal(bare ?? '');
    return [{ kind: 'filter', path: parse(inner), equal: operator === '==', value }, text.length];
  }
  throw new GridferryError(
    'GF_CLI_JSONPATH',
    `The path ${path} cannot be read at "${rest}"; fields, [0], [*] and [?(@.field=="value")] are understood.`,
  );
}

function literal(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/g, '$1');
}

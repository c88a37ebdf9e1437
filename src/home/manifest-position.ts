import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Document, LineCounter, Node } from 'yaml';
import { FILE_START } from './manifest-problem.ts';
import type { Position } from './manifest-problem.ts';

export function positionAt(lines: LineCounter, offset: number | undefined): Position {
  if (offset === undefined) return FILE_START;
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

/**
 * Where a field stands in its document: its value if that is a scalar, its key otherwise; the nearest parent's key when
 * the field is not there. `field` is written as Kubernetes does: `spec.ports[0].name`, `metadata.labels[a.b/c]`.
 */
export function locateField(
  document: Document,
  lines: LineCounter,
  path: readonly (string | number)[],
  field: string,
  prefer: 'value' | 'key' = 'value',
): Position {
  let node: Node | undefined = resolved(document.contents, document);
  let offset = node?.range?.[0];
  for (const part of path) {
    node = resolved(childOf(node, String(part))?.value, document);
    offset = node?.range?.[0] ?? offset;
  }
  let rest = field;
  while (rest !== '') {
    const found = matchChild(node, rest);
    if (found === undefined) break;
    const keyOffset = found.key?.range?.[0];
    node = resolved(found.value, document);
    const ownOffset = found.value?.range?.[0];
    const useKey = keyOffset !== undefined && (!isScalar(node) || (found.rest === '' && prefer === 'key'));
    offset = (useKey ? keyOffset : ownOffset) ?? keyOffset ?? offset;
    rest = found.rest;
  }
  return positionAt(lines, offset);
}

interface Child {
  readonly key: Node | undefined;
  readonly value: Node | undefined;
}

/** Takes the longest key off the front of `field`, as keys may contain dots themselves. */
function matchChild(node: Node | undefined, field: string): (Child & { rest: string }) | undefined {
  const text = field.startsWith('.') ? field.slice(1) : field;
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    if (end === -1) return undefined;
    const child = childOf(node, text.slice(1, end).replace(/^"(.*)"$/, '$1'));
    return child === undefined ? undefined : { ...child, rest: text.slice(end + 1) };
  }
  let end = text.length;
  while (end > 0) {
    const child = childOf(node, text.slice(0, end));
    if (child !== undefined) return { ...child, rest: text.slice(end) };
    end = Math.max(text.lastIndexOf('.', end - 1), text.lastIndexOf('[', end - 1));
  }
  return undefined;
}

function childOf(node: Node | undefined, key: string): Child | undefined {
  if (isSeq(node)) {
    const item = /^\d+$/.test(key) ? node.items[Number(key)] : undefined;
    return item === undefined ? undefined : { key: undefined, value: item as Node };
  }
  if (!isMap(node)) return undefined;
  for (const pair of node.items) {
    if (isScalar(pair.key) && String(pair.key.value) === key)
      return { key: pair.key, value: (pair.value ?? undefined) as Node | undefined };
  }
  return undefined;
}

function resolved(node: unknown, document: Document): Node | undefined {
  if (isAlias(node)) return node.resolve(document);
  return (node ?? undefined) as Node | undefined;
}

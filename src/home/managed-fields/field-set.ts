import { isJsonObject } from '../json.ts';
import { compareElements, parseElement, SELF } from './path-element.ts';
import type { PathElement } from './path-element.ts';

/**
 * A set of fields, in the very form in which `managedFields` holds it (FieldsV1), so that nothing is converted when an
 * object is read or written. A node without members of its own is a leaf and a member of the set; a node with some is a
 * member only if it has `.`. The root is never a member: nobody owns the whole object.
 *
 * Sets are immutable and share their parts. An operation that changes nothing returns its first operand itself. Members
 * of what is stored are in the order of `compareElements`.
 */
export interface FieldSet {
  readonly [element: PathElement]: FieldSet;
}

export const LEAF: FieldSet = Object.freeze({});
/** Of no field at all. What tells it from a leaf is only where it stands. */
export const EMPTY: FieldSet = Object.freeze({});
/** What a leaf stands for. */
const EXPANDED: FieldSet = Object.freeze({ [SELF]: LEAF });

/** A set, or a node of one, while it grows. */
export type FieldSetBuilder = Record<PathElement, FieldSet>;

export function isEmpty(set: FieldSet): boolean {
  for (const element in set) if (Object.hasOwn(set, element)) return false;
  return true;
}

/** The finished node: a leaf when it has nothing below. */
export function nodeOf(builder: FieldSetBuilder): FieldSet {
  return hasOnlySelf(builder) ? LEAF : builder;
}

/** A set whose members came in any order, at every depth in the order of `compareElements`. */
export function sorted(set: FieldSet): FieldSet {
  let result: FieldSetBuilder | undefined;
  for (const element in set) {
    const node = set[element] ?? LEAF;
    const inside = sorted(node);
    if (inside !== node) (result ??= { ...set })[element] = inside;
  }
  return inOrder(result ?? set);
}

function inOrder(builder: FieldSet): FieldSet {
  const elements = Object.keys(builder);
  for (let i = 1; i < elements.length; i++) {
    if (compareElements(elements[i - 1] ?? '', elements[i] ?? '') > 0) {
      elements.sort(compareElements);
      const ordered: FieldSetBuilder = {};
      for (const element of elements) ordered[element] = builder[element] ?? LEAF;
      return ordered;
    }
  }
  return builder;
}

/** Whether a node of a set, and not only something below it, is a member. */
export function isMember(node: FieldSet | undefined): boolean {
  return node !== undefined && (SELF in node || isEmpty(node));
}

/** What is below a node. */
export function childrenOf(node: FieldSet): FieldSet {
  if (!(SELF in node)) return node;
  const { [SELF]: _, ...children } = node;
  return children;
}

/** The same node as a member. */
export function asMember(node: FieldSet): FieldSet {
  return isMember(node) ? node : { [SELF]: LEAF, ...node };
}

/** What is in either. `b` may be in any order. */
export function union(a: FieldSet, b: FieldSet): FieldSet {
  return isEmpty(a) ? sorted(b) : unionOf(a, b);
}

/** What is in both. */
export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a;
  const result: FieldSetBuilder = {};
  for (const element in a) {
    const left = a[element];
    const right = b[element];
    if (left === undefined || right === undefined) continue;
    const node = element === SELF ? EXPANDED : intersection(expanded(left), expanded(right));
    if (!isEmpty(node)) result[element] = compressed(node);
  }
  return result;
}

/** What is in `a` and not in `b`. A parent and its child are different fields: taking one leaves the other. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  let rests: Map<PathElement, FieldSet> | undefined;
  for (const element in b) {
    const left = a[element];
    const right = b[element];
    if (left === undefined || right === undefined) continue;
    const before = expanded(left);
    const rest = element === SELF ? EMPTY : difference(before, expanded(right));
    if (rest !== before) (rests ??= new Map()).set(element, rest);
  }
  return withRests(a, rests);
}

/** What is in `a` and neither in `b` nor below a member of `b`. */
export function recursiveDifference(a: FieldSet, b: FieldSet): FieldSet {
  let rests: Map<PathElement, FieldSet> | undefined;
  for (const element in b) {
    const left = a[element];
    const right = b[element];
    if (left === undefined || right === undefined || element === SELF) continue;
    const before = expanded(left);
    const rest = isMember(right) ? EMPTY : recursiveDifference(before, right);
    if (rest !== before) (rests ??= new Map()).set(element, rest);
  }
  return withRests(a, rests);
}

/** A set of which some nodes shrank, perhaps to nothing. */
function withRests(set: FieldSet, rests: ReadonlyMap<PathElement, FieldSet> | undefined): FieldSet {
  if (rests === undefined) return set;
  const result: FieldSetBuilder = {};
  for (const element in set) {
    const node = rests.get(element) ?? set[element] ?? LEAF;
    if (!rests.has(element)) result[element] = node;
    else if (!isEmpty(node)) result[element] = compressed(node);
  }
  return result;
}

/** Calls back with the path of each member, parents first. The path is reused: copy it to keep it. */
export function forEachPath(set: FieldSet, visit: (path: readonly PathElement[]) => void): void {
  const path: PathElement[] = [];
  const walk = (node: FieldSet): void => {
    const elements = Object.keys(node).filter((element) => element !== SELF);
    for (const element of elements) {
      path.push(element);
      if (isMember(node[element])) visit(path);
      path.pop();
    }
    for (const element of elements) {
      path.push(element);
      walk(node[element] ?? LEAF);
      path.pop();
    }
  };
  walk(set);
}

/**
 * The set that a client sent, in canonical form.
 *
 * @throws SyntaxError when it is not FieldsV1.
 */
export function parseFieldSet(json: unknown): FieldSet {
  const result: FieldSetBuilder = {};
  if (json === null || json === undefined) return result;
  if (!isJsonObject(json)) throw new SyntaxError('fieldsV1 must be an object');
  for (const [text, child] of Object.entries(json)) {
    // At the root it says nothing, but is no mistake either.
    if (text === SELF) continue;
    const element = parseElement(text);
    if (element !== undefined) result[element] = parseNode(child);
  }
  return inOrder(result);
}

function parseNode(json: unknown): FieldSet {
  const children = parseFieldSet(json);
  return isEmpty(children) || !isJsonObject(json) || !(SELF in json) ? children : asMember(children);
}

function unionOf(a: FieldSet, b: FieldSet): FieldSet {
  let result: FieldSetBuilder | undefined;
  let added = false;
  for (const element in b) {
    const right = b[element];
    if (right === undefined) continue;
    const left = a[element];
    if (left === undefined) {
      result ??= { ...a };
      result[element] = sorted(right);
      added = true;
    } else if (element !== SELF && left !== right) {
      const before = expanded(left);
      const both = unionOf(before, expanded(right));
      if (both !== before) {
        result ??= { ...a };
        result[element] = compressed(both);
      }
    }
  }
  if (result === undefined) return a;
  return added ? inOrder(result) : result;
}

function expanded(node: FieldSet): FieldSet {
  return isEmpty(node) ? EXPANDED : node;
}

function compressed(node: FieldSet): FieldSet {
  return hasOnlySelf(node) ? LEAF : node;
}

function hasOnlySelf(node: FieldSet): boolean {
  for (const element in node) if (element !== SELF) return false;
  return true;
}

import type { JsonPatchOperation } from './client.ts';
import { isJsonObject, jsonCopy, jsonEqual, setMember } from './json.ts';

/** The API server's own limit. */
const MAX_OPERATIONS = 10_000;

/** A JSON patch that cannot be applied; the message names the operation. */
export class JsonPatchError extends Error {
  override name = 'JsonPatchError';
}

/** RFC 6902. `document` is left as it is; the whole patch applies or none of it. */
export function applyJsonPatch(document: unknown, operations: readonly JsonPatchOperation[]): unknown {
  if (!Array.isArray(operations)) throw new JsonPatchError('a JSON patch is a list of operations');
  if (operations.length > MAX_OPERATIONS) {
    throw new JsonPatchError(`a JSON patch may have at most ${String(MAX_OPERATIONS)} operations`);
  }
  const root = { value: jsonCopy(document) };
  for (const operation of operations as readonly JsonPatchOperation[]) applyOperation(root, operation);
  if (!isJsonObject(root.value)) throw new JsonPatchError('the patch leaves no object');
  return root.value;
}

interface Root {
  value: unknown;
}

function applyOperation(root: Root, operation: JsonPatchOperation): void {
  const { op, path } = operation;
  switch (op) {
    case 'add': {
      add(root, path, valueOf(operation));
      return;
    }
    case 'remove':
      remove(root, path);
      return;
    case 'replace': {
      replace(root, path, valueOf(operation));
      return;
    }
    case 'move': {
      const from = fromOf(operation);
      if (path.startsWith(`${from}/`)) throw new JsonPatchError(`cannot move ${from} into itself (${path})`);
      add(root, path, remove(root, from));
      return;
    }
    case 'copy': {
      add(root, path, jsonCopy(read(root, fromOf(operation))));
      return;
    }
    case 'test':
      if (!jsonEqual(read(root, path), operation.value ?? null))
        throw new JsonPatchError(`testing path ${path} failed`);
      return;
    default:
      throw new JsonPatchError(`unknown operation ${JSON.stringify(op)}`);
  }
}

function valueOf(operation: JsonPatchOperation): unknown {
  if (operation.value === undefined)
    throw new JsonPatchError(`operation ${operation.op} ${operation.path} has no value`);
  return jsonCopy(operation.value);
}

function fromOf(operation: JsonPatchOperation): string {
  if (operation.from === undefined) throw new JsonPatchError(`operation ${operation.op} ${operation.path} has no from`);
  return operation.from;
}

function tokens(pointer: string): string[] {
  if (typeof pointer !== 'string' || (pointer !== '' && !pointer.startsWith('/'))) {
    throw new JsonPatchError(`${JSON.stringify(pointer)} is not a JSON pointer: it starts with "/"`);
  }
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function step(node: unknown, token: string, pointer: string): unknown {
  if (Array.isArray(node)) return node[indexOf(token, node.length - 1, pointer)] as unknown;
  if (isJsonObject(node) && Object.hasOwn(node, token)) return node[token];
  throw new JsonPatchError(`path ${pointer} does not exist`);
}

function indexOf(token: string, max: number, pointer: string): number {
  // The library of the API server reads `00` as a number, too, against the letter of RFC 6901.
  const index = /^\d+$/.test(token) ? Number(token) : -1;
  if (index < 0 || index > max) throw new JsonPatchError(`path ${pointer} is outside of its list`);
  return index;
}

function read(root: Root, pointer: string): unknown {
  return tokens(pointer).reduce<unknown>((node, token) => step(node, token, pointer), root.value);
}

function parentOf(root: Root, pointer: string): { parent: unknown; last: string } | undefined {
  const path = tokens(pointer);
  const last = path.pop();
  if (last === undefined) return undefined;
  return { parent: path.reduce<unknown>((node, token) => step(node, token, pointer), root.value), last };
}

function add(root: Root, pointer: string, value: unknown): void {
  const place = parentOf(root, pointer);
  if (place === undefined) root.value = value;
  else if (Array.isArray(place.parent)) {
    const { parent, last } = place;
    parent.splice(last === '-' ? parent.length : indexOf(last, parent.length, pointer), 0, value);
  } else if (isJsonObject(place.parent)) setMember(place.parent, place.last, value);
  else throw new JsonPatchError(`path ${pointer} does not exist`);
}

function replace(root: Root, pointer: string, value: unknown): void {
  const place = parentOf(root, pointer);
  if (place === undefined) root.value = value;
  else if (Array.isArray(place.parent)) place.parent[indexOf(place.last, place.parent.length - 1, pointer)] = value;
  // As the library of the API server: what is not there yet is added.
  else if (isJsonObject(place.parent)) setMember(place.parent, place.last, value);
  else throw new JsonPatchError(`path ${pointer} does not exist`);
}

function remove(root: Root, pointer: string): unknown {
  const removed = read(root, pointer);
  const place = parentOf(root, pointer);
  if (place === undefined) root.value = null;
  else if (Array.isArray(place.parent)) place.parent.splice(Number(place.last), 1);
  else Reflect.deleteProperty(place.parent as object, place.last);
  return removed;
}

import { isJsonObject } from '../json.ts';
import { memberType } from './field-type.ts';
import type { FieldType, ListType, MapType, ScalarType } from './field-type.ts';
import { itemElement, typeFor } from './list-items.ts';
import { elementText, fieldElement } from './path-element.ts';
import type { PathElement } from './path-element.ts';

/**
 * What is wrong with the body of an apply, in the API server's words; it must fit the type strictly, whatever
 * `fieldValidation` says (structured-merge-diff, `Validate`).
 */
export function configurationProblems(type: FieldType, body: object): string[] {
  const problems: string[] = [];
  checkValue(type, body, '', problems);
  return problems;
}

function checkValue(type: FieldType, value: unknown, path: string, problems: string[]): void {
  const { map, scalar, list } = typeFor(type, value);
  if (value === null) return;
  if (map !== undefined) {
    if (isJsonObject(value)) checkMembers(map, value, path, problems);
    else report(path, `expected map, got &{${goText(value)}}`, problems);
  } else if (scalar !== undefined) checkScalar(scalar, value, path, problems);
  else if (list !== undefined) {
    if (Array.isArray(value)) checkItems(list, value, path, problems);
    else report(path, `expected list, got &{${goText(value)}}`, problems);
  }
}

function checkScalar(scalar: ScalarType, value: unknown, path: string, problems: string[]): void {
  const isScalar = typeof value !== 'object';
  if (scalar === 'string' && typeof value !== 'string') {
    report(path, `expected string, got &value.valueUnstructured{Value:${goText(value)}}`, problems);
  } else if (scalar === 'numeric' && typeof value !== 'number') {
    report(path, `expected numeric (int or float), got ${goType(value)}`, problems);
  } else if (scalar === 'boolean' && typeof value !== 'boolean') {
    report(path, `expected boolean, got &{${goText(value)}}`, problems);
  } else if (!isScalar) report(path, `expected any scalar, got &{${goText(value)}}`, problems);
}

function checkMembers(map: MapType, value: Readonly<Record<string, unknown>>, path: string, problems: string[]): void {
  for (const name of Object.keys(value).sort()) {
    const type = memberType(map, name);
    const below = path + elementText(fieldElement(name));
    if (type === undefined) {
      // The API server, too, stops here: one unknown field of a map is told.
      report(below, 'field not declared in schema', problems);
      return;
    }
    checkValue(type, value[name], below, problems);
  }
}

function checkItems(list: ListType, items: readonly unknown[], path: string, problems: string[]): void {
  const seen = new Set<PathElement>();
  for (const [index, item] of items.entries()) {
    if (list.atomic) {
      checkValue(list.element, item, `${path}[${String(index)}]`, problems);
      continue;
    }
    let element: PathElement;
    try {
      element = itemElement(list, item);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      report(path, `element ${String(index)}: ${error.message}`, problems);
      return;
    }
    if (seen.has(element)) report(path, `duplicate entries for key ${elementText(element)}`, problems);
    seen.add(element);
    checkValue(list.element, item, path + elementText(element), problems);
  }
}

function report(path: string, problem: string, problems: string[]): void {
  problems.push(path === '' ? problem : `${path}: ${problem}`);
}

/** As Go's `%v` prints it. */
function goText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`;
  if (value === null) return '<nil>';
  if (!isJsonObject(value)) return typeof value === 'string' ? value : JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `map[${members.map((name) => `${name}:${goText(value[name])}`).join(' ')}]`;
}

function goType(value: unknown): string {
  if (Array.isArray(value)) return '[]interface {}';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'object' ? 'map[string]interface {}' : typeof value;
}

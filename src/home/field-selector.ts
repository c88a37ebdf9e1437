import type { KubeObject, ResourceType } from '../api/meta.ts';
import { badRequest } from './api-messages.ts';
import { isJsonObject } from './json.ts';

export type FieldMatcher = (object: KubeObject) => boolean;

/** The fields, besides name and namespace, by which core kinds can be selected, as in Kubernetes. */
const CORE_FIELDS: Readonly<Record<string, readonly string[]>> = {
  events: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
  secrets: ['type'],
  namespaces: ['status.phase'],
};

/** The paths by which a kind can be selected: Kubernetes offers custom resources their name and namespace only. */
export function selectableFields(type: ResourceType, more: readonly string[] = []): readonly string[] {
  return [
    'metadata.name',
    'metadata.namespace',
    ...(type.group === '' ? (CORE_FIELDS[type.plural] ?? []) : []),
    ...more,
  ];
}

/**
 * `a.b=x`, `a.b==x`, `a.b!=x`, joined by commas; `\` escapes `,`, `=` and itself in values.
 *
 * @throws ApiError `BadRequest` on a field that is not in `fields`, or when the text does not parse.
 */
export function parseFieldSelector(selector: string, fields: readonly string[]): FieldMatcher {
  const matchers = splitUnescaped(selector)
    .filter((term) => term.trim() !== '')
    .map((term) => parseTerm(term.trim(), selector, fields));
  return (object) => matchers.every((matches) => matches(object));
}

function splitUnescaped(selector: string): string[] {
  return [...selector.matchAll(/(?:\\.|[^,\\])+/gs)].map((match) => match[0]);
}

function parseTerm(term: string, selector: string, fields: readonly string[]): FieldMatcher {
  const match = /^([^=!\\]+?)\s*(!=|==|=)(.*)$/s.exec(term);
  if (match === null) throw badRequest(`invalid selector: '${selector}'; can't understand '${term}'`);
  const [, path = '', operator, raw = ''] = match;
  // Before the name, as in the API server (apimachinery `fields/selector.go`), which names the sign by its number.
  if (/(^|[^\\])(\\\\)*=/.test(raw)) throw badRequest('invalid field selector: unescaped character in value: 61');
  if (!fields.includes(path)) throw badRequest(`field label not supported: ${path}`);
  const value = raw.trim().replaceAll(/\\(.)/gs, '$1');
  const keys = path === 'source' ? ['source', 'component'] : path.split('.');
  return (object) => (readField(object, keys) === value) === (operator !== '!=');
}

function readField(object: KubeObject, keys: readonly string[]): string {
  let node: unknown = object;
  for (const key of keys) node = isJsonObject(node) && Object.hasOwn(node, key) ? node[key] : undefined;
  return typeof node === 'string' || typeof node === 'number' || typeof node === 'boolean' ? String(node) : '';
}

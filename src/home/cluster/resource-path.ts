import { apiVersionOf } from '../../api/meta.ts';
import type { ObjectKey, ResourceType } from '../../api/meta.ts';
import { badRequest } from '../api-messages.ts';

/** `/apis/gridferry.io/v1alpha1/namespaces/default/transfers`; an empty namespace means all of them. */
export function collectionPath(type: ResourceType, namespace: string): string {
  const root = type.group === '' ? '/api' : '/apis';
  const scope = type.namespaced && namespace !== '' ? `/namespaces/${segment(namespace, 'namespace')}` : '';
  return `${root}/${apiVersionOf(type)}${scope}/${type.plural}`;
}

export function objectPath(type: ResourceType, { namespace, name }: ObjectKey, subresource?: string): string {
  if (type.namespaced && namespace === '') {
    throw badRequest(`an object of kind ${type.kind} is named by namespace and name, but there is no namespace`);
  }
  const path = `${collectionPath(type, namespace)}/${segment(name, 'name')}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/**
 * What stands between two slashes. The server decodes before it splits, so that an encoded slash would reach a
 * subresource or another kind. (apimachinery `api/validation/path`)
 */
function segment(text: string, what: string): string {
  const problem =
    text === ''
      ? 'may not be empty'
      : /[/%]/.test(text)
        ? "may not contain '/' or '%'"
        : /^\.\.?$/.test(text)
          ? `may not be '${text}'`
          : '';
  if (problem === '') return encodeURIComponent(text);
  throw badRequest(`invalid resource ${what} ${JSON.stringify(text)}: ${problem}`);
}

/** `?a=1&b=2` of what is given, or nothing. */
export function queryString(parameters: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

import type { IncomingMessage } from 'node:http';
import { isCustom } from '../../api/meta.ts';
import type { ResourceType } from '../../api/meta.ts';
import { badRequest } from '../api-messages.ts';
import type { JsonPatchOperation, Patch } from '../client.ts';
import { isJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { JsonTextError } from './json-text.ts';
import type { JsonText } from './json-text.ts';
import { isForced, requireManager } from './query-options.ts';
import { bodyType, parseJson, parseYaml, readBody, unknownFormat } from './request-body.ts';

const CUSTOM_TYPES = ['application/json-patch+json', 'application/merge-patch+json', 'application/apply-patch+yaml'];
const CORE_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

export type GivenPatch = Patch | { readonly type: 'strategic'; readonly body: JsonObject };

/**
 * The patch in the body of a request.
 *
 * @throws ApiError `BadRequest`, `UnsupportedMediaType`, `Invalid`
 */
export async function readPatch(
  request: IncomingMessage,
  type: ResourceType,
  query: URLSearchParams,
): Promise<{ readonly patch: GivenPatch; readonly duplicateFields: readonly string[] }> {
  const accepted = isCustom(type) ? CUSTOM_TYPES : CORE_TYPES;
  const media = bodyType(request);
  if (!accepted.includes(media)) throw unknownFormat(accepted);
  const body = await readBody(request);
  if (media === 'application/apply-patch+yaml') {
    requireManager(query);
    const { value, duplicateFields } = parsed(() => parseYaml(body), 'error decoding YAML: ');
    return { patch: { type: 'apply', body: objectIn(value), force: isForced(query) }, duplicateFields };
  }
  const { value, duplicateFields } = parsed(
    () => parseJson(body),
    media === 'application/strategic-merge-patch+json' ? '' : 'error decoding patch: ',
  );
  switch (media) {
    case 'application/json-patch+json': {
      if (!Array.isArray(value) || !value.every(isJsonObject)) {
        throw badRequest(
          `error decoding patch: json: cannot unmarshal ${kindOf(value)} into Go value of type []handlers.jsonPatchOp`,
        );
      }
      return { patch: { type: 'json', body: value as unknown as JsonPatchOperation[] }, duplicateFields };
    }
    case 'application/strategic-merge-patch+json':
      return { patch: { type: 'strategic', body: objectIn(value) }, duplicateFields };
    default:
      return { patch: { type: 'merge', body: objectIn(value) }, duplicateFields };
  }
}

function parsed(parse: () => JsonText, context: string): JsonText {
  try {
    return parse();
  } catch (error) {
    if (error instanceof JsonTextError) throw badRequest(`${context}${error.message}`);
    throw error;
  }
}

function objectIn(value: unknown): JsonObject {
  if (isJsonObject(value)) return value;
  throw badRequest(
    `error decoding patch: json: cannot unmarshal ${kindOf(value)} into Go value of type map[string]interface {}`,
  );
}

/** What Go's `encoding/json` calls it. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value === null) return 'null';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

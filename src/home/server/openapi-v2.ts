import type { IncomingMessage } from 'node:http';
import { ApiError } from '../api-error.ts';
import { json } from './answer.ts';
import type { Answer } from './answer.ts';
import { parseMediaType } from './media-types.ts';
import { methodNotAllowed } from './status-body.ts';

/** The name of the format today, and the one that kubectl asks for: a relic with a sign that media types may not have. */
const PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const PROTOBUF_OF_OLD = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';

/**
 * The old OpenAPI document, with nothing in it: what there is to know is in version 3. kubectl reads it before a `List` or
 * a kind that version 3 does not have, and leaves to the server what it finds no schema for.
 *
 * @param release of this program
 * @throws ApiError `NotAcceptable`, `MethodNotAllowed`
 */
export function openApiV2(request: IncomingMessage, release: string): Answer {
  if (request.method !== 'GET') throw methodNotAllowed();
  const info = { title: 'Gridferry', version: release };
  for (const clause of (request.headers.accept || '*/*').split(',')) {
    switch (parseMediaType(clause).type) {
      case PROTOBUF:
      case PROTOBUF_OF_OLD:
        return { code: 200, body: documentOf(info), contentType: PROTOBUF };
      case 'application/json':
      case 'application/*':
      case '*/*':
        return json({ swagger: '2.0', info, paths: {}, definitions: {} });
    }
  }
  throw new ApiError(
    'NotAcceptable',
    `only the following media types are accepted: application/json, ${PROTOBUF_OF_OLD}, ${PROTOBUF}`,
  );
}

/** The same as an `openapi_v2.Document` (google/gnostic `OpenAPIv2.proto`): swagger = 1, info = 2, in which title = 1, version = 2. */
function documentOf({ title, version }: { readonly title: string; readonly version: string }): string {
  return field(1, '2.0') + field(2, field(1, title) + field(2, version));
}

/** A text or message of protobuf's wire format; as long as it has less than 128 bytes, its length is one of them. */
function field(number: number, content: string): string {
  return String.fromCharCode((number << 3) | 2, content.length) + content;
}

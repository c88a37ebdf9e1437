import type { IncomingMessage } from 'node:http';
import { isCustom } from '../../api/meta.ts';
import type { KubeObject, ResourceType } from '../../api/meta.ts';
import { badRequest } from '../api-messages.ts';
import { isJsonObject } from '../json.ts';
import { JsonTextError } from './json-text.ts';
import type { JsonText } from './json-text.ts';
import { bodyType, parseJson, parseYaml, readBody, unknownFormat } from './request-body.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const BODY_TYPES = ['application/json', 'application/yaml', PROTOBUF];
/** How much of a body is shown that cannot be made sense of. */
const SHOWN_OF_BODY = 30;

export interface GivenObject {
  readonly object: KubeObject;
  readonly duplicateFields: readonly string[];
}

/**
 * The object in the body of a request; whether it is one of its kind is for the home to find out.
 *
 * @throws ApiError `BadRequest`, `UnsupportedMediaType`, `RequestEntityTooLarge`
 */
export async function decodeObject(request: IncomingMessage, type: ResourceType): Promise<GivenObject> {
  const media = bodyType(request);
  // Custom kinds have no protobuf form, though the API server names it among what it reads.
  if (!BODY_TYPES.includes(media) || (isCustom(type) && media === PROTOBUF)) throw unknownFormat(BODY_TYPES);
  const body = await readBody(request);
  const unrecognized = `the object provided is unrecognized (must be of type ${type.kind})`;
  const { value, duplicateFields } = await parsed(
    body,
    media,
    (problem) => `${unrecognized}: ${problem}${excerpt(body)}`,
  );
  if (!isJsonObject(value)) {
    throw badRequest(
      `${unrecognized}: couldn't get version/kind; json parse error: it is not an object${excerpt(body)}`,
    );
  }
  return { object: value as unknown as KubeObject, duplicateFields };
}

/**
 * What a deletion or a review may carry, or `undefined`.
 *
 * @param context goes before what is wrong with it
 */
export async function decodeOptions(request: IncomingMessage, context = ''): Promise<unknown> {
  const media = bodyType(request);
  const body = await readBody(request);
  if (body.length === 0) return undefined;
  if (!BODY_TYPES.includes(media)) throw unknownFormat(BODY_TYPES);
  return (await parsed(body, media, (problem) => `${context}${problem}`)).value;
}

async function parsed(body: Buffer, media: string, message: (problem: string) => string): Promise<JsonText> {
  try {
    switch (media) {
      case PROTOBUF: {
        const { decodeProtobuf } = await import('./protobuf.ts');
        return { value: decodeProtobuf(body), duplicateFields: [] };
      }
      case 'application/yaml':
        return parseYaml(body);
      default:
        return parseJson(body);
    }
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    const problem =
      media === 'application/json' ? `couldn't get version/kind; json parse error: ${error.message}` : error.message;
    throw badRequest(message(problem));
  }
}

/** The start of a body, as the API server shows it: as text when it looks like JSON, else in hexadecimal. */
function excerpt(body: Buffer): string {
  if (body.length === 0) return ' (<empty>)';
  const start = body.subarray(0, SHOWN_OF_BODY);
  const text = body[0] === 0x7b ? start.toString() : start.toString('hex');
  return ` (${text}${body.length > SHOWN_OF_BODY ? ' ...' : ''})`;
}

import type { IncomingMessage } from 'node:http';
import { parseDocument } from 'yaml';
import { messageOf } from '../../errors.ts';
import { ApiError } from '../api-error.ts';
import { JsonTextError, parseJsonText } from './json-text.ts';
import type { JsonText } from './json-text.ts';
import { parseMediaType } from './media-types.ts';

/** The API server's own limit. */
const MAX_BYTES = 3 * 1024 * 1024;
/** Deeper nesting is refused (Go's `encoding/json` has the same bound), and nothing here recurses further than that. */
const MAX_DEPTH = 1000;
/** How often aliases may be expanded in one document: a "billion laughs" ends here. */
const MAX_ALIASES = 100;

/**
 * The whole body.
 *
 * @throws ApiError `RequestEntityTooLarge`, at once when the client announces it, else as soon as it is seen.
 */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > MAX_BYTES) throw tooLarge();
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MAX_BYTES) throw tooLarge();
    parts.push(part);
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, bytes);
}

function tooLarge(): ApiError {
  return new ApiError('RequestEntityTooLarge', `Request entity too large: limit is ${String(MAX_BYTES)}`);
}

/** The media type of a body; JSON when the client does not say, as in the API server. */
export function bodyType(request: IncomingMessage): string {
  const header = request.headers['content-type'];
  return header === undefined || header === '' ? 'application/json' : parseMediaType(header).type;
}

/** @throws ApiError `UnsupportedMediaType` */
export function unknownFormat(accepted: readonly string[]): ApiError {
  return new ApiError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
}

/** @throws JsonTextError */
export function parseJson(body: Buffer): JsonText {
  return parseJsonText(body.toString('utf8'), MAX_DEPTH);
}

/**
 * YAML 1.1, as an API server reads it; JSON is YAML, too, and is parsed as what it is.
 *
 * @throws JsonTextError
 */
export function parseYaml(body: Buffer): JsonText {
  const text = body.toString('utf8');
  if (text.trimStart().startsWith('{')) return parseJson(body);
  let json: string;
  try {
    const document = parseDocument(text, { version: '1.1', merge: true, uniqueKeys: true, logLevel: 'silent' });
    const [problem] = document.errors;
    if (problem !== undefined) throw problem;
    json = JSON.stringify(document.toJS({ maxAliasCount: MAX_ALIASES }) ?? null);
  } catch (error) {
    throw new JsonTextError(`yaml: ${messageOf(error).split('\n', 1)[0] ?? ''}`);
  }
  return { value: parseJsonText(json, MAX_DEPTH).value, duplicateFields: [] };
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from '../api-error.ts';
import { messageOf } from '../../errors.ts';
import { failureStatus } from './status-body.ts';

/** A whole answer. */
export interface Answer {
  readonly code: number;
  readonly body: string;
  readonly contentType: string;
  readonly etag?: string;
  readonly warnings?: readonly string[];
}

export function json(value: unknown, code = 200): Answer {
  return { code, body: `${JSON.stringify(value)}\n`, contentType: 'application/json' };
}

export function text(body: string, code = 200): Answer {
  return { code, body, contentType: 'text/plain; charset=utf-8' };
}

/** The `Status` of anything thrown. An error of unknown origin is the server's own fault and says so. */
export function failure(error: unknown): Answer {
  return json(failureStatus(asApiError(error)), asApiError(error).httpCode);
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('InternalError', `Internal error occurred: ${messageOf(error)}`, {}, error);
}

export function send(request: IncomingMessage, response: ServerResponse, answer: Answer, error?: ApiError): void {
  const { code, body, contentType, etag, warnings = [] } = answer;
  const headers: Record<string, string | number | string[]> = {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-cache, private',
  };
  if (etag !== undefined) headers['etag'] = etag;
  if (contentType.startsWith('text/')) headers['x-content-type-options'] = 'nosniff';
  if (warnings.length > 0) headers['warning'] = warnings.map(warningHeader);
  const wait = error?.statusDetails.retryAfterSeconds;
  if (wait !== undefined) headers['retry-after'] = wait;
  if (code === 401) headers['www-authenticate'] = 'Bearer realm="gridferry"';
  // What is left of a body that nobody read would be taken for the next request.
  if (!request.complete) headers['connection'] = 'close';
  response.writeHead(code, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** RFC 7234 5.5: code 299, no agent, and the text in quotes. Headers travel as bytes: UTF-8 goes as it is. */
function warningHeader(warning: string): string {
  const printable = warning.replaceAll(/[\u0000-\u001f\u007f]/g, ' ').replaceAll(/["\\]/g, String.raw`\$&`);
  return Buffer.from(`299 - "${printable}"`).toString('latin1');
}

import { ApiError } from '../api-error.ts';
import type { StatusCause, StatusDetails, StatusReason } from '../api-error.ts';
import { isJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';

const REASONS: Readonly<Record<StatusReason, true>> = {
  BadRequest: true,
  Unauthorized: true,
  Forbidden: true,
  NotFound: true,
  MethodNotAllowed: true,
  NotAcceptable: true,
  AlreadyExists: true,
  Conflict: true,
  Gone: true,
  Expired: true,
  Invalid: true,
  UnsupportedMediaType: true,
  RequestEntityTooLarge: true,
  TooManyRequests: true,
  InternalError: true,
  ServiceUnavailable: true,
  Timeout: true,
  Unknown: true,
};

const REASON_OF_CODE: Readonly<Record<number, StatusReason>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  502: 'ServiceUnavailable',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/**
 * The exception for an answer that is an error.
 *
 * @param code - The HTTP code, or that of the Status in a watch.
 * @param body - A `Status`; proxies and a server in trouble send other things.
 * @param retryAfterSeconds - Of the `Retry-After` header.
 */
export function statusError(code: number, body: unknown, retryAfterSeconds?: number): ApiError {
  const status = isJsonObject(body) && body['kind'] === 'Status' ? body : {};
  const message = typeof status['message'] === 'string' ? status['message'] : plainMessage(code, body);
  const details = detailsOf(status);
  return new ApiError(reasonOf(status, code), message, {
    ...details,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
}

/** What etcd could not do for now: the API server hands it on without a reason, too. */
const ETCD_TROUBLE = /^(?:etcdserver:|rpc error:|context deadline exceeded)/;

function reasonOf({ kind, reason, message }: JsonObject, code: number): StatusReason {
  if (typeof reason === 'string' && Object.hasOwn(REASONS, reason)) return reason as StatusReason;
  // The server could not do it in time, which is not the request's fault: it is asked to be tried again.
  if (reason === 'ServerTimeout') return 'Timeout';
  const said = kind === 'Status' && !reason && typeof message === 'string';
  if (said && code === 500 && !ETCD_TROUBLE.test(message)) return 'Unknown';
  return REASON_OF_CODE[code] ?? (code >= 500 ? 'InternalError' : 'BadRequest');
}

function detailsOf(status: JsonObject): StatusDetails {
  const given = status['details'];
  if (!isJsonObject(given)) return {};
  const { name, group, kind, uid, causes, retryAfterSeconds } = given;
  return {
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof group === 'string' ? { group } : {}),
    ...(typeof kind === 'string' ? { kind } : {}),
    ...(typeof uid === 'string' ? { uid } : {}),
    ...(Array.isArray(causes) ? { causes: causes.filter(isJsonObject).map(causeOf) } : {}),
    ...(typeof retryAfterSeconds === 'number' && retryAfterSeconds > 0 ? { retryAfterSeconds } : {}),
  };
}

function causeOf({ reason, message, field }: JsonObject): StatusCause {
  return {
    reason: typeof reason === 'string' ? reason : '',
    message: typeof message === 'string' ? message : '',
    ...(typeof field === 'string' ? { field } : {}),
  };
}

function plainMessage(code: number, body: unknown): string {
  const text = typeof body === 'string' ? body.replaceAll(/\s+/g, ' ').trim().slice(0, 200) : '';
  return `the server answered ${code}${text === '' ? '' : `: ${text}`}`;
}

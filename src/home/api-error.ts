import { GridferryError } from '../errors.ts';
import type { ErrorClass, ErrorCode } from '../errors.ts';

/** The `reason` values of a Kubernetes `Status` that Gridferry produces or acts on. */
export type StatusReason =
  | 'BadRequest'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'MethodNotAllowed'
  | 'NotAcceptable'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Gone'
  | 'Expired'
  | 'Invalid'
  | 'UnsupportedMediaType'
  | 'RequestEntityTooLarge'
  | 'TooManyRequests'
  | 'InternalError'
  | 'ServiceUnavailable'
  | 'Timeout'
  /** A `Status` without a reason (`metav1.StatusReasonUnknown`), of code 500: what the API server refuses without saying how. */
  | 'Unknown';

export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field?: string;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

const HTTP_CODES: Record<StatusReason, number> = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
  Unknown: 500,
};

const CODES: Partial<Record<StatusReason, ErrorCode>> = {
  NotFound: 'GF_API_NOT_FOUND',
  AlreadyExists: 'GF_API_ALREADY_EXISTS',
  Conflict: 'GF_API_CONFLICT',
  Expired: 'GF_API_EXPIRED',
  Invalid: 'GF_API_INVALID',
  Forbidden: 'GF_API_FORBIDDEN',
  Unauthorized: 'GF_API_UNAUTHORIZED',
};

const CLASSES: Partial<Record<StatusReason, ErrorClass>> = {
  Conflict: 'conflict',
  Expired: 'retryable',
  TooManyRequests: 'retryable',
  InternalError: 'retryable',
  ServiceUnavailable: 'retryable',
  Timeout: 'retryable',
};

/** What the API answers instead of an object: a Kubernetes `Status` as an exception. */
export class ApiError extends GridferryError {
  readonly reason: StatusReason;
  readonly statusDetails: StatusDetails;

  constructor(reason: StatusReason, message: string, details: StatusDetails = {}, cause?: unknown) {
    super(CODES[reason] ?? 'GF_API_ERROR', message, {
      class: CLASSES[reason] ?? 'terminal',
      ...(cause === undefined ? {} : { cause }),
      ...(details.retryAfterSeconds === undefined ? {} : { retryAfterMs: details.retryAfterSeconds * 1000 }),
    });
    this.name = 'ApiError';
    this.reason = reason;
    this.statusDetails = details;
  }

  get httpCode(): number {
    return HTTP_CODES[this.reason];
  }
}

export function isReason(error: unknown, ...reasons: readonly StatusReason[]): error is ApiError {
  return error instanceof ApiError && reasons.includes(error.reason);
}

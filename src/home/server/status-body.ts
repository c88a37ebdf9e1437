import { ApiError } from '../api-error.ts';
import { ContinueExpiredError } from '../continue-token.ts';

/** A Kubernetes `Status` that says what went wrong. */
export function failureStatus(error: ApiError): Record<string, unknown> {
  const { statusDetails: details, reason, message, httpCode } = error;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: error instanceof ContinueExpiredError ? { continue: error.continue } : {},
    status: 'Failure',
    message,
    ...(reason === 'Unknown' ? {} : { reason }),
    ...(hasDetails(error) ? { details } : {}),
    code: httpCode,
  };
}

/** The API server leaves `details` out of most errors that concern no object; of these it writes them empty. */
function hasDetails({ statusDetails, reason }: ApiError): boolean {
  return Object.keys(statusDetails).length > 0 || ['NotFound', 'MethodNotAllowed', 'Invalid'].includes(reason);
}

/** What a deletion that left nothing behind answers. */
export function deletedStatus(details: { name: string; group?: string; kind: string; uid?: string }): unknown {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
}

/** "the server could not find the requested resource": what the API server says of what it does not serve. */
export function notServed(): ApiError {
  return new ApiError('NotFound', 'the server could not find the requested resource');
}

export function methodNotAllowed(): ApiError {
  return new ApiError('MethodNotAllowed', 'the server does not allow this method on the requested resource');
}

import { ApiError } from './api-error.ts';

/** `BadRequest`, with the selector as it was given and what is wrong with it. */
export function selectorError(kind: 'label' | 'field', selector: string, problem: string): ApiError {
  return new ApiError('BadRequest', `the ${kind} selector ${JSON.stringify(selector)} is not valid: ${problem}`);
}

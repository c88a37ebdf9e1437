import { GridferryError, messageOf } from '../../../src/errors.ts';
import type { ErrorCode } from '../../../src/errors.ts';

/** Why a transfer cannot be done. */
export interface Blocker {
  readonly code: ErrorCode;
  readonly message: string;
}

/** A failure that stands in the way. */
export function blockerOf(error: unknown): Blocker {
  const code = error instanceof GridferryError ? error.code : 'GF_UNEXPECTED';
  return { code, message: messageOf(error) };
}

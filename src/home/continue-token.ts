import type { ObjectKey } from '../api/meta.ts';
import { ApiError } from './api-error.ts';
import { badRequest } from './api-messages.ts';
import { isJsonObject } from './json.ts';

/** Where a list goes on: after this object, in the snapshot of this version. */
export interface ContinuePoint {
  readonly version: number;
  readonly after: ObjectKey;
}

export function encodeContinue({ version, after }: ContinuePoint): string {
  return Buffer.from(JSON.stringify({ v: 1, rv: version, ns: after.namespace, name: after.name })).toString(
    'base64url',
  );
}

/** @throws ApiError `BadRequest` on a token that is not one of ours, `Expired` (410) when the snapshot is gone. */
export function decodeContinue(token: string, floor: number, head: number): ContinuePoint {
  const refused = badRequest('continue key is not valid');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    throw refused;
  }
  if (!isJsonObject(parsed)) throw refused;
  const { v, rv, ns, name } = parsed;
  if (
    v !== 1 ||
    typeof rv !== 'number' ||
    !Number.isSafeInteger(rv) ||
    typeof ns !== 'string' ||
    typeof name !== 'string'
  ) {
    throw refused;
  }
  if (rv < floor || rv > head) {
    throw new ApiError(
      'Expired',
      'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.',
    );
  }
  return { version: rv, after: { namespace: ns, name } };
}

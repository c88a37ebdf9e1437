import type { ObjectKey } from '../api/meta.ts';
import { ApiError } from './api-error.ts';
import { badRequest } from './api-messages.ts';
import { isJsonObject } from './json.ts';

/** Where a list goes on: after this object, in the snapshot of this version (`undefined`: in whatever is there now). */
export interface ContinuePoint {
  readonly version: number | undefined;
  readonly after: ObjectKey;
}

/** The API server's own form (apiserver `storage/continue.go`), in which -1 stands for "now". */
const FORM = 'meta.k8s.io/v1';
const NOW = -1;

/**
 * The snapshot behind a continue token is gone. `continue` goes on all the same, in a list that is then not consistent.
 */
export class ContinueExpiredError extends ApiError {
  readonly continue: string;

  constructor(after: ObjectKey) {
    super(
      'Expired',
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
    );
    this.name = 'ContinueExpiredError';
    this.continue = encodeContinue({ version: undefined, after });
  }
}

export function encodeContinue({ version, after }: ContinuePoint): string {
  const start = `${after.namespace}/${after.name}\0`;
  return Buffer.from(JSON.stringify({ v: FORM, rv: version ?? NOW, start })).toString('base64url');
}

/**
 * @throws ApiError `BadRequest` on a token that is not one of ours; `ContinueExpiredError` (410) when the snapshot is
 * gone.
 */
export function decodeContinue(token: string, floor: number, head: number): ContinuePoint {
  const refused = badRequest('invalid continue token: continue key is not valid');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    throw refused;
  }
  if (!isJsonObject(parsed)) throw refused;
  const { v, rv, start } = parsed;
  const place = typeof start === 'string' ? /^([^/\0]*)\/([^/\0]+)\0$/.exec(start) : null;
  if (v !== FORM || typeof rv !== 'number' || !Number.isSafeInteger(rv) || place === null) throw refused;
  const after = { namespace: place[1] ?? '', name: place[2] ?? '' };
  if (rv === NOW) return { version: undefined, after };
  if (rv < floor || rv > head) throw new ContinueExpiredError(after);
  return { version: rv, after };
}

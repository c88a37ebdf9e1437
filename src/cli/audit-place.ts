import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { logParts } from '../audit/log-parts.ts';
import { GridferryError } from '../errors.ts';
import { AUDIT_FILE, findState } from './state-directory.ts';

/** Which log a command means, and the state directory that knows its end. */
export interface AuditPlace {
  readonly path: string;
  readonly stateDirectory: string | undefined;
}

/**
 * The log that was named, else that of the state. A log that was named has the state beside it, or the one of `--state`:
 * that of another run would know nothing of it.
 *
 * @throws GridferryError `GF_AUDIT_NOT_FOUND`; `GF_CLI_NO_STATE` when neither is named and there is no state
 */
export function findAuditLog(file: string | undefined, state: string | undefined): AuditPlace {
  if (file === undefined) {
    const { path } = findState(state);
    return checked({ path: join(path, AUDIT_FILE), stateDirectory: path });
  }
  const path = resolve(file);
  const beside = resolve(path, '..');
  const stateDirectory = state ?? (existsSync(join(beside, 'gridferry.db')) ? beside : undefined);
  return checked({ path, stateDirectory: stateDirectory === undefined ? undefined : resolve(stateDirectory) });
}

function checked(place: AuditPlace): AuditPlace {
  // Cut down to nothing is what a state would tell of; without one there is nothing to say.
  if (place.stateDirectory !== undefined || logParts(place.path).length > 0) return place;
  throw new GridferryError(
    'GF_AUDIT_NOT_FOUND',
    `There is no audit log at ${place.path}: name the file, or the state directory of a run with --state.`,
    { details: { path: place.path } },
  );
}

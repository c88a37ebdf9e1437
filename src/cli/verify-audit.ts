import { readHeadFile } from '../audit/standalone-log.ts';
import { verifyLog } from '../audit/verify.ts';
import type { AuditAnchor } from '../audit/verify.ts';
import { readAnchor } from '../home/audit-journal.ts';
import type { SealedAnchor } from '../home/audit-journal.ts';
import { defaultKeySource, homeKeys } from '../home/home-keys.ts';
import { openStoreFile } from '../home/store-file.ts';
import { findAuditLog } from './audit-place.ts';
import { ExitCode } from './cli-error.ts';
import { namedKeySource } from './encryption-options.ts';
import { standardOutput } from './output.ts';

const MOST_TRIES = 10;

/** Checks a log and prints the verdict. Returns the exit code. */
export async function verifyAudit(
  file: string | undefined,
  options: { readonly state?: string; readonly encryptionKeyFile?: string },
): Promise<number> {
  const { path, stateDirectory } = findAuditLog(file, options.state);
  const readAnchorNow = (): AuditAnchor | SealedAnchor | undefined =>
    stateDirectory === undefined ? readHeadFile(path) : storeAnchor(stateDirectory, options.encryptionKeyFile);
  let anchor = readAnchorNow();
  let verdict = await verifyLog(path, anchor);
  // A log that is being written has gone on meanwhile, and so has what is known of its end.
  for (let again = 0; verdict.bad !== undefined && again < MOST_TRIES; again++) {
    const before = anchor;
    anchor = readAnchorNow();
    if (before?.flushed === anchor?.flushed && before?.head === anchor?.head) break;
    verdict = await verifyLog(path, anchor);
  }
  const seal = anchor !== undefined && 'seal' in anchor ? anchor.seal : undefined;
  for (const note of [...verdict.notes, ...sealNotes(seal)]) standardOutput.note(`note: ${note}`);
  if (verdict.bad !== undefined) {
    const { file: where, line, why } = verdict.bad;
    standardOutput.print(`${where}:${line}: ${why}`);
    return ExitCode.failed;
  }
  if (seal === 'Bad') {
    standardOutput.print(`${path}: the end of the log is not sealed with the key of this home: the store was altered`);
    return ExitCode.failed;
  }
  const range = verdict.lines === 0 ? '' : `, ${verdict.first} to ${verdict.last}`;
  standardOutput.print(`${path}: ${verdict.lines} lines${range}, as they were written`);
  return ExitCode.ok;
}

function storeAnchor(stateDirectory: string, keyFile: string | undefined): SealedAnchor {
  const database = openStoreFile(stateDirectory, true);
  try {
    return readAnchor(database, homeKeys(namedKeySource(keyFile) ?? defaultKeySource(stateDirectory)));
  } finally {
    database.close();
  }
}

function sealNotes(seal: SealedAnchor['seal'] | undefined): string[] {
  return seal === 'NoKey'
    ? [
        'the seal of the end was not checked, for want of the key: who can write both log and state could have made both anew',
      ]
    : [];
}

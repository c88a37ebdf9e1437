import type { SourceStatus } from '../../api/resources.ts';
import { GridferryError, messageOf } from '../../errors.ts';
import { setCondition } from '../../runtime/conditions.ts';
import { timestamp } from '../../runtime/timestamp.ts';
import type { ManifestProblem } from '../manifest-problem.ts';
import { counted, statusProblems, verdictConditions } from '../source-status.ts';
import type { SourceVerdict } from '../source-status.ts';

/** Why the newest commit is not the one in use. */
export interface Refusal {
  readonly commit: string;
  readonly reason: 'CommitInvalid' | 'HistoryRewritten' | 'PathNotFound' | 'NoManifests';
  readonly message: string;
  readonly problems: readonly ManifestProblem[];
}

/** The last answer of the remote, or why there is none. */
export type Contact =
  | { readonly kind: 'none' }
  | { readonly kind: 'ok' }
  /** @param sinceMs wall clock of the first failure in a row */
  | { readonly kind: 'failed'; readonly sinceMs: number; readonly error: unknown };

/** What is known of a Git source: everything that its status is made of. */
export interface GitSourceState {
  readonly branch: string;
  readonly contact: Contact;
  /** Wall clock, ms. */
  readonly fetchedAtMs: number | undefined;
  readonly attempted: string | undefined;
  readonly refusal: Refusal | undefined;
  /** The commit in use, with its size. */
  readonly desired: { readonly commit: string; readonly objects: number; readonly files: number } | undefined;
  /** The commit of which everything is applied. */
  readonly applied: string | undefined;
  /** What keeps the commit in use from being applied completely. */
  readonly failures: readonly ManifestProblem[];
  readonly waitingFor: number;
  readonly handledRequest: string | undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  GF_GIT_UNREACHABLE: 'RemoteUnreachable',
  GF_GIT_TIMEOUT: 'RemoteUnreachable',
  GF_GIT_AUTH: 'AuthenticationFailed',
  GF_GIT_CREDENTIALS: 'CredentialsUnusable',
  GF_GIT_HOST_KEY: 'HostKeyUnknown',
  GF_GIT_NOT_FOUND: 'RepositoryNotFound',
  GF_GIT_BRANCH: 'BranchNotFound',
  GF_GIT_EMPTY: 'RepositoryEmpty',
  GF_GIT_DISK_FULL: 'DiskFull',
  GF_GIT_TOO_LARGE: 'RepositoryTooLarge',
  GF_GIT_CORRUPT: 'CloneDamaged',
};

/** `main@9f3c2a1b7d04`: as people refer to it. */
export function shortRevision(branch: string, commit: string): string {
  return `${branch}@${commit.slice(0, 12)}`;
}

/**
 * The status that follows from what is known.
 *
 * @param before what is stored, for the times of transitions.
 * @param now wall clock, ms
 */
export function gitStatus(
  state: GitSourceState,
  before: SourceStatus | undefined,
  observedGeneration: number,
  now: number,
): SourceStatus {
  const { branch, contact, fetchedAtMs, attempted, refusal, desired, applied, failures, handledRequest } = state;
  let conditions = verdictConditions(before?.conditions, gitVerdict(state), observedGeneration, now);
  const fetched = fetchedCondition(contact);
  if (fetched !== undefined) {
    conditions = setCondition(conditions, { type: 'Fetched', ...fetched, observedGeneration }, now);
  }
  const problems = statusProblems(refusal === undefined ? failures : refusal.problems);
  return {
    observedGeneration,
    conditions,
    ...(applied === undefined ? {} : { revision: shortRevision(branch, applied), lastAppliedRevision: applied }),
    ...(attempted === undefined ? {} : { lastAttemptedRevision: attempted }),
    ...(fetchedAtMs === undefined ? {} : { lastFetchedAt: timestamp(fetchedAtMs) }),
    ...(handledRequest === undefined ? {} : { lastHandledReconcileAt: handledRequest }),
    ...(desired === undefined ? {} : { files: desired.files, objects: desired.objects }),
    ...(problems === undefined ? {} : { problems }),
  };
}

function gitVerdict(state: GitSourceState): SourceVerdict {
  const { branch, contact, refusal, desired, applied, failures, waitingFor } = state;
  const inUse = desired?.commit ?? applied;
  const stays = inUse === undefined ? 'nothing is applied' : `${shortRevision(branch, inUse)} stays in use`;
  const reason = contact.kind === 'failed' ? reasonOf(contact.error) : '';
  const offline = reason === 'RemoteUnreachable';
  if (contact.kind === 'failed' && (!offline || (desired === undefined && refusal === undefined))) {
    const message = `${messageOf(contact.error)} Since ${timestamp(contact.sinceMs)}; ${stays}`;
    return { ready: 'False', reason, message, trend: offline ? 'progressing' : 'stalled' };
  }
  if (refusal !== undefined) {
    return { ready: 'False', reason: refusal.reason, message: `${refusal.message}; ${stays}`, trend: 'stalled' };
  }
  if (desired === undefined) {
    return { ready: 'Unknown', reason: 'Fetching', message: 'the first fetch is under way', trend: 'progressing' };
  }
  const revision = shortRevision(branch, desired.commit);
  if (failures.length > 0) {
    const [first] = failures;
    const message = `${revision}: ${String(failures.length)} of ${String(desired.objects)} objects cannot be applied; ${first?.file ?? ''}: ${first?.message ?? ''}; it is tried again`;
    return { ready: 'False', reason: 'ApplyFailed', message, trend: 'progressing' };
  }
  if (applied !== desired.commit || waitingFor > 0) {
    const waiting = waitingFor > 0 ? `; ${String(waitingFor)} objects have to be gone first` : '';
    const message = `${revision} is being applied${waiting}`;
    return { ready: 'False', reason: 'Applying', message, trend: 'progressing' };
  }
  const alone = contact.kind === 'failed' ? `; the remote cannot be reached since ${timestamp(contact.sinceMs)}` : '';
  const { objects, files } = desired;
  const message = `applied ${revision}: ${counted(objects, 'object')} from ${counted(files, 'file')}${alone}`;
  return { ready: 'True', reason: 'Applied', message, trend: 'settled' };
}

function fetchedCondition(contact: Contact) {
  switch (contact.kind) {
    case 'none':
      return undefined;
    case 'ok':
      return { status: 'True', reason: 'Fetched', message: 'the remote answers' } as const;
    case 'failed': {
      const message = `${messageOf(contact.error)} Since ${timestamp(contact.sinceMs)}.`;
      return { status: 'False', reason: reasonOf(contact.error), message } as const;
    }
  }
}

/** The reason of a condition for a failure of the remote or of the clone. */
export function reasonOf(error: unknown): string {
  const code = error instanceof GridferryError ? error.code : '';
  return REASONS[code] ?? 'FetchFailed';
}

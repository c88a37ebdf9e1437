import type { Transfer, TransferStatus } from '../../src/api/resources.ts';
import { findCondition, isTrue } from '../../src/runtime/conditions.ts';
import { currentRollback, isReturn, isUndoing } from './course.ts';
import { isOver } from './itinerary.ts';
import type { StepRecord } from './itinerary.ts';

/** Conditions that exist from the first visit on. */
export const knownConditions = [
  'Succeeded',
  'Accepted',
  'LockAcquired',
  'PreflightPassed',
  'DataCopied',
  'CutOver',
  'Verified',
  'CredentialsScrubbed',
] as const;
export type TransferCondition =
  | (typeof knownConditions)[number]
  | 'SourceRestored'
  | 'DNSUpdated'
  | 'ReadyToCutOver'
  | 'CanRollback'
  | 'RolledBack'
  | 'SourceRetained';

export type TransferPhase = NonNullable<TransferStatus['phase']>;

const TERMINAL: ReadonlySet<TransferPhase> = new Set(['Completed', 'Failed', 'Cancelled', 'RolledBack']);

export function isTerminal(phase: TransferPhase | undefined): boolean {
  return phase !== undefined && TERMINAL.has(phase);
}

/**
 * The phase, from what is recorded: computed last, never read back as input.
 *
 * - An outcome (it is being undone) shows only when the undoing is over; until then the phase stays where it failed.
 * - After the commit point a failure does not undo anything: it shows as Failed with CutOver=True.
 * - A rollback goes through the same phases as the move did. Taken back, it leaves the phase as it was before it.
 */
export function derivePhase(status: TransferStatus): TransferPhase {
  if (isPlanned(status)) return 'Planned';
  const succeeded = findCondition(status.conditions ?? [], 'Succeeded');
  if (succeeded?.status === 'True') return 'Completed';
  if (succeeded?.status === 'False' && succeeded.reason !== 'Undoing') {
    if (status.rollback?.outcome === 'RolledBack') return 'RolledBack';
    return status.outcome === 'Cancelled' ? 'Cancelled' : 'Failed';
  }
  if (!isTrue(status.conditions ?? [], 'LockAcquired')) return 'Pending';
  const current = currentRecord(status);
  return (current?.phase as TransferPhase | undefined) === 'Completed'
    ? 'Verifying'
    : ((current?.phase as TransferPhase | undefined) ?? 'Preparing');
}

/**
 * Whether what is recorded is a plan, and not a move. It is over for those who wait: Succeeded is True (`Planned`) when
 * nothing stands in the way, else False (`Blocked`).
 */
export function isPlanned({ plan, conditions = [] }: Readonly<TransferStatus>): boolean {
  const reason = findCondition(conditions, 'Succeeded')?.reason;
  return plan !== undefined && (reason === 'Planned' || reason === 'Blocked');
}

/** The step under way: the first that is not over, or, once it is to be undone, the furthest that was begun. */
export function currentRecord(status: TransferStatus): StepRecord | undefined {
  const steps = followedRecords(status);
  if (isUndoing(status)) return steps.findLast((record) => record.attempts > 0) ?? steps[0];
  return steps.find((record) => !isOver(record)) ?? steps.at(-1);
}

/** Of a transfer that is, or was, rolled back, the way back; else the way there. */
function followedRecords(status: TransferStatus): readonly StepRecord[] {
  const returning = currentRollback(status) !== undefined || status.rollback?.outcome === 'RolledBack';
  return (status.steps ?? []).filter((record) => isReturn(record) === returning);
}

/** Share of the whole that each phase stands for; copying is most of it and counts by bytes. */
const COPY_FROM = 10;
const COPY_TO = 80;

/** Whole percent done: steps before the copy up to 10, bytes up to 80, the steps after it up to 100. */
export function derivePercent(status: TransferStatus): number {
  if (isPlanned(status)) return 0;
  if (findCondition(status.conditions ?? [], 'Succeeded')?.status === 'True') return 100;
  if (status.rollback?.outcome === 'RolledBack') return 100;
  const records = followedRecords(status);
  if (records.length === 0) return 0;
  const share = (part: readonly StepRecord[]): number =>
    part.length === 0 ? 0 : part.filter(isOver).length / part.length;
  const before = records.filter((record) => record.phase === 'Preparing');
  const copy = records.filter((record) => record.phase === 'Uploading');
  const after = records.filter((record) => record.phase !== 'Preparing' && record.phase !== 'Uploading');
  if (copy.some((record) => !isOver(record))) {
    if (before.some((record) => !isOver(record))) return Math.floor(share(before) * COPY_FROM);
    const total = status.bytesTotal ?? 0;
    const byBytes = total === 0 ? share(copy) : Math.min(1, (status.bytesDone ?? 0) / total);
    return Math.floor(COPY_FROM + byBytes * (COPY_TO - COPY_FROM));
  }
  return Math.min(99, Math.floor(COPY_TO + share(after) * (100 - COPY_TO)));
}

/** Whether a transfer has reached a terminal phase. */
export function hasEnded({ status }: Readonly<Transfer>): boolean {
  return status !== undefined && isTerminal(derivePhase(status));
}

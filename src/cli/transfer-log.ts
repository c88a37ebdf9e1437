import { Transfers } from '../api/resources.ts';
import type { Transfer } from '../api/resources.ts';
import { usageError } from './cli-error.ts';
import { parseWanted } from './kinds.ts';

/** @throws GridferryError `GF_CLI_USAGE` for another kind than a transfer. */
export function transferName(word: string): string {
  if (!word.includes('/')) return word;
  const [wanted] = parseWanted([word]);
  const [name] = wanted?.names ?? [];
  if (wanted?.type.kind !== Transfers.kind || name === undefined) throw usageError(`"${word}" is not a transfer.`);
  return name;
}

export function linesOf({ status }: Readonly<Transfer>): readonly string[] {
  return status?.logs ?? [];
}

/** Whether it is in a phase that it does not leave by itself, and that is its answer to the present spec. */
export function hasEnded({ status, metadata }: Readonly<Transfer>): boolean {
  const current = metadata.generation === undefined || (status?.observedGeneration ?? 0) >= metadata.generation;
  return current && ['Completed', 'Failed', 'Cancelled', 'RolledBack', 'Planned'].includes(status?.phase ?? '');
}

/** What of `after` was not in `before`. Both are tails of the same log, so lines may have left at the front. */
export function newLines(before: readonly string[], after: readonly string[]): readonly string[] {
  for (let overlap = Math.min(before.length, after.length); overlap > 0; overlap--) {
    const end = before.slice(-overlap);
    if (end.every((line, index) => line === after[index])) return after.slice(overlap);
  }
  return after;
}

import { basename } from 'node:path';
import { BEGINNING, CONTINUED, readLine } from './chain.ts';
import type { ReadAuditLine } from './chain.ts';
import { logParts } from './log-parts.ts';
import { readLines } from './read-lines.ts';

/** What is known of a log from elsewhere than its file. */
export interface AuditAnchor {
  /** Every line up to this one is known to have been in the file, safely. */
  readonly flushed: number;
  /** The last line there is; absent where the file may be ahead of what is known. */
  readonly head?: number;
  /** Lines that are known word by word, by number: those that may not be in the file yet, and the head. */
  readonly lines: ReadonlyMap<number, string>;
}

export interface BadLine {
  readonly file: string;
  /** From 1 on. */
  readonly line: number;
  readonly why: string;
}

export interface AuditVerdict {
  readonly lines: number;
  /** Numbers of the first and the last line that were found in the files. */
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** The first thing that is wrong. */
  readonly bad: BadLine | undefined;
  /** What is no sign of tampering, but worth knowing. */
  readonly notes: readonly string[];
}

/**
 * Reads a whole log, older parts first, and finds the first line that was edited, removed, added, repeated or moved.
 *
 * The rule for the end: all lines up to `flushed` must be in the file. Of those after it, up to `head`, any number may be
 * missing, as long as the anchor has them: the process ended between the store's commit and the file's write. Lines that
 * neither the anchor nor its head knows of are not ours.
 */
export async function verifyLog(path: string, anchor: AuditAnchor | undefined): Promise<AuditVerdict> {
  const notes: string[] = [];
  let [lines, place]: [number, Omit<BadLine, 'why'>] = [0, { file: path, line: 1 }];
  let first: number | undefined;
  let previous: ReadAuditLine | undefined;
  const verdict = (why?: string): AuditVerdict => ({
    ...{ lines, first, last: previous?.seq, notes },
    bad: why === undefined ? undefined : { ...place, why },
  });

  for (const file of logParts(path)) {
    let number = 0;
    for await (const { bytes, ended } of readLines(file)) {
      place = { file, line: ++number };
      // A whole line has its end, or lost it to an edit; half a line is what a power cut leaves.
      if (!ended && file === path) {
        notes.push(
          `${basename(file)}:${number} was being written when the power went, or the process; it is repaired at the next start`,
        );
        break;
      }
      const line = ended ? readLine(bytes) : 'it has lost its end';
      const why =
        typeof line === 'string' ? line : (placeProblem(line, previous, number) ?? anchorProblem(line, anchor));
      if (why !== undefined || typeof line === 'string') return verdict(why);
      if (first === undefined && line.seq > 1)
        notes.push(`the log begins at line ${line.seq}: the parts before it are not here`);
      [first, previous, lines] = [first ?? line.seq, line, lines + 1];
      // What is missing at the end is missed there.
      place = { file, line: number + 1 };
    }
  }
  const last = previous?.seq ?? 0;
  if (anchor === undefined) {
    notes.push('nothing is known of this log but the log itself: lines cut from its end would not be noticed');
    return verdict();
  }
  if (last < anchor.flushed) {
    return verdict(
      `the log ends with line ${last}, but line ${anchor.flushed} was written: ${anchor.flushed - last} cut from its end`,
    );
  }
  for (let seq = last + 1; seq <= (anchor.head ?? last); seq++) {
    if (!anchor.lines.has(seq))
      return verdict(`line ${seq} is neither in the log nor waiting to be written: it was cut from the end`);
  }
  const waiting = (anchor.head ?? last) - last;
  if (waiting > 0)
    notes.push(`${waiting} of the newest lines are still in the store; they are written at the next start`);
  return verdict();
}

function placeProblem(line: ReadAuditLine, previous: ReadAuditLine | undefined, number: number): string | undefined {
  if (previous === undefined) {
    const begins = line.seq === 1 ? line.prev === BEGINNING : line.event === CONTINUED && number === 1;
    return begins ? undefined : `the log begins with line ${line.seq}: the lines before it were removed`;
  }
  if (line.seq === previous.seq + 1 && line.prev === previous.hash) return undefined;
  if (line.seq <= previous.seq)
    return `line ${line.seq} comes after line ${previous.seq}: lines were repeated or reordered`;
  if (line.seq > previous.seq + 1) {
    return `line ${line.seq} comes after line ${previous.seq}: lines between them were removed`;
  }
  return `it does not continue line ${previous.seq}: one of the two is not the one that was written`;
}

function anchorProblem(line: ReadAuditLine, anchor: AuditAnchor | undefined): string | undefined {
  if (anchor === undefined) return undefined;
  if (anchor.head !== undefined && line.seq > anchor.head) {
    return `line ${line.seq} was never written by Gridferry: the store ends at line ${anchor.head}`;
  }
  const known = anchor.lines.get(line.seq);
  if (known === undefined || known === line.text) return undefined;
  return `line ${line.seq} is not the one that the store remembers`;
}

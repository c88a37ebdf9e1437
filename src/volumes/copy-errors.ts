import { GridferryError } from '../errors.ts';

export interface CopyFailure {
  readonly tool: 'rsync' | 'tar' | 'dd';
  readonly source: string;
  readonly target: string;
  readonly sourceCode: number | null;
  readonly targetCode: number | null;
  readonly stderr: string;
}

/** The error of a failed pass: what the programs themselves said, and what to do about it. */
export function copyError(failure: CopyFailure): GridferryError {
  const { tool, source, target, sourceCode, targetCode } = failure;
  const said = lastLines(failure.stderr);
  const details = { tool, sourceCode: sourceCode ?? -1, targetCode: targetCode ?? -1 };
  if (/No space left on device|Disk quota exceeded|: Wrote only \d+ of \d+ bytes/i.test(failure.stderr)) {
    return new GridferryError(
      'GF_VOLUME_NO_SPACE',
      `Server ${target} ran out of space: free some there, then retry. (${said})`,
      {
        class: 'retryable',
        details,
      },
    );
  }
  if (/Read-only file system/i.test(failure.stderr)) {
    return new GridferryError(
      'GF_VOLUME_COPY_FAILED',
      `The file system on server ${target} is read-only: repair or remount it, then retry. (${said})`,
      { details },
    );
  }
  if (/Operation not permitted|: Cannot (?:open: File exists|unlink)/i.test(failure.stderr)) {
    return new GridferryError(
      'GF_VOLUME_COPY_FAILED',
      `Server ${target} refused a change even to root: an immutable file ('chattr -i' it there) or a file system without owners or attributes. (${said})`,
      { details },
    );
  }
  const broken =
    sourceCode === null || targetCode === null || sourceCode === 12 || sourceCode === 30 || sourceCode === 255;
  return new GridferryError(
    'GF_VOLUME_COPY_FAILED',
    `${tool} from server ${source} to ${target} failed (codes ${sourceCode ?? 'none'} and ${targetCode ?? 'none'}): ${said || 'nothing was said'}`,
    // What already crossed is kept, so repeating is cheap; only a usage error (1, 2, 4) is hopeless.
    { class: broken || ![1, 2, 4].includes(sourceCode) ? 'retryable' : 'terminal', details },
  );
}

export function vanishedError(source: string, count: number, stderr: string): GridferryError {
  return new GridferryError(
    'GF_VOLUME_VANISHED',
    `${count} ${count === 1 ? 'file' : 'files'} on server ${source} vanished during the final pass: something still writes there. Stop it, then retry. (${lastLines(stderr)})`,
    { details: { count } },
  );
}

/** The last lines worth showing, without progress, in one line. */
export function lastLines(text: string): string {
  return text
    .split(/[\r\n]+/)
    .filter((line) => line.trim() !== '' && !/^ *[\d,]+ +\d+%/.test(line) && !/^[A-Z][a-z A-Z]+: [\d,.]+/.test(line))
    .slice(-4)
    .join(' | ')
    .slice(-600);
}

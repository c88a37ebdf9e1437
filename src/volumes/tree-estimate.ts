import type { ExecOptions, ExecResult } from '../ssh/host.ts';

/** How much there is below a path, found by looking only: nothing is written anywhere. */
export interface TreeEstimate {
  /** Sum of the files' sizes, hard links once, holes included; without GNU find what they take on the disk. */
  readonly bytes: number;
  readonly files: number;
  /** False when something could not be read: there is more than this. */
  readonly complete: boolean;
}

/** One line for each path: bytes, files, and whether all of it could be read. Names never reach a pipe. */
const SCRIPT = `export LC_ALL=C
for path; do
  if find / -maxdepth 0 -printf '' 2>/dev/null; then
    { find "$path" -xdev -type f -printf '%i %s\\n' 2>/dev/null || echo incomplete; } |
      awk '$1 == "incomplete" { lost = 1; next } !seen[$1]++ { bytes += $2; files++ } END { printf "%.0f %d %s\\n", bytes, files, lost ? "no" : "yes" }'
  else
    whole=yes
    kib=$(du -skx "$path" 2>/dev/null) || whole=no
    files=$(find "$path" -xdev -type f -exec echo {} + 2>/dev/null | wc -w)
    printf '%.0f %d %s\\n' "$(( \${kib%%[!0-9]*} * 1024 ))" "$files" "$whole"
  fi
done`;

/** A tree of many millions of files takes its time. */
const TIMEOUT_MS = 30 * 60_000;

/** Estimates trees by their paths, as a program run by `exec` sees them. Rejects as `exec`. */
export async function estimateTrees(
  exec: (argv: readonly string[], options: Omit<ExecOptions, 'root'>) => Promise<ExecResult>,
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<TreeEstimate[]> {
  if (paths.length === 0) return [];
  const { stdout } = await exec(['sh', '-c', SCRIPT, 'sh', ...paths], {
    timeoutMs: TIMEOUT_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  const lines = stdout.trimEnd().split('\n');
  return paths.map((_, index) => {
    const [bytes = '', files = '', complete = ''] = (lines[index] ?? '').split(' ');
    return { bytes: Number(bytes) || 0, files: Number(files) || 0, complete: complete === 'yes' };
  });
}

export type ManifestProblemCode =
  | 'GF_MANIFEST_YAML'
  | 'GF_MANIFEST_DUPLICATE_KEY'
  | 'GF_MANIFEST_AMBIGUOUS'
  | 'GF_MANIFEST_ALIASES'
  | 'GF_MANIFEST_TOO_LARGE'
  | 'GF_MANIFEST_NOT_UTF8'
  | 'GF_MANIFEST_UNREADABLE'
  | 'GF_MANIFEST_EMPTY'
  | 'GF_MANIFEST_LFS_POINTER'
  | 'GF_MANIFEST_SYMLINK_OUTSIDE'
  | 'GF_MANIFEST_NOT_AN_OBJECT'
  | 'GF_MANIFEST_INCOMPLETE'
  | 'GF_MANIFEST_UNKNOWN_KIND'
  | 'GF_MANIFEST_VERSION'
  | 'GF_MANIFEST_SERVER_FIELD'
  | 'GF_MANIFEST_UNKNOWN_FIELD'
  | 'GF_MANIFEST_INVALID'
  | 'GF_MANIFEST_DUPLICATE_OBJECT'
  | 'GF_MANIFEST_APPLY'
  | 'GF_MANIFEST_DIRECTORY_UNREADABLE'
  | 'GF_MANIFEST_DIRECTORY_EMPTY'
  /** Of a Git source as a whole. */
  | `GF_GIT_${Uppercase<string>}`;

/** One thing that is wrong with the user's files. Never holds a value of a Secret. */
export interface ManifestProblem {
  readonly code: ManifestProblemCode;
  /** An error keeps the file from being applied; a warning does not. */
  readonly severity: 'error' | 'warning';
  /** Relative to the directory, with `/`; `.` for the directory itself. */
  readonly file: string;
  /** From 1; 1:1 when the problem concerns the file as a whole. */
  readonly line: number;
  readonly column: number;
  /** Such as `spec.healthCheck.http.port`; empty when no single field is at fault. */
  readonly field: string;
  readonly message: string;
  /** What to do about it. */
  readonly hint: string;
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

export const FILE_START: Position = { line: 1, column: 1 };

/** `file:line:column: message`, as editors and CI understand it. */
export function formatProblem(problem: ManifestProblem): string {
  const severity = problem.severity === 'warning' ? 'warning: ' : '';
  const hint = problem.hint === '' ? '' : ` (${problem.hint})`;
  return `${problem.file}:${String(problem.line)}:${String(problem.column)}: ${severity}${problem.message}${hint} [${problem.code}]`;
}

export function problem(
  code: ManifestProblemCode,
  file: string,
  position: Position,
  message: string,
  hint: string,
  more: { readonly field?: string; readonly severity?: 'error' | 'warning' } = {},
): ManifestProblem {
  const { field = '', severity = 'error' } = more;
  return { code, severity, file, line: position.line, column: position.column, field, message, hint };
}

/** By file and place, so that the same state always reads the same. */
export function compareProblems(a: ManifestProblem, b: ManifestProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column || (a.message < b.message ? -1 : a.message > b.message ? 1 : 0);
}

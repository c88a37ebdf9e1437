import { join } from 'node:path';
import type { ManifestProblem } from '../home/manifest-problem.ts';

/** A problem of a manifest, or of what manifests say of each other. */
export type DirectoryProblem = Omit<ManifestProblem, 'code'> & { readonly code: string };

/** `file:line:column: message (hint) [code]` with the file as seen from where the command runs, so that it can be clicked. */
export function formatProblemAt(directory: string, problem: DirectoryProblem): string {
  const { file, line, column, severity, message, hint, code } = problem;
  const said = hint === '' ? message : `${message} (${hint})`;
  return `${join(directory, file)}:${line}:${column}: ${severity === 'warning' ? 'warning: ' : ''}${said} [${code}]`;
}

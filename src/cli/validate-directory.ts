import { statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { servedTypes } from '../api/resources.ts';
import { GridferryError } from '../errors.ts';
import { loadDirectory } from '../home/manifest-loader.ts';
import { createSchemaAdmission } from '../home/schema-admission.ts';
import { readSecretsDirectory } from '../home/secrets-dir.ts';
import { findReferenceProblems } from './cross-references.ts';
import type { DirectoryProblem } from './problem-line.ts';

export interface ValidateDirectoryOptions {
  readonly namespace: string;
  readonly secretsDir?: string;
}

export interface Validation {
  /** What `file` of a problem is relative to, as the caller named it. */
  readonly base: string;
  readonly objects: number;
  readonly files: number;
  readonly problems: readonly DirectoryProblem[];
}

/**
 * All that is wrong in a directory, or in one file of it: by itself, and with what the manifests say of each other.
 *
 * @throws GridferryError `GF_CLI_NO_DIRECTORY`
 */
export async function validateDirectory(path: string, options: ValidateDirectoryOptions): Promise<Validation> {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) {
    throw new GridferryError('GF_CLI_NO_DIRECTORY', `${resolve(path)} does not exist: name a directory of manifests.`);
  }
  const base = facts.isDirectory() ? path : dirname(path);
  const only = facts.isDirectory() ? undefined : basename(path);
  const admission = createSchemaAdmission();
  const { objects, problems } = await loadDirectory(base, {
    types: servedTypes,
    admission,
    defaultNamespace: options.namespace,
  });
  const secretsDir = options.secretsDir === undefined ? undefined : readSecretsDirectory(resolve(options.secretsDir));
  const all = [...problems, ...(await findReferenceProblems(base, objects, secretsDir))].filter(
    ({ file }) => only === undefined || file === only,
  );
  const counted = objects.filter(({ file }) => only === undefined || file === only);
  return {
    base,
    objects: counted.length,
    files: new Set([...counted.map(({ file }) => file), ...all.map(({ file }) => file)]).size,
    problems: all.sort(byPlace),
  };
}

function byPlace(a: DirectoryProblem, b: DirectoryProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}

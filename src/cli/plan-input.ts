import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { servedTypes, Transfers } from '../api/resources.ts';
import { GridferryError } from '../errors.ts';
import { parseManifest } from '../home/manifest-file.ts';
import type { LoadedObject } from '../home/manifest-file.ts';
import { loadDirectory, manifestTypes } from '../home/manifest-loader.ts';
import type { ManifestProblem } from '../home/manifest-problem.ts';
import { readManifest } from '../home/manifest-read.ts';
import { createSchemaAdmission } from '../home/schema-admission.ts';
import { usageError } from './cli-error.ts';
import { formatProblemAt } from './problem-line.ts';

/**
 * The objects of a file, a directory or standard input (`-`), checked.
 *
 * @throws GridferryError `GF_CLI_NO_DIRECTORY`, `GF_CLI_MANIFESTS_INVALID`, `GF_CLI_USAGE` when there is no transfer
 */
export async function readManifests(path: string, namespace: string): Promise<readonly LoadedObject[]> {
  const { base, objects, problems } = await read(path, namespace);
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    throw new GridferryError(
      'GF_CLI_MANIFESTS_INVALID',
      `This cannot be planned as it is; correct it:\n${errors.map((problem) => formatProblemAt(base, problem)).join('\n')}`,
    );
  }
  if (!objects.some(({ type }) => type.kind === Transfers.kind)) {
    throw usageError(`There is no Transfer in ${path}: name a file that has one.`);
  }
  return objects;
}

interface Manifests {
  readonly base: string;
  readonly objects: readonly LoadedObject[];
  readonly problems: readonly ManifestProblem[];
}

async function read(path: string, namespace: string): Promise<Manifests> {
  const options = { types: servedTypes, admission: createSchemaAdmission(), defaultNamespace: namespace };
  const context = { ...options, types: manifestTypes(options.types) };
  if (path === '-') return { base: '', ...parseManifest('-', await text(process.stdin), context) };
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) {
    throw new GridferryError('GF_CLI_NO_DIRECTORY', `${path} does not exist: name a file or directory of manifests.`);
  }
  if (facts.isDirectory()) return { base: path, ...(await loadDirectory(path, options)) };
  const [base, file] = [dirname(path), basename(path)];
  const found = await readManifest(file, path);
  if (found.kind === 'text') return { base, ...parseManifest(file, found.text, context) };
  return { base, objects: [], problems: found.kind === 'problem' ? [found.problem] : [] };
}

import { Events, Leases } from '../api/core.ts';
import { keyString } from '../api/meta.ts';
import type { ResourceType } from '../api/meta.ts';
import { messageOf } from '../errors.ts';
import type { Admission } from './admission.ts';
import { resourceName } from './api-messages.ts';
import { parseManifest } from './manifest-file.ts';
import type { LoadedObject } from './manifest-file.ts';
import { compareProblems, FILE_START, problem } from './manifest-problem.ts';
import type { ManifestProblem } from './manifest-problem.ts';
import { readManifest } from './manifest-read.ts';
import { listManifests } from './manifest-walk.ts';

export interface LoadOptions {
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly defaultNamespace?: string;
}

/** Reads and checks all manifests below a directory, as `gridferry validate` does; nothing is stored. */
export async function loadDirectory(
  directory: string,
  options: LoadOptions,
): Promise<{ objects: LoadedObject[]; problems: ManifestProblem[] }> {
  const context = {
    types: manifestTypes(options.types),
    admission: options.admission,
    defaultNamespace: options.defaultNamespace ?? 'default',
  };
  const objects: LoadedObject[] = [];
  const problems: ManifestProblem[] = [];
  let listing;
  try {
    listing = await listManifests(directory);
  } catch (error) {
    return { objects, problems: [directoryProblem(error)] };
  }
  problems.push(...listing.problems);
  for (const { path, real } of listing.files) {
    const read = await readManifest(path, real);
    if (read.kind === 'missing') continue;
    if (read.kind === 'problem') {
      problems.push(read.problem);
      continue;
    }
    if (read.text.trim() === '') problems.push(emptyProblem(path));
    const parsed = parseManifest(path, read.text, context);
    problems.push(...parsed.problems);
    objects.push(...parsed.objects);
  }
  const { duplicates } = splitDuplicates(objects);
  problems.push(...duplicates.flatMap(duplicateProblems));
  return { objects, problems: problems.sort(compareProblems) };
}

/** Events and leases are made by programs; a file that has one is a mistake. */
export function manifestTypes(types: readonly ResourceType[]): ResourceType[] {
  const refused = [resourceName(Events), resourceName(Leases)];
  return types.filter((type) => !refused.includes(resourceName(type)));
}

export function objectId(type: ResourceType, key: { readonly namespace: string; readonly name: string }): string {
  return `${resourceName(type)}/${keyString(key)}`;
}

/** Objects that are there once, by id, and groups of those that are there more often. */
export function splitDuplicates(objects: Iterable<LoadedObject>): {
  unique: Map<string, LoadedObject>;
  duplicates: LoadedObject[][];
} {
  const unique = new Map<string, LoadedObject>();
  const groups = new Map<string, LoadedObject[]>();
  for (const loaded of objects) {
    const id = objectId(loaded.type, loaded.key);
    const first = unique.get(id);
    if (first === undefined) unique.set(id, loaded);
    else groups.set(id, [...(groups.get(id) ?? [first]), loaded]);
  }
  for (const id of groups.keys()) unique.delete(id);
  return { unique, duplicates: [...groups.values()] };
}

export function duplicateProblems(group: readonly LoadedObject[]): ManifestProblem[] {
  return group.map((loaded) => {
    const others = group.filter((other) => other !== loaded).map((other) => `${other.file}:${String(other.line)}`);
    const message = `${loaded.type.kind} ${keyString(loaded.key)} is also defined in ${others.join(', ')}; neither is applied`;
    return problem('GF_MANIFEST_DUPLICATE_OBJECT', loaded.file, loaded, message, 'keep one of them', {
      field: 'metadata.name',
    });
  });
}

export function directoryProblem(error: unknown): ManifestProblem {
  const message = `the directory cannot be listed: ${messageOf(error)}`;
  const hint = 'nothing is changed or pruned until it can';
  return problem('GF_MANIFEST_DIRECTORY_UNREADABLE', '.', FILE_START, message, hint);
}

export function emptyProblem(file: string): ManifestProblem {
  const hint = 'delete the file to delete its objects';
  const message = 'the file is empty; what came from it stays as it is';
  return problem('GF_MANIFEST_EMPTY', file, FILE_START, message, hint, { severity: 'warning' });
}

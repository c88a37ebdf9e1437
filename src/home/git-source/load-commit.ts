import type { GitRepository } from '../../git/repository.ts';
import type { TreeEntry } from '../../git/tree.ts';
import { parseManifest, problemsOfRefusal } from '../manifest-file.ts';
import type { LoadedObject, ManifestContext, ParsedManifest } from '../manifest-file.ts';
import type { ApiError } from '../api-error.ts';
import { duplicateProblems, splitDuplicates } from '../manifest-loader.ts';
import { compareProblems, FILE_START, problem } from '../manifest-problem.ts';
import type { ManifestProblem } from '../manifest-problem.ts';
import { MAX_MANIFEST_BYTES } from '../manifest-read.ts';
import { selectManifests } from './tree-manifests.ts';
import type { TreeManifest } from './tree-manifests.ts';

/** What the manifests of one commit say, all of them taken together. */
export interface LoadedCommit {
  readonly commit: string;
  /** By their ids; complete only if no problem is an error. */
  readonly objects: ReadonlyMap<string, LoadedObject>;
  readonly problems: readonly ManifestProblem[];
  readonly files: ReadonlyMap<string, { readonly id: string; readonly parsed: ParsedManifest }>;
}

/** Blobs read by one git process: few processes, and bounded memory. */
const BATCH_BYTES = 16 * 1024 * 1024;
const MAX_LINK_BYTES = 4096;
const LFS_POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\//;

/**
 * Reads and checks the manifests below `path` in a commit, straight from its objects: nothing is checked out, so no
 * link, filter, attribute or hook of the repository has any effect.
 *
 * @param known commits that were loaded before: a file that is the same there is not read again.
 * @throws GridferryError `GF_GIT_PATH`, `GF_GIT_CORRUPT`
 */
export async function loadCommit(
  repository: GitRepository,
  commit: string,
  path: string,
  context: ManifestContext,
  known: readonly LoadedCommit[],
): Promise<LoadedCommit> {
  const entries = await repository.listTree(commit, path);
  const { manifests, problems } = selectManifests(entries, await readLinks(repository, entries));
  const files = new Map<string, { id: string; parsed: ParsedManifest }>();
  const missing: TreeManifest[] = [];
  for (const manifest of manifests) {
    const same = known.map((earlier) => earlier.files.get(manifest.path)).find((file) => file?.id === manifest.id);
    if (same !== undefined) files.set(manifest.path, same);
    else missing.push(manifest);
  }
  for (const batch of batchesOf(missing)) {
    const readable = batch.filter(({ size }) => size <= MAX_MANIFEST_BYTES);
    const blobs = await repository.readBlobs(readable.map(({ id }) => id));
    for (const manifest of batch) {
      files.set(manifest.path, { id: manifest.id, parsed: parseBlob(manifest, blobs.get(manifest.id), context) });
    }
  }
  const parsed = [...files.values()].map((file) => file.parsed);
  const { unique, duplicates } = splitDuplicates(parsed.flatMap(({ objects }) => objects));
  problems.push(...parsed.flatMap((file) => file.problems), ...duplicates.flatMap(duplicateProblems));
  return { commit, objects: unique, problems: problems.sort(compareProblems), files };
}

/** What the API refuses of an object, with the place in the commit's file. */
export async function explainRefusal(
  repository: GitRepository,
  commit: LoadedCommit | undefined,
  loaded: LoadedObject,
  refusal: ApiError,
): Promise<ManifestProblem[]> {
  const id = commit?.files.get(loaded.file)?.id;
  const blob = id === undefined ? undefined : (await repository.readBlobs([id])).get(id);
  return problemsOfRefusal(loaded, blob?.toString('utf8'), refusal);
}

async function readLinks(repository: GitRepository, entries: readonly TreeEntry[]): Promise<Map<string, string>> {
  const links = entries.filter(({ kind, size }) => kind === 'link' && size <= MAX_LINK_BYTES);
  const blobs = await repository.readBlobs([...new Set(links.map(({ id }) => id))]);
  return new Map(links.map(({ path, id }) => [path, blobs.get(id)?.toString('utf8') ?? '']));
}

function batchesOf(manifests: readonly TreeManifest[]): TreeManifest[][] {
  const batches: TreeManifest[][] = [];
  let bytes = Infinity;
  for (const manifest of manifests) {
    const size = Math.min(manifest.size, MAX_MANIFEST_BYTES);
    if (bytes + size > BATCH_BYTES) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)?.push(manifest);
    bytes += size;
  }
  return batches;
}

function parseBlob({ path, size }: TreeManifest, blob: Buffer | undefined, context: ManifestContext): ParsedManifest {
  const fail = (code: ManifestProblem['code'], message: string, hint: string): ParsedManifest => ({
    objects: [],
    problems: [problem(code, path, FILE_START, message, hint)],
  });
  if (blob === undefined) {
    const message = `the file has ${String(size)} bytes; at most ${String(MAX_MANIFEST_BYTES)} are read`;
    return fail('GF_MANIFEST_TOO_LARGE', message, 'split it');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(blob);
  } catch {
    return fail('GF_MANIFEST_NOT_UTF8', 'the file is not UTF-8 text', 'save it as UTF-8');
  }
  if (LFS_POINTER.test(text)) {
    const message = 'the file is a pointer of Git LFS: its content is not in the repository';
    return fail('GF_MANIFEST_LFS_POINTER', message, 'take it out of LFS (git lfs untrack), and commit the file itself');
  }
  // Nobody commits half of a file by accident of timing, but an empty one would delete what it had.
  if (text.trim() === '') {
    return fail('GF_MANIFEST_EMPTY', 'the file is empty', 'delete the file to delete its objects');
  }
  return parseManifest(path, text, context);
}

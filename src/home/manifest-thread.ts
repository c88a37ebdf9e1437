import { parentPort } from 'node:worker_threads';
import { readManifestNow } from './manifest-read.ts';
import type { ManifestText, ReadManifest } from './manifest-read.ts';
import type { ManifestFile } from './manifest-walk.ts';
import { plainDocuments } from './manifest-yaml.ts';

/** A file to read, with what is known of it. */
export interface ThreadTask {
  readonly file: ManifestFile;
  /** If the bytes still have this hash, they are not wanted. */
  readonly hash: string | undefined;
}

export type ThreadOutcome =
  | { readonly kind: 'same' }
  | Exclude<ReadManifest, ManifestText>
  /** `documents`: the JSON of what `plainDocuments` says, which passes between threads faster than objects. */
  | (ManifestText & { readonly documents?: string | undefined });

// The whole of a thread of `readInThreads`: each message is a few tasks, and is answered with as many outcomes.
parentPort?.on('message', (tasks: readonly ThreadTask[]) => {
  parentPort?.postMessage(tasks.map(outcomeOf));
});

function outcomeOf({ file, hash }: ThreadTask): ThreadOutcome {
  const read = readManifestNow(file.path, file.real);
  if (read.kind !== 'text') return read;
  if (read.hash === hash) return { kind: 'same' };
  const documents = plainDocuments(read.text);
  return { ...read, documents: documents === undefined ? undefined : JSON.stringify(documents) };
}

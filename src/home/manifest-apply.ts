import type { KubeObject, ResourceType } from '../api/meta.ts';
import { isReason } from './api-error.ts';
import type { Client } from './client.ts';
import { jsonEqual } from './json.ts';
import { DIRECTORY_ANNOTATION, REVISION_ANNOTATION, SOURCE_ANNOTATION } from './manifest-annotations.ts';
import type { LoadedObject } from './manifest-file.ts';

const MAX_ATTEMPTS = 5;

export type ApplyOutcome =
  | { readonly kind: 'created' | 'updated' | 'unchanged'; readonly object: KubeObject }
  /** The object is on its way out: it is created again once it is gone. */
  | { readonly kind: 'deleting' };

/** Whose manifests they are. */
export interface ManifestOwner {
  readonly fieldManager: string;
  /** Stands in the objects that it created, which are the ones that it may delete. */
  readonly source: string;
}

export interface ApplyOptions {
  readonly owner: ManifestOwner;
  /** The commit, which is noted in the object if the object changes. */
  readonly revision?: string;
  readonly dryRun?: boolean;
}

/**
 * Server-side apply of one manifest: what it says is taken over from whoever set it, what it said before and says no more
 * is removed unless somebody else wants it, and what it never mentioned is left alone.
 *
 * @param live the object as it is now, or `undefined` if it is not there.
 */
export async function applyManifest(
  client: Client,
  loaded: LoadedObject,
  live: KubeObject | undefined,
  options: ApplyOptions,
): Promise<ApplyOutcome> {
  const { type, key } = loaded;
  let current = live;
  for (let attempt = 1; ; attempt++) {
    if (current?.metadata.deletionTimestamp !== undefined) return { kind: 'deleting' };
    try {
      return await applyOnto(client, loaded, current, options);
    } catch (error) {
      // Another object has the name by now: what may be said of it depends on who made it.
      if (!isReason(error, 'Conflict') || attempt === MAX_ATTEMPTS) throw error;
      current = await getOrUndefined(client, type, key);
    }
  }
}

async function applyOnto(
  client: Client,
  loaded: LoadedObject,
  live: KubeObject | undefined,
  { owner, revision, dryRun = false }: ApplyOptions,
): Promise<ApplyOutcome> {
  const write = async (noted: string | undefined, isTrial: boolean): Promise<ApplyOutcome> => {
    const body = bodyOf(loaded, live, owner.source, noted);
    const made = { now: false };
    const object = await client.patch(
      loaded.type,
      loaded.key,
      { type: 'apply', body, force: true },
      { fieldManager: owner.fieldManager, dryRun: isTrial, onCreated: () => (made.now = true) },
    );
    // Not told by its version, which a trial leaves as it is.
    const isSame = jsonEqual(object, live);
    return { kind: made.now ? 'created' : isSame ? 'unchanged' : 'updated', object };
  };
  const noted = live?.metadata.annotations?.[REVISION_ANNOTATION];
  if (noted !== undefined && noted !== revision) {
    // A commit is noted only in what it changed: the others keep the one that changed them last.
    const trial = await write(noted, true);
    if (trial.kind === 'unchanged') return trial;
  }
  return write(revision, dryRun);
}

function bodyOf(
  { object, file }: LoadedObject,
  live: KubeObject | undefined,
  source: string,
  revision: string | undefined,
): Record<string, unknown> {
  const { uid, annotations: present = {} } = live?.metadata ?? {};
  // Ownership for pruning moves along with the source, but is never taken of what somebody else created.
  const isOwn = live === undefined || present[DIRECTORY_ANNOTATION] !== undefined;
  const annotations = {
    ...object.metadata.annotations,
    [SOURCE_ANNOTATION]: file,
    ...(isOwn ? { [DIRECTORY_ANNOTATION]: source } : {}),
    ...(revision === undefined ? {} : { [REVISION_ANNOTATION]: revision }),
  };
  return { ...object, metadata: { ...object.metadata, annotations, ...(uid === undefined ? {} : { uid }) } };
}

export async function getOrUndefined(
  client: Client,
  type: ResourceType,
  key: { readonly namespace: string; readonly name: string },
): Promise<KubeObject | undefined> {
  try {
    return await client.get(type, key);
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

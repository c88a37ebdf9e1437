import { keyOf } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { isReason } from '../home/api-error.ts';
import type { Client } from '../home/client.ts';
import { deepEqual } from './structural.ts';

/** What became of a status. Failures of the API itself are thrown. */
export type StatusWrite<T extends KubeObject> =
  /** It is stored (now, or it already was). `object` is the version that has it. */
  | { readonly kind: 'stored'; readonly object: T }
  /** Somebody else wrote another status since: reconcile again from `object`. */
  | { readonly kind: 'overtaken'; readonly object: T }
  /** There is no such object any more. */
  | { readonly kind: 'gone' };

/** How often the rest of the object may move on under our hands before it is left to the next reconcile. */
const MAX_REBASES = 3;

/**
 * Writes `status` onto the object that was read, as a compare-and-swap, and only when it differs.
 *
 * The status is the controller's alone, so when only spec or metadata moved on meanwhile it is put onto the newer
 * version: what was done would be forgotten otherwise. When the newer version already has it, an earlier write
 * succeeded whose answer was lost.
 */
export async function writeStatus<T extends KubeObject>(
  client: Client,
  type: ResourceType<T>,
  read: Readonly<T>,
  status: NonNullable<T['status']>,
): Promise<StatusWrite<T>> {
  if (deepEqual(read.status, status)) return { kind: 'stored', object: read };
  let base = read;
  for (let rebases = 0; ; rebases++) {
    try {
      return { kind: 'stored', object: await client.updateStatus(type, { ...base, status }) };
    } catch (error) {
      if (isReason(error, 'NotFound')) return { kind: 'gone' };
      if (!isReason(error, 'Conflict')) throw error;
    }
    const fresh = await reread(client, type, read);
    if (fresh === undefined || fresh.metadata.uid !== read.metadata.uid) return { kind: 'gone' };
    if (deepEqual(fresh.status, status)) return { kind: 'stored', object: fresh };
    if (rebases === MAX_REBASES || !deepEqual(fresh.status, read.status)) return { kind: 'overtaken', object: fresh };
    base = fresh;
  }
}

async function reread<T extends KubeObject>(
  client: Client,
  type: ResourceType<T>,
  read: Readonly<T>,
): Promise<T | undefined> {
  try {
    return await client.get(type, keyOf(read));
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

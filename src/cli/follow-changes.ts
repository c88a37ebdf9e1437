import { keyOf, keyString } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { classOf, GridferryError, messageOf } from '../errors.ts';
import { isReason } from '../home/api-error.ts';
import type { ListResult, WatchEvent } from '../home/client.ts';
import type { Reads } from '../home/served-reads.ts';
import { createBackoff } from '../runtime/backoff.ts';
import { sleep } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';

export interface FollowOptions<T extends KubeObject> {
  readonly client: Reads;
  readonly type: ResourceType<T>;
  readonly scope: { readonly namespace?: string; readonly labelSelector?: string; readonly fieldSelector?: string };
  /** What has been shown already; absent: everything there is comes first, as `ADDED`. */
  readonly since?: Pick<ListResult<T>, 'items' | 'resourceVersion'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told when the connection breaks, in a sentence, once until it works again. */
  readonly onTrouble?: (text: string) => void;
}

export type FollowedEvent<T extends KubeObject> = Exclude<WatchEvent<T>, { type: 'BOOKMARK' }>;

const LONGEST_WAIT_MS = 10_000;

/**
 * Every change, until the signal fires, whatever becomes of the connection: a watch that ended is taken up where it
 * was, and where the server no longer knows that place (410) what there is now is compared with what was seen last.
 *
 * Throws what repeating cannot help, such as `Forbidden`.
 */
export async function* followChanges<T extends KubeObject>(
  options: FollowOptions<T>,
): AsyncGenerator<FollowedEvent<T>, void, undefined> {
  const { client, type, scope, since, clock, signal, onTrouble } = options;
  const known = new Map((since?.items ?? []).map((object) => [keyString(keyOf(object)), object]));
  const backoff = createBackoff({ random: Math.random, maxMs: LONGEST_WAIT_MS });
  let version = since?.resourceVersion;

  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    try {
      if (version === undefined) {
        const list = await client.list(type, { ...scope, signal });
        version = list.resourceVersion;
        yield* differences(known, list.items);
      }
      for await (const event of client.watch(type, { ...scope, resourceVersion: version, signal })) {
        backoff.reset('');
        if (event.type === 'BOOKMARK') {
          version = event.resourceVersion;
          continue;
        }
        version = event.object.metadata.resourceVersion ?? version;
        remember(known, event);
        yield event;
      }
      await pause(backoff.next(''));
    } catch (error) {
      if (isOver()) return;
      if (isReason(error, 'Expired', 'Gone')) version = undefined;
      else if (classOf(error) === 'terminal') throw error;
      else if (backoff.failures('') === 0) onTrouble?.(messageOf(error));
      const least = error instanceof GridferryError ? (error.retryAfterMs ?? 0) : 0;
      await pause(Math.max(least, backoff.next('')));
    }
  }

  async function pause(ms: number): Promise<void> {
    await sleep(clock, ms, signal).catch(() => {
      // The signal: the loop ends.
    });
  }
}

function remember<T extends KubeObject>(known: Map<string, T>, { type, object }: FollowedEvent<T>): void {
  const key = keyString(keyOf(object));
  if (type === 'DELETED') known.delete(key);
  else known.set(key, object);
}

function* differences<T extends KubeObject>(known: Map<string, T>, items: readonly T[]): Generator<FollowedEvent<T>> {
  const listed = new Map(items.map((object) => [keyString(keyOf(object)), object]));
  for (const [key, object] of [...known]) {
    if (listed.get(key)?.metadata.uid === object.metadata.uid) continue;
    known.delete(key);
    yield { type: 'DELETED', object };
  }
  for (const [key, object] of listed) {
    const before = known.get(key);
    known.set(key, object);
    if (before === undefined) yield { type: 'ADDED', object };
    else if (before.metadata.resourceVersion !== object.metadata.resourceVersion) yield { type: 'MODIFIED', object };
  }
}

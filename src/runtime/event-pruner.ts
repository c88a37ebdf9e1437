import { Events } from '../api/core.ts';
import type { EventObject } from '../api/core.ts';
import { keyOf } from '../api/meta.ts';
import { isReason } from '../home/api-error.ts';
import type { Client } from '../home/client.ts';
import type { Clock } from './clock.ts';

/** How long a Kubernetes API server keeps Events by default, in ms. */
export const EVENT_TTL_MS = 3_600_000;

/**
 * Deletes the Events that nothing was added to for `olderThanMs` (an hour). A cluster does that itself; the local home
 * has it done. Returns how many went. Rejects with the API's errors: what is left is found by the next run.
 */
export async function pruneEvents(options: {
  readonly client: Client;
  readonly clock: Clock;
  readonly namespace?: string;
  readonly olderThanMs?: number;
}): Promise<number> {
  const { client, clock, namespace, olderThanMs = EVENT_TTL_MS } = options;
  const scope = { ...(namespace === undefined ? {} : { namespace }), limit: 500 };
  const before = clock.now() - olderThanMs;
  const old: EventObject[] = [];
  let page = await client.list(Events, scope);
  for (;;) {
    for (const event of page.items) if (lastSeen(event) < before) old.push(event);
    if (page.continue === undefined || page.continue === '') break;
    page = await client.list(Events, { ...scope, continue: page.continue });
  }
  let deleted = 0;
  for (const event of old) {
    const { resourceVersion } = event.metadata;
    try {
      await client.delete(
        Events,
        keyOf(event),
        resourceVersion === undefined ? {} : { preconditions: { resourceVersion } },
      );
      deleted++;
    } catch (error) {
      // It is gone already, or it happened once more since it was listed.
      if (!isReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }
  return deleted;
}

/** An Event without any readable time counts as new: it is somebody else's. */
function lastSeen(event: EventObject): number {
  const time = Date.parse(event.lastTimestamp || event.metadata.creationTimestamp || '');
  return Number.isNaN(time) ? Infinity : time;
}

import type { EventObject } from '../api/core.ts';

/** Oldest first: what happened last stands where the reader ends up. */
export function byLastSeen(a: Readonly<EventObject>, b: Readonly<EventObject>): number {
  return a.lastTimestamp < b.lastTimestamp ? -1 : a.lastTimestamp > b.lastTimestamp ? 1 : 0;
}

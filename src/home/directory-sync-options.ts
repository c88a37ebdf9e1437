import type { Logger } from 'pino';
import type { ResourceType } from '../api/meta.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Admission } from './admission.ts';
import type { Client } from './client.ts';

/** How long things may take to come to rest, in ms. */
export interface SyncTimings {
  /** From the first hint to reading, so that a burst of events is one pass. */
  readonly debounceMs: number;
  /** For a file that reads as broken right after a change, before it is reported. */
  readonly settleMs: number;
  /** Between the two equal looks at the whole directory that a deletion takes. */
  readonly pruneMs: number;
  /** Between looks at everything, whatever the events say. */
  readonly resyncMs: number;
  /** Before trying again what failed, or what waits for a deletion. */
  readonly retryMs: number;
}

export const SYNC_TIMINGS: SyncTimings = {
  debounceMs: 15,
  settleMs: 150,
  pruneMs: 300,
  resyncMs: 60_000,
  retryMs: 500,
};

export interface DirectorySyncOptions {
  readonly directory: string;
  readonly client: Client;
  readonly types: readonly ResourceType[];
  readonly admission: Admission;
  readonly clock: Clock;
  readonly log: Logger;
  readonly defaultNamespace?: string;
  readonly timings?: Partial<SyncTimings>;
}

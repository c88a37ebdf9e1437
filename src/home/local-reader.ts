import type { ResourceType } from '../api/meta.ts';
import { systemClock } from '../runtime/clock.ts';
import { plainBodies } from './body-codec.ts';
import { ChangeFeed } from './change-feed.ts';
import { HomeReader } from './home-reader.ts';
import { ObjectStore } from './object-store.ts';
import { servedReads } from './served-reads.ts';
import type { Reads } from './served-reads.ts';
import { openStoreFile } from './store-file.ts';

/** As far back as `run` keeps changes by itself. */
const CHANGE_WINDOW = 10_000;

/**
 * Opens the resources kept under `stateDir` for reading, also while another process writes them. What only writes need,
 * such as validation, is not loaded: this is what commands start with.
 *
 * @throws GridferryError `GF_HOME_NOT_FOUND`, `GF_HOME_UNAVAILABLE`, `GF_HOME_CORRUPT`, `GF_HOME_FOREIGN`,
 * `GF_HOME_NEWER`, `GF_HOME_OUTDATED`.
 */
export function openLocalReader(options: {
  readonly stateDir: string;
  readonly types: readonly ResourceType[];
}): Reads & { close(): void } {
  const store = new ObjectStore(openStoreFile(options.stateDir, true), plainBodies, options.types, CHANGE_WINDOW);
  const feed = new ChangeFeed(() => store.externalVersion(), systemClock);
  const reader = new HomeReader({ store, feed, clock: systemClock, selectableFields: () => [] });
  return {
    ...servedReads(reader, feed, options.types).reads,
    close() {
      feed.close();
      store.close();
    },
  };
}

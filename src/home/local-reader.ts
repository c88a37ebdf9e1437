import type { ResourceType } from '../api/meta.ts';
import { systemClock } from '../runtime/clock.ts';
import type { KeySource } from '../security/encryption-keys.ts';
import { ChangeFeed } from './change-feed.ts';
import { defaultKeySource, homeKeys } from './home-keys.ts';
import { HomeReader } from './home-reader.ts';
import { ObjectStore } from './object-store.ts';
import { secretBodies } from './secret-bodies.ts';
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
  /** Asked for only when a Secret is read. Default: the key of the home's own. */
  readonly encryptionKeys?: KeySource;
}): Reads & { close(): void } {
  const keys = homeKeys(options.encryptionKeys ?? defaultKeySource(options.stateDir));
  const store = new ObjectStore(
    openStoreFile(options.stateDir, true),
    secretBodies(keys),
    options.types,
    CHANGE_WINDOW,
  );
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

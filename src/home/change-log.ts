import type { ResourceType } from '../api/meta.ts';
import { ApiError } from './api-error.ts';
import { resourceName } from './api-messages.ts';
import type { Change, ObjectStore } from './object-store.ts';

/** How many changes are read at once. */
const BATCH = 200;

export interface ChangeBatch {
  readonly changes: readonly Change[];
  /** Where to read on. */
  readonly upTo: number;
}

interface Remembered extends ChangeBatch {
  readonly after: number;
  readonly head: number;
}

/**
 * The change log as watchers read it. Watchers that keep up all ask for the same part of it, so the part that was read
 * last is remembered for each kind: a change is read, and later serialised, once for a thousand watchers.
 */
export class ChangeLog {
  readonly #store: ObjectStore;
  readonly #last = new Map<string, Remembered>();

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /**
   * The changes of a kind after `position`.
   *
   * @throws ApiError `Expired` when the log no longer reaches back to it.
   */
  after(type: ResourceType, position: number): ChangeBatch {
    const head = this.#store.head();
    const name = resourceName(type);
    const known = this.#last.get(name);
    if (known !== undefined && known.after === position && known.head === head) return known;
    const changes = position < head ? this.#store.changes(type, position, head, BATCH) : [];
    // Read last: if another process trims the log meanwhile, the floor tells that `changes` may have a gap. A version
    // from the future belongs to a store that was replaced: only a new list helps there.
    const floor = this.#store.floor();
    if (position < floor || position > head) throw expired(position, floor);
    const last = changes.at(-1);
    const upTo = last !== undefined && changes.length === BATCH ? last.version : head;
    // What found nothing is not worth forgetting what found something.
    if (changes.length > 0) this.#last.set(name, { after: position, head, changes, upTo });
    return { changes, upTo };
  }
}

export function expired(version: number, floor: number): ApiError {
  return new ApiError('Expired', `too old resource version: ${String(version)} (${String(floor)})`);
}

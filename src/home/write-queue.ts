import { sqliteCodeOf } from './sqlite.ts';
import { storageError } from './storage-error.ts';

/** Keeps one transaction short enough for the event loop and for other processes that wait for the lock. */
const MAX_BATCH = 256;

interface QueuedWrite {
  readonly run: () => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

export interface WriteQueueOptions {
  /** Durable when it returns; undoes everything when it throws. */
  readonly transaction: (body: () => void) => void;
  readonly committed: () => void;
}

/**
 * Group commit: writes that are asked for in the same turn of the event loop share one transaction, and so one `fsync`.
 * A write that is refused undoes itself only; when the store fails, every write of the batch fails and none is stored.
 */
export class WriteQueue {
  readonly #options: WriteQueueOptions;
  #queue: QueuedWrite[] = [];
  #scheduled = false;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  add<R>(run: () => R): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      this.#queue.push({ run, resolve, reject });
      this.#schedule();
    });
  }

  /** Commits what is queued now. */
  flush(): void {
    while (this.#queue.length > 0) this.#commit();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#commit();
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  #commit(): void {
    const batch = this.#queue.splice(0, MAX_BATCH);
    if (batch.length === 0) return;
    const settle: (() => void)[] = [];
    try {
      this.#options.transaction(() => {
        for (const write of batch) {
          try {
            const result = write.run();
            settle.push(() => write.resolve(result as never));
          } catch (error) {
            if (sqliteCodeOf(error) !== undefined) throw error;
            settle.push(() => write.reject(error));
          }
        }
      });
    } catch (error) {
      for (const write of batch) write.reject(storageError(error, 'written'));
      return;
    }
    for (const answer of settle) answer();
    this.#options.committed();
  }
}

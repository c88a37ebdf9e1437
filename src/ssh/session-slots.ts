import { setTimeout as delay } from 'node:timers/promises';

/** Places for programs on one connection: sshd runs at most MaxSessions of them (10 unless configured). */
export interface SessionSlots {
  /**
   * Opens a session as soon as there is a place; the place is free again when `release` is called. Places are given out
   * in the order they were asked for.
   */
  open<T>(open: () => Promise<T>, signal?: AbortSignal): Promise<{ readonly session: T; readonly release: () => void }>;
  readonly limit: number;
}

interface Waiter {
  readonly wake: () => void;
}

const RETRIES = 5;
const FIRST_DELAY_MS = 50;

/**
 * @param limit how many sessions to open at most. When the server takes fewer, the limit comes down to what it took.
 * @param isRefusal whether an error says that the server takes no further session now.
 */
export function createSessionSlots(limit: number, isRefusal: (error: unknown) => boolean): SessionSlots {
  const waiting: Waiter[] = [];
  let most = limit;
  let used = 0;
  /** Those of the used places whose session is really open. */
  let opened = 0;

  function wakeNext(): void {
    for (let free = most - used; free > 0 && waiting.length > 0; free--) waiting.shift()?.wake();
  }

  function leave(): void {
    used--;
    wakeNext();
  }

  /** Invariant: whoever returns from here holds one of the `used` places. */
  async function enter(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (used < most && waiting.length === 0) {
      used++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        wake: () => {
          used++;
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        waiting.splice(waiting.indexOf(waiter), 1);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      waiting.push(waiter);
    });
  }

  return {
    get limit() {
      return most;
    },
    async open(open, signal) {
      for (let attempt = 0; ; attempt++) {
        await enter(signal);
        try {
          const session = await open();
          opened++;
          let released = false;
          const release = (): void => {
            if (released) return;
            released = true;
            opened--;
            leave();
          };
          return { session, release };
        } catch (error) {
          leave();
          if (!isRefusal(error) || attempt >= RETRIES) throw error;
          // The server counts a session until it has cleaned up, a moment after we saw its end: wait a little first, and
          // believe in a lower limit only when it refuses again.
          if (attempt > 0 && opened > 0) most = Math.min(most, opened);
          await delay(FIRST_DELAY_MS * 2 ** attempt, undefined, signal === undefined ? {} : { signal });
        }
      }
    },
  };
}

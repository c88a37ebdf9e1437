import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ThreadOutcome, ThreadTask } from './manifest-thread.ts';

const MAX_THREADS = 4;
/** Fewer files are read sooner than a thread starts, which takes some 50 ms. */
const MIN_FILES_PER_THREAD = 500;
const TASKS_PER_MESSAGE = 64;
/** While a thread works on one message, the next one is there already. */
const MESSAGES_AHEAD = 2;

/** Whether so many files are worth threads. */
export function isWorthThreads(files: number): boolean {
  return files >= MIN_FILES_PER_THREAD;
}

/**
 * Reads files, and parses those that changed, on the other cores. `take` gets what came of each, in no certain order, and
 * should be quick.
 *
 * @returns the tasks without an outcome, should a thread fail: they are the caller's to do.
 */
export async function readInThreads(
  tasks: readonly ThreadTask[],
  take: (task: ThreadTask, outcome: ThreadOutcome) => void,
): Promise<readonly ThreadTask[]> {
  const count = Math.min(MAX_THREADS, availableParallelism(), Math.ceil(tasks.length / MIN_FILES_PER_THREAD));
  const left = new Set(tasks);
  let next = 0;
  const nextMessage = (): readonly ThreadTask[] => tasks.slice(next, (next += TASKS_PER_MESSAGE));
  const deliver = (message: readonly ThreadTask[], outcomes: readonly ThreadOutcome[]): void => {
    for (const [index, task] of message.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) continue;
      left.delete(task);
      take(task, outcome);
    }
  };
  await Promise.all(Array.from({ length: count }, () => runThread(nextMessage, deliver)));
  return [...left];
}

/** Resolves when there is nothing more to do, or when the thread ended early. Rejects with what `deliver` throws. */
function runThread(
  nextMessage: () => readonly ThreadTask[],
  deliver: (message: readonly ThreadTask[], outcomes: readonly ThreadOutcome[]) => void,
): Promise<undefined> {
  const ended = Promise.withResolvers<undefined>();
  // The build names the file otherwise than the source does.
  const worker = new Worker(new URL(`manifest-thread${extname(import.meta.filename)}`, import.meta.url));
  const underway: (readonly ThreadTask[])[] = [];
  const feed = (): void => {
    while (underway.length < MESSAGES_AHEAD) {
      const message = nextMessage();
      if (message.length === 0) break;
      underway.push(message);
      worker.postMessage(message);
    }
    if (underway.length === 0) void worker.terminate();
  };
  worker.on('message', (outcomes: readonly ThreadOutcome[]) => {
    try {
      deliver(underway.shift() ?? [], outcomes);
      feed();
    } catch (error) {
      ended.reject(error);
      void worker.terminate();
    }
  });
  // Out of memory, say. What it did not do is left over.
  worker.on('error', () => undefined);
  worker.on('exit', () => ended.resolve(undefined));
  feed();
  return ended.promise;
}

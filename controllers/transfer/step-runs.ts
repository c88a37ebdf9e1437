import type { Clock } from '../../src/runtime/clock.ts';
import { createJobs } from '../../src/runtime/jobs.ts';
import type { JobState } from '../../src/runtime/jobs.ts';
import { createSession } from './session.ts';
import type { TransferSession } from './session.ts';
import type { StatusChange, StepResult } from './step.ts';

export type StepRun = JobState<StatusChange, StepResult>;

/** One run of one step, in one direction: an outcome is only ever taken for that of the run it belongs to. */
export type RunName = `do ${string}` | `undo ${string}`;

/**
 * What this process remembers of the transfers at work: the step that runs, how long to wait before a retry, and what is
 * open to the servers. Losing all of it costs time, never correctness.
 */
export interface StepRuns {
  start(
    uid: string,
    run: RunName,
    work: (signal: AbortSignal, report: (progress: StatusChange) => void) => Promise<StepResult>,
    onNews: () => void,
  ): void;
  /**
   * How that run is doing. The outcome of another one, which was recorded although the answer to that write was lost, is
   * dropped.
   */
  peek(uid: string, run: RunName): StepRun | undefined;
  /** Waits for its end, at most `ms`. */
  race(uid: string, ms: number): Promise<void>;
  /** Drops the outcome of a run that ended. */
  forget(uid: string, run: RunName): void;
  /** Fires the signal of whatever runs, and resolves when it has ended. */
  abort(uid: string, reason: Error): Promise<void>;
  /** Puts off the next run of a step. A change of the spec (another generation) ends the wait. */
  pause(uid: string, generation: number, step: string, ms: number): void;
  /** How long that step has still to wait, in ms. */
  pausedFor(uid: string, generation: number, step: string): number;
  session(uid: string): TransferSession;
  /** The transfer is over: closes what it had open, and remembers nothing. */
  drop(uid: string, reason: Error): Promise<void>;
  /** For the end of the process. */
  close(): Promise<void>;
}

interface Memory {
  run: RunName | undefined;
  session: TransferSession | undefined;
  generation: number;
  /** By step, the monotonic time before which it is not run again. */
  readonly pauses: Map<string, number>;
}

export function createStepRuns(clock: Clock): StepRuns {
  const jobs = createJobs<StatusChange, StepResult>({ clock });
  const memories = new Map<string, Memory>();

  function memoryOf(uid: string): Memory {
    let memory = memories.get(uid);
    if (memory === undefined) {
      memory = { run: undefined, session: undefined, generation: 0, pauses: new Map() };
      memories.set(uid, memory);
    }
    return memory;
  }

  return {
    start(uid, run, work, onNews) {
      jobs.start(uid, work, onNews);
      memoryOf(uid).run = run;
    },
    peek(uid, run) {
      const job = jobs.peek(uid);
      if (job === undefined || memoryOf(uid).run === run || job.state === 'running') return job;
      jobs.forget(uid);
      return undefined;
    },
    race: (uid, ms) => jobs.race(uid, ms),
    forget(uid, run) {
      if (memories.get(uid)?.run === run) jobs.forget(uid);
    },
    abort: (uid, reason) => jobs.abort(uid, reason),
    pause(uid, generation, step, ms) {
      const memory = memoryOf(uid);
      if (memory.generation !== generation) memory.pauses.clear();
      memory.generation = generation;
      memory.pauses.set(step, clock.monotonic() + ms);
    },
    pausedFor(uid, generation, step) {
      const memory = memories.get(uid);
      const until = memory?.generation === generation ? memory.pauses.get(step) : undefined;
      return until === undefined ? 0 : Math.max(0, until - clock.monotonic());
    },
    session(uid) {
      const memory = memoryOf(uid);
      memory.session ??= createSession();
      return memory.session;
    },
    async drop(uid, reason) {
      await jobs.abort(uid, reason);
      jobs.forget(uid);
      const memory = memories.get(uid);
      memories.delete(uid);
      await memory?.session?.close();
    },
    async close() {
      await jobs.abortAll();
      await Promise.allSettled([...memories.values()].map(async (memory) => memory.session?.close()));
    },
  };
}

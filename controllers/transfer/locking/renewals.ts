import { GridferryError } from '../../../src/errors.ts';
import { requeueAfter } from '../../../src/runtime/result.ts';
import type { Result } from '../../../src/runtime/result.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { recordOf, wasReached } from '../itinerary.ts';
import type { References } from '../references.ts';
import type { Step } from '../step.ts';
import { contextOf, uidOf } from '../work.ts';
import type { Work } from '../work.ts';

/** How often what a step made is renewed, in ms. */
export const RENEW_EVERY_MS = 100_000;

/** How soon to ask again when another has it, in ms. */
const ASK_AGAIN_MS = 5_000;

/** Keeps up what steps made that does not last by itself: the marks on the servers. */
export interface Renewals {
  /**
   * Renews what is due, beside whatever step runs. The first time in a process it is waited for, so that nothing is done
   * under a mark that another has taken over meanwhile. Answers what to do instead of going on.
   */
  keep(work: Work, references: References): Promise<Result | undefined>;
  /** The transfer is over. */
  drop(uid: string): void;
  close(): void;
}

type Renewable = Step & Required<Pick<Step, 'renew'>>;

interface Memory {
  renewing: Promise<void> | undefined;
  /** Monotonic. */
  renewedAt: number;
  /** Another has what was ours. */
  lost: GridferryError | undefined;
  cancel: (() => void) | undefined;
}

export function createRenewals(clock: Clock): Renewals {
  const memories = new Map<string, Memory>();

  function renew(memory: Memory, step: Renewable, work: Work, references: References): Promise<void> {
    const { context } = work;
    const signal = new AbortController().signal;
    memory.renewedAt = clock.monotonic();
    memory.cancel?.();
    // Also a transfer that nobody visits, because it is suspended, keeps what is its own.
    memory.cancel = clock.after(RENEW_EVERY_MS, context.wake);
    const stepContext = { ...contextOf(work, references, step), signal, report: (): undefined => undefined };
    memory.renewing = step.renew(stepContext).then(
      () => {
        memory.renewing = undefined;
        memory.lost = undefined;
      },
      (error: unknown) => {
        memory.renewing = undefined;
        if (error instanceof GridferryError && error.code === 'GF_TRANSFER_SERVER_LOCKED') {
          memory.lost = error;
          context.wake();
          return;
        }
        // A server that cannot be reached cannot be harmed either; the steps that need it find out by themselves.
        context.log.warn({ err: error }, 'a mark on a server could not be renewed; it is tried again');
      },
    );
    return memory.renewing;
  }

  return {
    async keep(work, references) {
      const step = stepToRenew(work);
      if (step === undefined) return undefined;
      const uid = uidOf(work);
      let memory = memories.get(uid);
      if (memory === undefined) {
        memory = { renewing: undefined, renewedAt: -Infinity, lost: undefined, cancel: undefined };
        memories.set(uid, memory);
        await renew(memory, step, work, references);
      }
      const every = memory.lost === undefined ? RENEW_EVERY_MS : ASK_AGAIN_MS;
      if (memory.renewing === undefined && clock.monotonic() - memory.renewedAt >= every) {
        const renewing = renew(memory, step, work, references);
        if (memory.lost !== undefined) await renewing;
      }
      if (memory.lost === undefined) return undefined;
      await work.runs.abort(uid, memory.lost);
      work.visit.status.message = memory.lost.message;
      work.visit.condition('Succeeded', 'Unknown', 'LockLost', memory.lost.message);
      return requeueAfter(ASK_AGAIN_MS, 'another has marked the servers');
    },
    drop(uid) {
      memories.get(uid)?.cancel?.();
      memories.delete(uid);
    },
    close() {
      for (const { cancel } of memories.values()) cancel?.();
    },
  };
}

/** The step whose work is to be kept up now: none before it is done, and none once it is being given back. */
function stepToRenew({ plan, visit: { status } }: Work): Renewable | undefined {
  const records = status.steps ?? [];
  const last = plan.findLast((step) => (step.renew !== undefined || step.releases) && wasReached(records, step.name));
  return last !== undefined && isRenewable(last) && recordOf(records, last).state === 'Done' ? last : undefined;
}

function isRenewable(step: Step): step is Renewable {
  return step.renew !== undefined;
}

import type { TransferContext } from '../context.ts';
import { cutoverIn } from '../copying/cutover-time.ts';
import { notConverging, untilItFits } from '../copying/precopy.ts';
import { refreshIntervalMs } from '../copying/precopy-model.ts';
import { openRounds } from '../copying/rounds.ts';
import type { Rounds } from '../copying/rounds.ts';
import type { Step, StepResult } from '../step.ts';

/** A copy this young needs no further round before the stop, in ms; one that took long may be older. */
const FRESH_MS = 5_000;

/** Between two rounds that shall make it fit after all, in ms, and at least as long as a round takes. */
const TRY_AGAIN_MS = 1_000;

/**
 * Holds the service running, and its copy fresh, until it may be stopped: at once, at a time, or when the user says so.
 * While it holds nothing runs but a round now and then, so that it can be suspended, cancelled, or taken over.
 */
export const awaitCutover: Step = {
  name: 'await-cutover',
  phase: 'Uploading',
  async apply(given) {
    const context = showingTheHold(given);
    const rounds = openRounds(context, [...(await context.session.data(context)).entries()]);
    rounds.verdict();
    const left = cutoverIn(context.transfer.spec, context.clock.now());
    return left > 0 ? keepFresh(context, rounds, left) : letGo(context, rounds);
  },
};

/** What the step waits for stays in view while a round is made. */
function showingTheHold(context: TransferContext): TransferContext {
  const { message } = context.status.steps?.find(({ name }) => name === awaitCutover.name) ?? {};
  return {
    ...context,
    report: (change) =>
      context.report((status, condition) => {
        change(status, condition);
        if (message !== undefined) status.message = message;
      }),
  };
}

/** Makes a round if it is due, and says when to look again. */
async function keepFresh(context: TransferContext, rounds: Rounds, left: number): Promise<StepResult> {
  const { cutover } = context.transfer.spec;
  // A last round just before the time, so that none is needed when it has come.
  const leadMs = freshMs(rounds) / 2 + (rounds.model.costMs ?? 0);
  const dueAfter = left <= leadMs ? leadMs : refreshIntervalMs(rounds.model);
  if (rounds.ageMs() >= dueAfter) {
    await rounds.another();
    await untilItFits(context, rounds);
  }
  const untilTime = cutoverIn(context.transfer.spec, context.clock.now());
  const wait = Math.min(refreshIntervalMs(rounds.model), untilTime > leadMs ? untilTime - leadMs : untilTime);
  const fits = rounds.verdict().kind === 'Ready';
  const state = `ready, with a copy as of ${copiedAt(context, rounds)}, predicted downtime ${rounds.prediction()}`;
  const order = 'set spec.cutoverNow to true to cut over';
  const until = cutover === 'Manual' ? order : `cuts over at ${cutover}; ${order} before`;
  return hold(context, rounds, wait, {
    reason: fits ? 'Fresh' : 'NotConverging',
    message: fits ? `${state}: ${until}` : `${state}: ${until}. ${rounds.explanation()}`,
  });
}

/** It may be stopped as soon as the copy is fresh and the prediction fits, or is not minded. */
async function letGo(context: TransferContext, rounds: Rounds): Promise<StepResult> {
  const { cutoverNow, onNoConvergence } = context.transfer.spec;
  const stillWaits = context.status.precopy?.converged === false && onNoConvergence === 'Wait';
  if (stillWaits || rounds.ageMs() > freshMs(rounds)) await rounds.another();
  if (rounds.verdict().kind === 'Ready') return goOn(rounds, 'the copy is fresh');
  // Whoever says so has seen the prediction.
  if (cutoverNow) return goOn(rounds, 'spec.cutoverNow is true');
  if (await untilItFits(context, rounds)) return goOn(rounds, 'the copy is fresh');
  if (onNoConvergence === 'Proceed') return goOn(rounds, 'onNoConvergence is Proceed');
  if (onNoConvergence === 'Fail') throw notConverging(rounds);
  return hold(context, rounds, Math.max(TRY_AGAIN_MS, rounds.model.costMs ?? 0), {
    reason: 'NotConverging',
    message: `${rounds.explanation()}. Rounds go on until it fits: raise maxDowntime, let it write less, or set spec.cutoverNow to true`,
  });
}

function freshMs({ model }: Rounds): number {
  return Math.max(FRESH_MS, 2 * (model.costMs ?? 0));
}

function goOn(rounds: Rounds, why: string): StepResult {
  return {
    message: `${why}; ${rounds.explanation()}`,
    record(status, condition) {
      rounds.progress.change(status, condition);
      condition('ReadyToCutOver', 'True', 'CuttingOver', why);
    },
  };
}

function hold(
  { transfer }: TransferContext,
  { progress }: Rounds,
  afterMs: number,
  { reason, message }: { readonly reason: 'Fresh' | 'NotConverging'; readonly message: string },
): StepResult {
  return {
    again: { afterMs, generation: transfer.metadata.generation ?? 0 },
    message,
    record(status, condition) {
      progress.change(status, condition);
      condition('ReadyToCutOver', reason === 'Fresh' ? 'True' : 'False', reason, message);
    },
  };
}

function copiedAt(context: TransferContext, rounds: Rounds): string {
  return new Date(context.clock.now() - rounds.ageMs()).toISOString().replace(/\.\d+Z$/, 'Z');
}

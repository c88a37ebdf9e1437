import type { TransferStatus } from '../../src/api/resources.ts';
import type { Condition } from '../../src/api/meta.ts';
import type { TransferContext } from './context.ts';
import type { TransferCondition } from './status.ts';

/** The phases that steps belong to, in the order users see them. */
export type ActivePhase = 'Preparing' | 'Uploading' | 'Restoring' | 'DNSCutover' | 'Verifying' | 'Completed';

/** Changes the status; applied to the freshest one, so it must not rely on an earlier look at it. */
export type StatusChange = (status: TransferStatus, condition: SetCondition) => void;

export type SetCondition = (
  type: TransferCondition,
  value: Condition['status'],
  reason: string,
  message: string,
) => void;

export interface StepResult {
  /** What is to be remembered; written before the next step begins. */
  readonly record?: StatusChange;
  /** For `status.steps[].message`, the Event and the log. */
  readonly message?: string;
  /** The step had nothing to do: it counts as Skipped, with the message as its reason. */
  readonly skipped?: boolean;
  /** What the user should know although the step is done; becomes a Warning event. */
  readonly warning?: string;
  /**
   * The step is not over: it is taken again after this long, or at once when the spec is no longer of the generation it
   * went by. Until then nothing runs, so that it can be suspended; waiting is no attempt, however often.
   */
  readonly again?: { readonly afterMs: number; readonly generation: number };
}

/**
 * One entry of the plan. All three functions may run any number of times, in any process, and after a death at any
 * instant: they look at the servers first and do only what is missing.
 */
export interface Step {
  readonly name: string;
  readonly phase: ActivePhase;
  /** Whether, once it is done, only the user's wish brings the service back. */
  readonly commitPoint?: boolean;
  /** What do the servers say: is it done already? Absent: `apply` finds out by itself. */
  observe?(context: TransferContext): Promise<StepResult | undefined>;
  apply(context: TransferContext): Promise<StepResult>;
  /** Takes back what `apply` did, also when it was only half done. */
  undo?(context: TransferContext): Promise<StatusChange | undefined>;
  /** Renews what `apply` made and does not last by itself, now and then for as long as the transfer is active. */
  renew?(context: TransferContext): Promise<void>;
  /** Whether it gives back what another step's `renew` keeps up. */
  readonly releases?: boolean;
  /** Whether nothing before this step may be undone until this one is: it guards "never two writers". */
  readonly undoFirst?: boolean;
  /** Whether a server that is away for some minutes is waited for, whatever the phase: nothing suffers meanwhile. */
  readonly patient?: boolean;
  /**
   * What is still so while this step is not done. After the commit point such a step is not passed over: it is tried until
   * it succeeds, or fails in a way that no other try changes.
   */
  readonly untilDone?: string;
}

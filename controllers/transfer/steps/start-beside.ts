import type { Step } from '../step.ts';
import { startAtTarget, stopAtTarget } from './start-target.ts';

/**
 * Starts the service at the target while it still runs at the source. Only in the plan for services that may do that:
 * choose-strategy found nothing that two of them would write apart, or its user said so.
 */
export const startBeside: Step = {
  name: 'start-beside',
  phase: 'Restoring',
  apply: startAtTarget,
  undo: stopAtTarget,
  undoFirst: true,
};

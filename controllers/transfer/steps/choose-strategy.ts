import type { TransferContext } from '../context.ts';
import { decideStrategy, dependsOnWritten } from '../cutover/strategy.ts';
import type { StrategyChoice } from '../cutover/strategy.ts';
import type { Step } from '../step.ts';

/** Decides, once, whether the target starts beside the source or after it. The rest of the plan follows from it. */
export const chooseStrategy: Step = {
  name: 'choose-strategy',
  phase: 'Preparing',
  async apply(context) {
    const { strategy, reason, notKept } = await strategyOf(context);
    return {
      record(status) {
        status.strategy = strategy;
        status.strategyReason = reason;
      },
      message: `${strategy}: ${reason}`,
      ...(notKept.length === 0 ? {} : { warning: `StartFirst was asked for: ${reason}` }),
    };
  },
};

/** What would be chosen now: reads the service, changes nothing. */
export async function strategyOf(context: TransferContext): Promise<StrategyChoice> {
  const [capture, { engine }] = await Promise.all([context.session.capture(context), context.session.source(context)]);
  const { spec } = context.transfer;
  // Docker compares the whole image for the answer.
  const running = dependsOnWritten(spec, capture) ? capture.containers.filter((container) => container.running) : [];
  const written = await Promise.all(
    running.map(
      async ({ id, name }) => [name, await context.dataPlane.readWritableChanges(engine, id, context.signal)] as const,
    ),
  );
  return decideStrategy({ spec, capture, written: new Map(written) });
}

import { sweepBenches } from '../../src/volumes/sweep-benches.ts';
import { marksOf } from './context.ts';
import type { TransferContext } from './context.ts';

/** What the benches of a transfer are called: for its data, for a look at the target's volumes, for emptying paths. */
const kinds = ['', 'look-', 'undo-'] as const;

export function benchName(context: Pick<TransferContext, 'transfer'>, kind: (typeof kinds)[number] = ''): string {
  return `gridferry-${kind}${context.transfer.metadata.uid ?? ''}`;
}

/** Takes away every bench of the transfer on these servers, those of an earlier process included. */
export async function sweep(context: TransferContext, ...sides: readonly ('source' | 'target')[]): Promise<void> {
  await context.session.close();
  for (const side of sides) {
    const { host, engine } = await context.session[side](context);
    await sweepBenches({
      host,
      docker: engine.docker,
      labels: marksOf(context.transfer),
      names: kinds.map((kind) => benchName(context, kind)),
    });
  }
}

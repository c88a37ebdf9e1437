import { marksOf } from '../context.ts';
import type { TransferContext } from '../context.ts';

/** What the benches of a transfer are called: for its data, for a look at the target's volumes, for emptying paths. */
const kinds = ['', 'look-', 'undo-'] as const;

export function benchName(context: Pick<TransferContext, 'transfer'>, kind: (typeof kinds)[number] = ''): string {
  return `gridferry-${kind}${context.transfer.metadata.uid ?? ''}`;
}

/** The uid of the transfer that a bench of this name belongs to; undefined: it is no transfer's. */
export function transferOfBench(name: string): string | undefined {
  return /^gridferry-(?:look-|undo-)?(.+)$/.exec(name)?.[1];
}

/** All names that benches of this transfer may have. */
export function benchNames(context: Pick<TransferContext, 'transfer'>): string[] {
  return kinds.map((kind) => benchName(context, kind));
}

/** Takes away every bench of the transfer on these servers, those of an earlier process included. */
export async function sweep(context: TransferContext, ...sides: readonly ('source' | 'target')[]): Promise<void> {
  await context.session.close();
  await Promise.all(
    sides.map(async (side) => {
      const { host, engine } = await context.session[side](context);
      await context.dataPlane.sweepBenches({
        host,
        docker: engine.docker,
        labels: marksOf(context.transfer),
        names: benchNames(context),
      });
    }),
  );
}

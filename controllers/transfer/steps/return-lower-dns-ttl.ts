import { planLowerTtl, restore } from '../../../src/dns/restore.ts';
import { cutoverTtl, dnsTargetOf } from '../cutover/dns-target.ts';
import type { TransferContext } from '../context.ts';
import type { Step } from '../step.ts';

/** Shortens how long resolvers remember the target's address, before the records go back. */
export const returnLowerDnsTtl: Step = {
  name: 'return-lower-dns-ttl',
  phase: 'Preparing',
  async apply(context) {
    if (context.status.rollback?.dns === undefined) return { skipped: true, message: 'DNS is left alone' };
    const target = await dnsTargetOf(context);
    if (target.skip) return { skipped: true, message: target.message };
    const { changes } = planLowerTtl({ ...target.input, oldAddresses: [target.input.newAddress], ttl: cutoverTtl });
    if (changes.length === 0) return { skipped: true, message: 'nothing caches it for long' };
    await target.provider.applyChanges(target.zone, changes, { signal: context.signal });
    return { message: `${target.name}: ${String(cutoverTtl)} s` };
  },
  undo: putTargetRecordsBack,
};

/** DNS as it was before the rollback: the name leads to the target. Idempotent. */
export async function putTargetRecordsBack(context: TransferContext): Promise<undefined> {
  const point = context.status.rollback?.dns;
  if (point === undefined) return;
  const target = await dnsTargetOf(context);
  if (!target.skip) await restore(target.provider, target.zone, point, { signal: context.signal });
}

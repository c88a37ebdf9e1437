import { planLowerTtl, restore } from '../../../src/dns/restore.ts';
import { cutoverTtl, dnsTargetOf } from '../cutover/dns-target.ts';
import type { Step } from '../step.ts';

/** Shortens how long resolvers remember the old address, well before it changes. */
export const lowerDnsTtl: Step = {
  name: 'lower-dns-ttl',
  phase: 'Preparing',
  async apply(context) {
    if (context.status.restore?.dns === undefined) return { skipped: true, message: 'DNS is left alone' };
    const target = await dnsTargetOf(context);
    if (target.skip) return { skipped: true, message: target.message };
    const { changes } = planLowerTtl({ ...target.input, ttl: cutoverTtl });
    if (changes.length === 0) return { skipped: true, message: 'nothing caches it for long' };
    await target.provider.applyChanges(target.zone, changes, { signal: context.signal });
    return { message: `${target.name}: ${String(cutoverTtl)} s` };
  },
  async undo(context) {
    const point = context.status.restore?.dns;
    if (point === undefined) return;
    const target = await dnsTargetOf(context);
    if (!target.skip) await restore(target.provider, target.zone, point, { signal: context.signal });
  },
};

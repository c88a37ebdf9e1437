import { readRecords } from '../../../src/dns/cutover.ts';
import { planOriginalTtl } from '../../../src/dns/restore.ts';
import { dnsTargetOf } from '../cutover/dns-target.ts';
import type { Step } from '../step.ts';

/** Gives the records the time to live that they had before. */
export const restoreDnsTtl: Step = {
  name: 'restore-dns-ttl',
  phase: 'Completed',
  async apply(context) {
    const point = context.status.restore?.dns;
    const target = point === undefined ? undefined : await dnsTargetOf(context);
    if (point === undefined || target === undefined || target.skip)
      return { skipped: true, message: 'DNS is left alone' };
    const { records } = await readRecords(target.provider, target.name, { signal: context.signal });
    const changes = planOriginalTtl(records, point);
    if (changes.length === 0) return { skipped: true, message: 'it is as it was' };
    await target.provider.applyChanges(target.zone, changes, { signal: context.signal });
    return { message: target.name };
  },
};

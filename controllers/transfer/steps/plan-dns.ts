import { planCutover } from '../../../src/dns/cutover.ts';
import { mergeRestorePoints, planLowerTtl } from '../../../src/dns/restore.ts';
import { cutoverTtl, dnsTargetOf } from '../cutover/dns-target.ts';
import type { Step } from '../step.ts';

/** Finds out what will be changed in DNS, and writes down how it was, before anything is touched there. */
export const planDns: Step = {
  name: 'plan-dns',
  phase: 'Preparing',
  async apply(context) {
    const target = await dnsTargetOf(context);
    if (target.skip) {
      return {
        skipped: true,
        message: target.message,
        record: (_status, condition) => condition('DNSUpdated', 'Unknown', target.reason, target.message),
      };
    }
    const { input } = target;
    const ttl = planLowerTtl({ ...input, ttl: cutoverTtl });
    const cutover = planCutover(input);
    const point = mergeRestorePoints(ttl.restorePoint, cutover.restorePoint);
    const problems = cutover.problems.map((problem) => problem.message).join(' ');
    return {
      record(status, condition) {
        if (status.restore === undefined) return;
        // The first look counts: a second one may already see records that the transfer changed.
        status.restore.dns ??= {
          name: target.name,
          prior: point.prior.map((record) => ({ ...record, tags: [...record.tags] })),
          created: point.created.map((record) => ({ ...record, tags: [...record.tags] })),
          wrote: [...point.wrote],
        };
        condition(
          'DNSUpdated',
          'Unknown',
          'Planned',
          `${target.name} will point to ${input.newAddress}. ${problems}`.trim(),
        );
      },
      message: `${target.name} → ${input.newAddress}`,
    };
  },
};

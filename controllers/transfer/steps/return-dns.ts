import { restore } from '../../../src/dns/restore.ts';
import { GridferryError } from '../../../src/errors.ts';
import { dnsTargetOf } from '../cutover/dns-target.ts';
import type { Step } from '../step.ts';
import { putTargetRecordsBack } from './return-lower-dns-ttl.ts';

/** Puts the records back as they were before the move. From here on clients write at the source: it is not taken back. */
export const returnDns: Step = {
  name: 'return-dns',
  phase: 'DNSCutover',
  commitPoint: true,
  async apply(context) {
    const point = context.status.restore?.dns;
    if (point === undefined) return { message: 'DNS is left alone' };
    const target = await dnsTargetOf(context);
    if (target.skip) {
      throw new GridferryError(
        'GF_ROLLBACK_NO_DNS',
        `the records of ${point.name} cannot be put back: ${target.message}`,
      );
    }
    await restore(target.provider, target.zone, point, { signal: context.signal });
    const message = `${target.name} is as it was before the move`;
    return {
      record(_status, condition) {
        condition('CutOver', 'False', 'RolledBack', message);
        condition('DNSUpdated', 'False', 'RolledBack', message);
      },
      message,
    };
  },
  undo: putTargetRecordsBack,
};

import { GridferryError } from '../../../src/errors.ts';
import { planCutover } from '../../../src/dns/cutover.ts';
import { mergeRestorePoints, restore } from '../../../src/dns/restore.ts';
import { dnsTargetOf } from '../cutover/dns-target.ts';
import type { Step } from '../step.ts';

/** Points the public name to the target. From here on clients write there: only the user brings the service back. */
export const cutOverDns: Step = {
  name: 'cut-over-dns',
  phase: 'DNSCutover',
  commitPoint: true,
  async apply(context) {
    const before = context.status.restore?.dns;
    const target = before === undefined ? undefined : await dnsTargetOf(context);
    if (before === undefined || target === undefined || target.skip) {
      return {
        message: 'DNS is left alone',
        record: (_status, condition) =>
          condition(
            'CutOver',
            'True',
            'WithoutDNS',
            `the service runs on server ${context.transfer.spec.targetServerRef.name}`,
          ),
      };
    }
    const { changes, restorePoint } = planCutover(target.input);
    const known = mergeRestorePoints(before, restorePoint);
    if (known.prior.length > before.prior.length) {
      throw new GridferryError(
        'GF_DNS_CHANGED_MEANWHILE',
        `the records of ${target.name} were changed by somebody else during the transfer; they are left as they are. Look at them, then start again with a new retryToken.`,
      );
    }
    await target.provider.applyChanges(target.zone, changes, { signal: context.signal });
    const message = `${target.name} points to ${target.input.newAddress}`;
    return {
      record(_status, condition) {
        condition('CutOver', 'True', 'Done', message);
        condition('DNSUpdated', 'True', 'Done', message);
      },
      message,
    };
  },
  async undo(context) {
    const point = context.status.restore?.dns;
    if (point === undefined) return;
    const target = await dnsTargetOf(context);
    if (target.skip) return;
    await restore(target.provider, target.zone, point, { signal: context.signal });
    return (_status, condition) => {
      condition('CutOver', 'False', 'Undone', 'the public name points to the source again');
      condition('DNSUpdated', 'False', 'Undone', 'the records are as they were');
    };
  },
};

import { GridferryError } from '../../../src/errors.ts';
import { dnsTargetOf } from '../dns-target.ts';
import { addressesSeen } from '../dns-answers.ts';
import type { Step } from '../step.ts';

/** Waits until name servers answer with the new address. */
export const checkDns: Step = {
  name: 'check-dns',
  phase: 'Verifying',
  async apply(context) {
    if (context.status.restore?.dns === undefined) return { skipped: true, message: 'DNS is left alone' };
    const target = await dnsTargetOf(context);
    if (target.skip) return { skipped: true, message: target.message };
    const proxied = target.input.records.some((record) => record.name === target.name.toLowerCase() && record.proxied);
    if (proxied) return { skipped: true, message: 'the provider proxies it: its answer does not show the server' };
    const seen = await addressesSeen(context, target.name, target.input.type);
    if (!seen.includes(target.input.newAddress)) {
      throw new GridferryError(
        'GF_DNS_NOT_PROPAGATED',
        `${target.name} is still answered with ${seen.join(', ') || 'nothing'}; expected ${target.input.newAddress}`,
        { class: 'retryable' },
      );
    }
    return { message: `${target.name} is answered with ${target.input.newAddress}` };
  },
};

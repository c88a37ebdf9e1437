import type { TransferStatus } from '../../../src/api/resources.ts';
import { GridferryError } from '../../../src/errors.ts';
import { dnsTargetOf } from '../cutover/dns-target.ts';
import { addressesSeen } from '../cutover/dns-answers.ts';
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
    if (seen.includes(target.input.newAddress)) {
      return { message: `${target.name} is answered with ${target.input.newAddress}` };
    }
    const stale = `${target.name} is still answered with ${seen.join(', ') || 'nothing'}`;
    const left = secondsRemembered(context.status, context.clock.now());
    if (attemptsOf(context.status) < STALE_ATTEMPTS || left <= 0) {
      throw new GridferryError('GF_DNS_NOT_PROPAGATED', `${stale}; expected ${target.input.newAddress}`, {
        class: 'retryable',
      });
    }
    // A resolver that asked before the TTL was lowered is right to answer from memory; the record itself is as wanted.
    const message = `${stale} by the name servers that were asked; they may remember that for ${String(left)} s more`;
    return { message, record: (_status, condition) => condition('DNSUpdated', 'True', 'Propagating', message) };
  },
};

/** So often the old answer is not taken for a remembered one. */
const STALE_ATTEMPTS = 4;

/** What Cloudflare gives for "automatic", in seconds. */
const AUTOMATIC_TTL = 300;

/** For how long resolvers may still answer with what was true before the cutover, in seconds. */
function secondsRemembered({ restore, committedAt }: Readonly<TransferStatus>, now: number): number {
  const ttls = restore?.dns?.prior.map(({ ttl }) => (ttl === 1 ? AUTOMATIC_TTL : ttl)) ?? [];
  const since = committedAt === undefined ? 0 : (now - Date.parse(committedAt)) / 1000;
  return Math.ceil(Math.max(0, ...ttls) - since);
}

function attemptsOf({ steps }: Readonly<TransferStatus>): number {
  return steps?.find(({ name }) => name === checkDns.name)?.attempts ?? 0;
}

import type { Lease } from '../api/core.ts';
import type { ObjectKey } from '../api/meta.ts';
import type { Clock } from './clock.ts';
import { microTimestamp } from './timestamp.ts';

/** What a candidate writes into the Lease. */
export interface LeaseTerms {
  readonly key: ObjectKey;
  readonly identity: string;
  readonly durationSeconds: number;
  readonly clock: Clock;
}

/**
 * A number that grows with every change of leader, and with every Lease that is made anew: the second in which the Lease
 * was created, times a million, plus its transitions. It fits 2^53 and the arithmetic of any shell until the year 2255.
 */
export function leaseEpoch({ metadata, spec }: Lease): number {
  const createdAt = Math.floor(Date.parse(metadata.creationTimestamp ?? '') / 1000);
  return createdAt * 1_000_000 + (spec?.leaseTransitions ?? 0);
}

/**
 * A Lease that is not there yet. It goes on counting from the one that was there before, if that was seen: a Lease deleted
 * and made again within one second would repeat an epoch otherwise.
 */
export function newLease({ key, identity, durationSeconds, clock }: LeaseTerms, previous: Lease | undefined): Lease {
  const now = microTimestamp(clock.now());
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...key },
    spec: {
      holderIdentity: identity,
      leaseDurationSeconds: durationSeconds,
      acquireTime: now,
      renewTime: now,
      leaseTransitions: previous === undefined ? 0 : (previous.spec?.leaseTransitions ?? 0) + 1,
    },
  };
}

/** The Lease as ours: renewed when it was, else one transition further. Guarded by its resourceVersion. */
export function takenLease(lease: Lease, { identity, durationSeconds, clock }: LeaseTerms): Lease {
  const now = microTimestamp(clock.now());
  const renewed = { ...lease.spec, holderIdentity: identity, leaseDurationSeconds: durationSeconds, renewTime: now };
  const isOurs = lease.spec?.holderIdentity === identity;
  const transitions = lease.spec?.leaseTransitions ?? 0;
  return { ...lease, spec: isOurs ? renewed : { ...renewed, acquireTime: now, leaseTransitions: transitions + 1 } };
}

/** The Lease as nobody's. The shortest duration lets also those take over at once who look only at the time. */
export function releasedLease(lease: Lease, { clock }: LeaseTerms): Lease {
  const now = microTimestamp(clock.now());
  const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
  return { ...lease, spec };
}

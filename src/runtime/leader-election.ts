import type { Logger } from 'pino';
import { Leases } from '../api/core.ts';
import type { Lease } from '../api/core.ts';
import { keyString } from '../api/meta.ts';
import type { ObjectKey } from '../api/meta.ts';
import { GridferryError, messageOf } from '../errors.ts';
import { isReason } from '../home/api-error.ts';
import type { Client } from '../home/client.ts';
import { sleep } from './clock.ts';
import type { Clock } from './clock.ts';
import type { Leadership } from './leadership.ts';
import { leaseEpoch, newLease, releasedLease, takenLease } from './leader-lease.ts';
import type { LeaseTerms } from './leader-lease.ts';

export interface LeaderElectionOptions extends LeaderElectionTimes {
  readonly client: Client;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** The Lease all candidates share. */
  readonly lease: ObjectKey;
  /** Of this process alone, also among those that run after it: an equal one would take another's lease for its own. */
  readonly identity: string;
}

export interface LeaderElectionTimes {
  /** How long the others wait after the last sign of life before they take over, in ms; whole seconds. Default 15,000. */
  readonly leaseDurationMs?: number;
  /** Without a renewal for so long the leader gives up, in ms; less than the lease. Default 10,000. */
  readonly renewDeadlineMs?: number;
  /** How often to renew, or to try, in ms. Default 2,000. */
  readonly retryMs?: number;
}

/** One candidate for one Lease, once: after the lease was lost the process ends and another one stands. */
export interface LeaderElection extends Leadership {
  /** Stands for election until it leads, and renews from then on. Failures of the API are waited out. */
  start(): void;
  /** Renews now. Resolves with whether this process leads: true is the API's own word, not the clock's. */
  confirm(): Promise<boolean>;
  /** Stops, and hands the lease over when it is held. To be called after the last effect. Never rejects. */
  release(): Promise<void>;
}

/** client-go's `JitterFactor`: candidates that start together do not ask together. */
const JITTER = 1.2;

/**
 * Leader election over a `coordination.k8s.io` Lease, by the rules of client-go's `leaderelection`: a candidate never
 * looks at the times that another wrote, only at how long *it* has seen the record unchanged; every write is a
 * compare-and-swap.
 *
 * Safety: the leader counts its lease from the moment *before* a renewal was sent, the others from a moment after it was
 * stored, and `renewDeadline < leaseDuration`. So it has stopped believing before anybody else can begin to, whatever
 * the wall clocks say, as long as monotonic clocks run alike. What a process sends between asking its clock and being
 * frozen is what fencing is for (`src/ssh/fence.ts`).
 */
export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { client, clock, random, log, lease: key, identity } = options;
  const { leaseDurationMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000 } = options;
  const terms: LeaseTerms = { key, identity, durationSeconds: Math.ceil(leaseDurationMs / 1000), clock };
  const lost = new AbortController();
  const stopping = new AbortController();
  const { promise: elected, resolve: resolveElected } = Promise.withResolvers<undefined>();
  /** What the Lease said last, and since when (monotonic) we have seen it say so. */
  let observed: { readonly lease: Lease; readonly since: number } | undefined;
  let state: 'candidate' | 'leader' | 'over' = 'candidate';
  let epoch = 0;
  /** Monotonic; before the last renewal that succeeded was sent. */
  let renewedAt = -Infinity;
  let cancelDeadline: (() => void) | undefined;
  /** Invariant: one attempt at a time, so that no write of ours overtakes another. */
  let queue: Promise<unknown> = Promise.resolve();

  const isLeader = (): boolean => state === 'leader' && clock.monotonic() - renewedAt < renewDeadlineMs;

  function inTurn<R>(work: () => Promise<R>): Promise<R> {
    const turn = queue.then(work);
    queue = turn.catch(() => {
      // Whoever asked for that turn hears of it.
    });
    return turn;
  }

  function lose(why: string): void {
    if (state !== 'leader') return;
    end();
    log.error({ lease: keyString(key), identity, epoch }, `no longer the leader: ${why}`);
    lost.abort(
      new GridferryError(
        'GF_LEADERSHIP_LOST',
        `This process no longer leads: ${why}. It ends, and another replica goes on from here; if this happens often, ` +
          `look at the API server and at the load of this machine.`,
        { class: 'retryable' },
      ),
    );
  }

  /** Whether the clock says that we lead no longer. A process that was frozen may find out here, before its timers do. */
  function ranOut(): boolean {
    if (state === 'leader' && !isLeader()) lose(`the lease could not be renewed for ${renewDeadlineMs / 1000} s`);
    return state === 'over';
  }

  function end(): void {
    state = 'over';
    cancelDeadline?.();
    stopping.abort();
  }

  /** The Lease was stored as ours, by a write sent at that (monotonic) time. */
  function hold(lease: Lease, sentAt: number): void {
    if (ranOut()) return;
    observed = { lease, since: sentAt };
    renewedAt = sentAt;
    const leftMs = renewedAt + renewDeadlineMs - clock.monotonic();
    // An answer that came so late begins nothing: the next try finds the Lease in our name, or not.
    if (leftMs <= 0 && state === 'candidate') return;
    cancelDeadline?.();
    cancelDeadline = clock.after(leftMs, ranOut);
    if (state !== 'candidate') return;
    state = 'leader';
    epoch = leaseEpoch(lease);
    log.info({ lease: keyString(key), identity, epoch }, 'elected leader');
    resolveElected(undefined);
  }

  function observe(lease: Lease): void {
    const unchanged = observed?.lease.metadata.resourceVersion === lease.metadata.resourceVersion;
    if (!unchanged) observed = { lease, since: clock.monotonic() };
  }

  /** Half the deadline for one call: an answer that never comes leaves time for another try. */
  async function answered<R>(call: Promise<R>): Promise<R> {
    let cancel: (() => void) | undefined;
    const timeout = new Promise<never>((_, reject) => {
      const error = new GridferryError('GF_LEASE_TIMEOUT', 'The API did not answer in time; it is asked again.', {
        class: 'retryable',
      });
      cancel = clock.after(renewDeadlineMs / 2, () => reject(error));
    });
    call.catch(() => {
      // An answer after the timeout: the next read of the Lease tells what became of it.
    });
    return Promise.race([call, timeout]).finally(() => cancel?.());
  }

  /** Writes the Lease as ours; throws `Conflict` when somebody was quicker. */
  async function write(lease: Lease): Promise<void> {
    const sentAt = clock.monotonic();
    const isNew = lease.metadata.resourceVersion === undefined;
    const call = isNew ? client.create(Leases, lease) : client.update(Leases, lease);
    const stored = await answered(call);
    hold(stored, sentAt);
  }

  /** One try to take or to renew. Throws what the API says; being too late or too early is no error. */
  async function attempt(): Promise<void> {
    if (ranOut()) return;
    if (state === 'leader' && observed !== undefined) {
      try {
        await write(takenLease(observed.lease, terms));
        return;
      } catch (error) {
        if (!isReason(error, 'Conflict', 'NotFound')) throw error;
      }
    }
    const found = await read();
    if (ranOut()) return;
    if (found === undefined) {
      // Who leads next gets a higher epoch only from a Lease that it makes: so not this one.
      if (state === 'leader') lose('its Lease was deleted');
      else await write(newLease(terms, observed?.lease));
      return;
    }
    observe(found);
    const holder = found.spec?.holderIdentity ?? '';
    if (state === 'leader') {
      if (holder !== identity) lose(holder === '' ? 'the lease was released' : `${holder} has taken over`);
      else if (leaseEpoch(found) !== epoch) lose('its Lease was made anew');
      else await write(takenLease(found, terms));
      return;
    }
    // Ours although we do not lead: the answer to the write that took it was lost.
    if (holder === '' || holder === identity || hasRunOut()) await write(takenLease(found, terms));
  }

  async function read(): Promise<Lease | undefined> {
    try {
      return await answered(client.get(Leases, key));
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  function hasRunOut(): boolean {
    if (observed === undefined) return false;
    const durationMs = (observed.lease.spec?.leaseDurationSeconds ?? terms.durationSeconds) * 1000;
    return clock.monotonic() - observed.since >= durationMs;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await inTurn(attempt);
      } catch (error) {
        if (!isReason(error, 'Conflict', 'AlreadyExists')) {
          log.warn({ err: error, lease: keyString(key) }, 'the lease could not be asked for; it is tried again');
        }
      }
      const jitter = state === 'leader' ? 0 : JITTER * random();
      await sleep(clock, retryMs * (1 + jitter), stopping.signal).catch(() => {
        // The end of the loop.
      });
    }
  }

  return {
    isLeader,
    epoch: () => epoch,
    elected,
    lost: lost.signal,
    start() {
      run().catch((error: unknown) => log.fatal({ err: error }, 'the leader election ended: this is a bug'));
    },
    async confirm() {
      await inTurn(attempt);
      return isLeader();
    },
    async release() {
      // Renewals stop, the right to act stays until the turn comes: a renewal under way would undo the release.
      stopping.abort();
      await inTurn(async () => {
        const held = isLeader() ? observed?.lease : undefined;
        end();
        if (held === undefined) return;
        await answered(client.update(Leases, releasedLease(held, terms)));
        log.info({ lease: keyString(key), identity }, 'handed the lease over');
      }).catch((error: unknown) => {
        log.warn(
          { error: messageOf(error) },
          'the lease could not be handed over: another replica takes it when it runs out',
        );
      });
    },
  };
}

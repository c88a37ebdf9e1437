import type { Logger } from 'pino';
import { Leases } from '../../../src/api/core.ts';
import type { Lease } from '../../../src/api/core.ts';
import type { ObjectMeta } from '../../../src/api/meta.ts';
import { Transfers } from '../../../src/api/resources.ts';
import type { Transfer } from '../../../src/api/resources.ts';
import { isReason } from '../../../src/home/api-error.ts';
import type { Client } from '../../../src/home/client.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { newLease, takenLease } from '../../../src/runtime/leader-lease.ts';
import type { LeaseTerms } from '../../../src/runtime/leader-lease.ts';
import { whoseTurn } from './queue.ts';
import type { Contender, Holding, LockWish } from './queue.ts';
import { hasEnded } from '../status.ts';

/** After the last sign of life of its holder a lock is another's, in seconds. */
export const LOCK_SECONDS = 60;

/** How often a holder gives one, in ms: two may get lost. */
const RENEW_MS = 20_000;

/** On each Lease of ours, with the lock as its value: a lock with several places has a Lease for each. */
const LABEL = 'gridferry.io/lock';

export type LockResult =
  | { readonly acquired: true }
  /** `position`: 1 is next. */
  | { readonly acquired: false; readonly position: number; readonly message: string };

export interface LockRequest {
  readonly transfer: Readonly<Transfer>;
  readonly wanted: Contender;
  /** Who else stands in the queue. None for a transfer that was begun: it takes back what is its own. */
  readonly waiters: readonly Contender[];
  /** Whether the transfer of that name makes no progress until its user says so. */
  readonly isIdle: (name: string) => boolean;
  /** Called when locks have become free, after a refusal. */
  readonly wake: () => void;
}

/** The locks of the transfers of a home: Leases, each with its holder and the time it runs out. */
export interface TransferLocks {
  /** Takes all or none, so that no two wait for each other. What is held already is renewed. */
  acquire(request: LockRequest): Promise<LockResult>;
  /** Whether this process may act on them: by its own clock, nobody else can have taken them over. */
  holds(transfer: Readonly<Transfer>): boolean;
  /** Gives back all that the transfer has. Idempotent; another's are left alone. */
  release(transfer: Pick<ObjectMeta, 'namespace' | 'uid'>): Promise<void>;
  /** Renews no more; what is held runs out, or is taken back by the next process. */
  close(): void;
}

interface Held {
  leases: readonly Lease[];
  /** Monotonic; before the last renewal was sent. */
  renewedAt: number;
}

/**
 * By the rules of leader election (`src/runtime/leader-election.ts`): nobody looks at the times that another wrote, only
 * at how long *it* has seen a Lease unchanged, and every write is a compare-and-swap. So a wall clock that is wrong, or
 * jumps, frees no lock before its time. A lock is taken over when it has run out, never before, not even when its
 * transfer seems to be gone; only at the start, when no process can be at work for it, the locks of transfers that are
 * over are given back at once.
 */
export function createTransferLocks(options: {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
}): TransferLocks {
  const { client, clock, log } = options;
  const held = new Map<string, Held>();
  /** Each Lease as it was last seen, and since when (monotonic) it has been seen so. */
  const observed = new Map<string, { readonly version: string; readonly since: number }>();
  const swept = new Map<string, Promise<void>>();
  const waiting = new Set<() => void>();
  let closed = false;
  let cancelRenewal: (() => void) | undefined;
  /** Invariant: one at a time, so that no renewal revives what a release has just deleted. */
  let queue: Promise<unknown> = Promise.resolve();

  function inTurn<R>(work: () => Promise<R>): Promise<R> {
    const turn = queue.then(work);
    queue = turn.catch(() => {
      // Whoever asked for that turn hears of it.
    });
    return turn;
  }

  const isHeld = (uid: string): boolean => {
    const mine = held.get(uid);
    return mine !== undefined && clock.monotonic() - mine.renewedAt < LOCK_SECONDS * 1000;
  };

  async function listLocks(namespace: string): Promise<Lease[]> {
    const { items } = await client.list(Leases, { namespace, labelSelector: LABEL });
    const now = clock.monotonic();
    for (const { metadata } of items) {
      const version = metadata.resourceVersion ?? '';
      const id = metadata.uid ?? '';
      if (observed.get(id)?.version !== version) observed.set(id, { version, since: now });
    }
    return items;
  }

  function hasRunOut(lease: Lease): boolean {
    const { metadata, spec } = lease;
    // One that this very process holds is alive, however long the process was frozen.
    if (held.has(holderOf(lease).uid)) return false;
    const seen = observed.get(metadata.uid ?? '');
    const durationMs = (spec?.leaseDurationSeconds ?? LOCK_SECONDS) * 1000;
    return seen !== undefined && clock.monotonic() - seen.since >= durationMs;
  }

  async function write(lease: Lease): Promise<Lease> {
    const isNew = lease.metadata.resourceVersion === undefined;
    const stored = await (isNew ? client.create(Leases, lease) : client.update(Leases, lease));
    observed.set(stored.metadata.uid ?? '', {
      version: stored.metadata.resourceVersion ?? '',
      since: clock.monotonic(),
    });
    return stored;
  }

  /** Exactly this version of it: one that somebody has taken over since is not ours to delete. */
  async function remove({ metadata }: Lease): Promise<void> {
    observed.delete(metadata.uid ?? '');
    const { namespace = 'default', name, uid = '', resourceVersion = '' } = metadata;
    await client
      .delete(Leases, { namespace, name }, { preconditions: { uid, resourceVersion } })
      .catch((error: unknown) => {
        if (!isReason(error, 'NotFound', 'Conflict')) throw error;
      });
  }

  /** The locks of transfers that are gone or over: nobody works for them any more when a process begins. */
  async function sweep(namespace: string): Promise<void> {
    for (const lease of await listLocks(namespace)) {
      const { name, uid } = holderOf(lease);
      const holder = await client.get(Transfers, { namespace, name }).catch((error: unknown) => {
        if (isReason(error, 'NotFound')) return undefined;
        throw error;
      });
      if (holder?.metadata.uid === uid && !hasEnded(holder)) continue;
      await remove(lease);
      log.info(
        { lock: lease.metadata.annotations?.[LABEL], transfer: name },
        'released the lock of a transfer that is over',
      );
    }
  }

  async function sweepOnce(namespace: string): Promise<void> {
    let sweeping = swept.get(namespace);
    if (sweeping === undefined) {
      sweeping = sweep(namespace);
      swept.set(namespace, sweeping);
      sweeping.catch(() => swept.delete(namespace));
    }
    await sweeping;
  }

  async function acquire({ transfer, wanted, waiters, isIdle, wake }: LockRequest): Promise<LockResult> {
    const namespace = transfer.metadata.namespace ?? 'default';
    await sweepOnce(namespace);
    const leases = await listLocks(namespace);
    const mine = leases.filter((lease) => holderOf(lease).uid === wanted.uid);
    const others = leases.filter((lease) => !mine.includes(lease) && !hasRunOut(lease));
    const holdings = others.map((lease): Holding => {
      const { name } = holderOf(lease);
      return { lock: lease.metadata.labels?.[LABEL] ?? '', holder: name, idle: isIdle(name) };
    });
    const turn = whoseTurn(wanted, waiters, holdings);
    if (!turn.mine) {
      waiting.add(wake);
      return { acquired: false, position: turn.position, message: turn.message };
    }
    const renewedAt = clock.monotonic();
    const identity = `${transfer.metadata.name}/${wanted.uid}`;
    const writes = await Promise.allSettled(
      wanted.wishes.map((wish) => {
        const own = mine.find(({ metadata }) => metadata.labels?.[LABEL] === wish.lock);
        const key = { namespace, name: own?.metadata.name ?? freePlace(wish, others) };
        const terms: LeaseTerms = { key, identity, durationSeconds: LOCK_SECONDS, clock };
        const there = leases.find(({ metadata }) => metadata.name === key.name);
        return write(there === undefined ? labelled(newLease(terms, undefined), wish) : takenLease(there, terms));
      }),
    );
    const taken = writes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failures = writes.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    if (failures.length > 0) {
      // Somebody was quicker, or the API failed: all or none.
      const isNew = ({ metadata }: Lease): boolean => !mine.some((own) => own.metadata.uid === metadata.uid);
      await Promise.all(taken.filter(isNew).map(remove));
      const failure = failures.find((error) => !isReason(error, 'AlreadyExists', 'Conflict', 'NotFound'));
      if (failure !== undefined) throw failure as Error;
      waiting.add(wake);
      return { acquired: false, position: 1, message: 'another transfer was quicker; the locks are asked for again' };
    }
    held.set(wanted.uid, { leases: taken, renewedAt });
    waiting.delete(wake);
    scheduleRenewal();
    return { acquired: true };
  }

  function scheduleRenewal(): void {
    if (closed || held.size === 0) return;
    cancelRenewal ??= clock.after(RENEW_MS, () => {
      cancelRenewal = undefined;
      inTurn(renewAll).then(scheduleRenewal, (error: unknown) =>
        log.error({ err: error }, 'locks are not renewed: this is a bug'),
      );
    });
  }

  async function renewAll(): Promise<void> {
    await Promise.all(
      [...held].map(async ([uid, mine]) => {
        try {
          held.set(uid, await renewed(mine));
        } catch (error) {
          if (isReason(error, 'Conflict', 'NotFound')) {
            // The next visit of the transfer finds out whose they are now.
            held.delete(uid);
            log.warn({ uid }, 'the locks of a transfer were changed by somebody else');
          } else {
            log.warn({ err: error, uid }, 'the locks of a transfer could not be renewed; it is tried again');
          }
        }
      }),
    );
  }

  async function renewed({ leases }: Held): Promise<Held> {
    const renewedAt = clock.monotonic();
    const stored = await Promise.all(
      leases.map((lease) => {
        const { namespace = 'default', name } = lease.metadata;
        const identity = lease.spec?.holderIdentity ?? '';
        const terms: LeaseTerms = { key: { namespace, name }, identity, durationSeconds: LOCK_SECONDS, clock };
        return write(takenLease(lease, terms));
      }),
    );
    return { leases: stored, renewedAt };
  }

  async function release({ namespace = 'default', uid = '' }: Pick<ObjectMeta, 'namespace' | 'uid'>): Promise<void> {
    held.delete(uid);
    const leases = await listLocks(namespace);
    await Promise.all(leases.filter((lease) => holderOf(lease).uid === uid).map(remove));
    const wakes = [...waiting];
    waiting.clear();
    for (const wake of wakes) wake();
  }

  return {
    acquire: (request) => inTurn(() => acquire(request)),
    holds: ({ metadata }) => isHeld(metadata.uid ?? ''),
    release: (transfer) => inTurn(() => release(transfer)),
    close() {
      closed = true;
      cancelRenewal?.();
    },
  };
}

/** The name of a Lease for one more place of this lock. */
function freePlace({ lock, places }: LockWish, others: readonly Lease[]): string {
  const names = new Set(others.map(({ metadata }) => metadata.name));
  for (let place = 1; place < places; place++) {
    const name = `${lock}-${String(place)}`;
    if (!names.has(name)) return name;
  }
  return lock;
}

function labelled(lease: Lease, { lock, what }: LockWish): Lease {
  const { metadata } = lease;
  return { ...lease, metadata: { ...metadata, labels: { [LABEL]: lock }, annotations: { [LABEL]: what } } };
}

function holderOf({ spec }: Lease): { readonly name: string; readonly uid: string } {
  const [name = '', uid = ''] = (spec?.holderIdentity ?? '').split('/');
  return { name, uid };
}

import { GridferryError } from '../../src/errors.ts';
import { done, requeueAfter } from '../../src/runtime/result.ts';
import type { Result } from '../../src/runtime/result.ts';
import { contenderOf, isIdle, waitersOf } from './locking/contenders.ts';
import { awaitsReturn, saying } from './course.ts';
import type { LockResult } from './locking/locks.ts';
import { notOnline, refusal } from './references.ts';
import type { References } from './references.ts';
import { uidOf, wasBegun } from './work.ts';
import type { Work } from './work.ts';

/** How often a waiting transfer asks for its locks, in ms; it is also woken when some have become free. */
const LOCK_RETRY_MS = 1000;

/** Whether the servers can take part, and nobody else is at it. That it was accepted is written before any step begins. */
export async function accept(work: Work, references: References): Promise<Result> {
  const { transfer, visit, context } = work;
  const { status } = visit;
  const refused = refusal(references);
  if (refused !== undefined) {
    visit.condition('Accepted', 'False', refused.reason, refused.message);
    status.message = refused.message;
    return done;
  }
  visit.condition('Accepted', 'True', 'Accepted', 'the objects it refers to exist and the servers are online');
  const lock = await acquire(work, references);
  if (!lock.acquired) {
    visit.condition('LockAcquired', 'False', 'Waiting', lock.message);
    status.queuePosition = lock.position;
    status.message = lock.message;
    return retrySoon(work);
  }
  delete status.queuePosition;
  const { wishes } = contenderOf(transfer, references);
  visit.condition('LockAcquired', 'True', 'Acquired', wishes.map(({ what }) => what).join(', '));
  status.sourceServer = references.source.metadata.name;
  status.startTime = visit.now();
  const way = `from server ${status.sourceServer} to server ${transfer.spec.targetServerRef.name}`;
  status.message = `accepted: ${way}`;
  visit.log(status.message);
  context.event('Normal', 'Accepted', way);
  return requeueAfter(0, 'first step');
}

/** The same for a rollback: the move gave its locks back when it was over. It does not ask whether the source takes services. */
export async function acceptReturn(work: Work, references: References): Promise<Result> {
  const { transfer, visit } = work;
  const { status } = visit;
  const offline = notOnline(references);
  if (offline !== undefined) {
    status.message = saying(status, `waits: ${offline.message}`);
    return done;
  }
  const lock = await acquire(work, references);
  if (!lock.acquired) {
    status.message = saying(status, lock.message);
    visit.condition('LockAcquired', 'False', 'Waiting', status.message);
    return retrySoon(work);
  }
  const { wishes } = contenderOf(transfer, references);
  visit.condition('LockAcquired', 'True', 'Acquired', wishes.map(({ what }) => what).join(', '));
  return requeueAfter(0, 'first step of the rollback');
}

/**
 * Makes sure that a transfer at work still has its locks: after a restart it takes them back, and while another has them
 * nothing of it runs. Answers what to do instead of going on.
 */
export async function keepLocks(work: Work, references: References): Promise<Result | undefined> {
  const { transfer, visit, runs, locks } = work;
  if (!wasBegun(work) || awaitsReturn(visit.status) || locks.holds(transfer)) return undefined;
  const lock = await acquire(work, references);
  if (lock.acquired) return undefined;
  const message = `another transfer has its locks: it ${lock.message}`;
  await runs.abort(uidOf(work), new GridferryError('GF_TRANSFER_LOCK_LOST', message, { class: 'retryable' }));
  visit.status.message = message;
  visit.condition('Succeeded', 'Unknown', 'LockLost', message);
  return retrySoon(work);
}

function acquire(work: Work, references: References): Promise<LockResult> {
  const { transfer, context, locks } = work;
  return locks.acquire({
    transfer,
    wanted: contenderOf(transfer, references),
    waiters: wasBegun(work) ? [] : waitersOf(context),
    isIdle: (name) => isIdle(context, name),
    wake: context.wake,
  });
}

function retrySoon({ dependencies }: Work): Result {
  return requeueAfter(LOCK_RETRY_MS + dependencies.random() * 200, 'waits for a lock');
}

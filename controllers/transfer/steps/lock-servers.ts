import { acquireEngineLock, releaseEngineLock } from '../../../src/docker/lock.ts';
import type { LockHolder } from '../../../src/docker/lock.ts';
import { GridferryError, messageOf } from '../../../src/errors.ts';
import { sweep } from '../copying/benches.ts';
import { subjectOf } from '../context.ts';
import type { TransferContext } from '../context.ts';
import { expectCredentials, scrubCredentials } from '../transport/credentials.ts';
import type { ServerConnection } from '../../servers/connections.ts';
import type { TransferSession } from '../session.ts';
import type { Step } from '../step.ts';

/** How soon to ask again for a server that another has marked, in ms; up to twice that, so that two do not meet again. */
const ASK_AGAIN_MS = 2_000;

/** Renewals under way: one that ends after the lock was given back would bring it to life again. */
const renewing = new WeakMap<TransferSession, Promise<unknown>>();

/**
 * Marks both servers as taking part: another Gridferry, with a home of its own, must not move the same thing at the same
 * time.
 */
export const lockServers: Step = {
  name: 'lock-servers',
  phase: 'Preparing',
  async apply(context) {
    const tries = await Promise.allSettled((await endsOf(context)).map((end) => lock(context, end, false)));
    const failures = tries.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    if (failures.length === 0) return { record: expectCredentials(context), message: 'both servers' };
    // All or none: who has one server and waits for the other would wait for ever for somebody who does the same.
    await unlock(context);
    const other = failures.find((error) => !isLocked(error));
    if (other !== undefined) throw other as Error;
    return {
      message: `GF_TRANSFER_SERVER_LOCKED: ${messageOf(failures[0])}`,
      again: {
        afterMs: ASK_AGAIN_MS * (1 + context.dependencies.random()),
        generation: context.transfer.metadata.generation ?? 0,
      },
    };
  },
  async renew(context) {
    const renewals = [context.session.source(context), context.session.target(context)].map(async (end) =>
      lock(context, await end, true),
    );
    const all = Promise.allSettled(renewals);
    renewing.set(context.session, all);
    // One that cannot be reached does not hide that the other is somebody else's.
    const failures = (await all).flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    const failure = failures.find(isLocked) ?? failures[0];
    if (failure !== undefined) throw failure as Error;
  },
  async undo(context) {
    const scrubbed = await scrubCredentials(context);
    await sweep(context, 'source', 'target');
    await unlock(context);
    return scrubbed;
  },
};

/** Takes the marks away again; also at the end of a transfer that went well. */
export async function unlock(context: TransferContext): Promise<undefined> {
  await renewing.get(context.session);
  const ends = await endsOf(context);
  await Promise.all(
    ends.map(({ engine }) => releaseEngineLock(engine, subjectOf(context.transfer), holderOf(context).id)),
  );
}

async function lock(context: TransferContext, { engine, host }: ServerConnection, renew: boolean): Promise<void> {
  const subject = subjectOf(context.transfer);
  const other = await acquireEngineLock(engine, subject, holderOf(context), { renew });
  if (other === undefined) return;
  throw new GridferryError(
    'GF_TRANSFER_SERVER_LOCKED',
    `server ${host.name} says that ${subject} is being moved by Transfer ${other.holder.name} of another Gridferry. If that is over, it may be taken in ${String(other.secondsLeft)} s; or remove the mark there: docker volume rm ${other.volume}`,
    { class: 'retryable' },
  );
}

function isLocked(error: unknown): boolean {
  return error instanceof GridferryError && error.code === 'GF_TRANSFER_SERVER_LOCKED';
}

function endsOf(context: TransferContext): Promise<ServerConnection[]> {
  return Promise.all([context.session.source(context), context.session.target(context)]);
}

function holderOf({ transfer: { metadata } }: TransferContext): LockHolder {
  return { id: metadata.uid ?? '', name: `${metadata.namespace ?? 'default'}/${metadata.name}` };
}

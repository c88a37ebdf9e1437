import { GridferryError } from '../../../src/errors.ts';
import { acquireEngineLock, releaseEngineLock } from '../../../src/docker/lock.ts';
import { sweep } from '../benches.ts';
import { subjectOf } from '../context.ts';
import type { TransferContext } from '../context.ts';
import type { Step } from '../step.ts';

/**
 * Marks both servers as taking part: another Gridferry, with a home of its own, must not move the same thing at the same
 * time.
 */
export const lockServers: Step = {
  name: 'lock-servers',
  phase: 'Preparing',
  async apply(context) {
    const ends = await Promise.all([context.session.source(context), context.session.target(context)]);
    for (const { engine, host } of ends) {
      const holder = await acquireEngineLock(engine, subjectOf(context.transfer), holderOf(context));
      if (holder === undefined) continue;
      throw new GridferryError(
        'GF_TRANSFER_SERVER_LOCKED',
        `server ${host.name} says that ${subjectOf(context.transfer)} is being moved by Transfer ${holder.name}. If that is over, remove the mark there: docker volume rm ${holder.volume}`,
        { class: 'retryable' },
      );
    }
    return { message: 'both servers' };
  },
  async undo(context) {
    await sweep(context, 'source', 'target');
    return unlock(context);
  },
};

/** Takes the marks away again; also at the end of a transfer that went well. */
export async function unlock(context: TransferContext): Promise<undefined> {
  const ends = await Promise.all([context.session.source(context), context.session.target(context)]);
  for (const { engine } of ends) {
    await releaseEngineLock(engine, subjectOf(context.transfer), holderOf(context).id);
  }
}

function holderOf({ transfer: { metadata } }: TransferContext): { readonly id: string; readonly name: string } {
  return { id: metadata.uid ?? '', name: `${metadata.namespace ?? 'default'}/${metadata.name}` };
}

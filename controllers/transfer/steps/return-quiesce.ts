import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import type { Rollback } from '../course.ts';
import { wasReached } from '../itinerary.ts';
import { atTarget } from '../source/place.ts';
import { mayBeStopping, startAsRecorded, stopForGood } from '../source/service-power.ts';
import { assertSourceStopped, targetContainers } from '../source/source-containers.ts';
import type { StatusChange, Step } from '../step.ts';

/** Stops the service at the target. How it ran there was written down by return-preflight. */
export const returnQuiesce: Step = {
  name: 'return-quiesce',
  phase: 'Restoring',
  async apply(context) {
    const containers = context.status.rollback?.containers ?? [];
    // Read now: the capture is made from the source, whose containers start later.
    await context.session.capture(context);
    const downtimeStart = timestamp(context.clock);
    const note = (rollback: Rollback | undefined): void => {
      if (rollback !== undefined) rollback.downtimeStart ??= downtimeStart;
    };
    context.report((status) => note(status.rollback));
    await stopForGood(context, atTarget(context), containers);
    return {
      record: (status) => note(status.rollback),
      message: `${String(containers.length)} container(s) stopped`,
    };
  },
  async undo(context) {
    // Two writers must not be, whatever became of the steps after this one.
    if (wasReached(context.status.steps, 'return-start')) await assertSourceStopped(context);
    const recorded = context.status.rollback?.containers ?? [];
    const place = atTarget(context);
    const there = new Set((await targetContainers(context)).map(({ id }) => id));
    const containers = recorded.filter(({ id }) => there.has(id));
    // A stop that may have begun is carried through: a signal that was sent cannot be taken back.
    if (await mayBeStopping(place, containers)) await stopForGood(context, place, containers);
    await startAsRecorded(context, place, containers);
    const gone = recorded.filter(({ id }) => !there.has(id)).map(({ name }) => name);
    return gone.length === 0 ? undefined : cannotStart(context, gone);
  },
};

/** Nothing can bring a container back that somebody has removed: what is left of the service is told. */
function cannotStart({ sourceServer, targetServer, status }: TransferContext, gone: readonly string[]): StatusChange {
  const [source, target] = [sourceServer.metadata.name, targetServer.metadata.name];
  const since = status.restore?.overwrittenSince === undefined ? 'as they were before the move' : 'copied back in part';
  const message = `somebody removed ${gone.join(', ')} on server ${target} during the rollback, so that it cannot run there again. Its data are kept there: make it again with them. On server ${source} it is stopped, with its data ${since}.`;
  return (fresh) => {
    fresh.failure ??= { step: 'return-quiesce', code: 'GF_TRANSFER_TARGET_GONE', message };
  };
}

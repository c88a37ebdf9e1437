import { removeMarked } from '../../../src/docker/recreate.ts';
import { marksOf } from '../context.ts';
import { giveTagsBack } from '../copying/images.ts';
import type { Step } from '../step.ts';
import { flushSource } from '../copying/return-data.ts';
import { emptyCreatedPaths } from '../copying/target-paths.ts';

/**
 * Takes away what the transfer made at the target, now that the source has all of it. With Discard it stays, stopped: the
 * only copy of what was written there.
 */
export const returnCleanTarget: Step = {
  name: 'return-clean-target',
  phase: 'Completed',
  async apply(context) {
    const { name } = context.targetServer.metadata;
    if (context.status.rollback?.data === 'Discard') {
      return { skipped: true, message: `what was written since the move is kept, stopped, on server ${name}` };
    }
    const { engine } = await context.session.target(context);
    await flushSource(context);
    await context.session.close();
    const removed = await removeMarked(engine, marksOf(context.transfer), ['containers', 'networks', 'volumes']);
    await emptyCreatedPaths(context);
    await giveTagsBack(context);
    const counts = [removed.containers, removed.networks, removed.volumes].map(({ length }) => length);
    return {
      message: `${String(counts[0])} container(s), ${String(counts[1])} network(s), ${String(counts[2])} volume(s) removed from server ${name}`,
    };
  },
};

import { ensureContainer, removeMarked } from '../../../src/docker/recreate.ts';
import { workbenchLabel } from '../../../src/volumes/container-workbench.ts';
import { marksOf } from '../context.ts';
import type { Step } from '../step.ts';

/** Makes the containers at the target, stopped: what can be done before the downtime is not done in it. */
export const createContainers: Step = {
  name: 'create-containers',
  phase: 'Uploading',
  async apply(context) {
    const capture = await context.session.capture(context);
    const { engine } = await context.session.target(context);
    for (const container of capture.containers) {
      const image = context.status.images?.find(({ id }) => id === container.image.id)?.targetId;
      await ensureContainer(engine, container, marksOf(context.transfer), image === undefined ? {} : { image });
    }
    return { message: `${String(capture.containers.length)} container(s)` };
  },
  async undo(context) {
    const { engine } = await context.session.target(context);
    // The helper containers are needed to undo what came before.
    await removeMarked(engine, marksOf(context.transfer), ['containers'], { exceptLabel: workbenchLabel });
  },
};

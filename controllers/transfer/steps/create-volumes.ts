import { ensureNetwork, ensureVolume, removeMarked } from '../../../src/docker/recreate.ts';
import { hasFixedAddress } from '../source/networks.ts';
import { marksOf } from '../context.ts';
import type { Step } from '../step.ts';

/** Makes networks and volumes at the target, as they are at the source. */
export const createVolumes: Step = {
  name: 'create-volumes',
  phase: 'Uploading',
  async apply(context) {
    const capture = await context.session.capture(context);
    const { engine } = await context.session.target(context);
    const marks = marksOf(context.transfer);
    for (const network of capture.networks) {
      const keep = ensureNetwork(engine, network, marks, { adopt: true, signal: context.signal });
      if (hasFixedAddress(network.name, capture.containers)) await keep;
      // The subnet may be taken at the target; where no address is fixed, another one serves as well.
      else
        await keep.catch(() =>
          ensureNetwork(engine, network, marks, { adopt: true, subnets: 'any', signal: context.signal }),
        );
    }
    for (const volume of capture.volumes) await ensureVolume(engine, volume, marks);
    return { message: `${String(capture.networks.length)} network(s), ${String(capture.volumes.length)} volume(s)` };
  },
  async undo(context) {
    const { engine } = await context.session.target(context);
    await removeMarked(engine, marksOf(context.transfer), ['containers', 'networks', 'volumes']);
  },
};

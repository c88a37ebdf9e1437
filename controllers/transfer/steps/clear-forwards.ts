import { GridferryError } from '../../../src/errors.ts';
import { portText, publishedTcpPorts } from '../cutover/forwarding.ts';
import type { Step } from '../step.ts';

/**
 * Takes away what an earlier move left at the target for clients with its address: the service comes back to it, and its
 * ports must not lead elsewhere any more.
 */
export const clearForwards: Step = {
  name: 'clear-forwards',
  phase: 'Uploading',
  async apply(context) {
    const ports = publishedTcpPorts(await context.session.capture(context));
    if (ports.length === 0) return { skipped: true, message: 'no TCP port is published' };
    const { engine } = await context.session.target(context);
    try {
      const found = await context.dataPlane.clearForwards(engine, ports, context.signal);
      if (found.length === 0) return { skipped: true, message: 'none at the target' };
      return {
        message: `ports ${found.flatMap((one) => one.ports.map(portText)).join(', ')} lead nowhere else any more`,
      };
    } catch (error) {
      // Where rules cannot be looked at, none can have been made.
      if (!(error instanceof GridferryError) || error.code !== 'GF_FORWARD_UNAVAILABLE') throw error;
      return { skipped: true, message: error.message };
    }
  },
};

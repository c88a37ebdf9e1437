import { orUndefined } from '../../../src/docker/engine-error.ts';
import { publishedPorts } from '../../../src/docker/ports.ts';
import { sleep } from '../../../src/runtime/clock.ts';
import { parseDuration } from '../../../src/runtime/duration.ts';
import type { TransferContext } from '../context.ts';
import type { Step } from '../step.ts';

const INTERVAL_MS = 200;

/** So often in a row there has to be none: one may be about to be accepted. */
const QUIET_LOOKS = 2;

/** Lets connections end that were open at the source before its clients were led away. */
export const drainSource: Step = {
  name: 'drain-source',
  phase: 'DNSCutover',
  patient: true,
  async apply(context) {
    const limit = parseDuration(context.transfer.spec.connectionDrain);
    const until = context.clock.monotonic() + limit;
    // Without a forward new ones keep coming: they are served as long as may be.
    const canEnd = context.status.forward?.state === 'Active';
    let open = await openConnections(context);
    if (open === undefined) return { skipped: true, message: 'no TCP port is published' };
    let quiet = 0;
    for (let left = limit; left > 0; left = until - context.clock.monotonic()) {
      quiet = open === 0 ? quiet + 1 : 0;
      if (canEnd && quiet >= QUIET_LOOKS) return { message: 'all connections at the source have ended' };
      await sleep(context.clock, Math.min(left, INTERVAL_MS), context.signal);
      open = (await openConnections(context)) ?? 0;
    }
    return {
      message: `${String(open)} connection(s) still open at the source after ${context.transfer.spec.connectionDrain}`,
    };
  },
};

/** At published TCP ports of the source; undefined when there are none. One that cannot be counted counts as open. */
async function openConnections(context: TransferContext): Promise<number | undefined> {
  const { containers } = await context.session.capture(context);
  const { engine } = await context.session.source(context);
  const counts = containers.map(async (container) => {
    const ports = publishedPorts(container).filter(({ protocol }) => protocol === 'tcp');
    if (!container.running || ports.length === 0) return undefined;
    const numbers = ports.map(({ containerPort }) => containerPort);
    const { countConnections } = context.dataPlane;
    // A container that is gone has none.
    return (await orUndefined(countConnections(engine, container.id, numbers, context.signal))) ?? 0;
  });
  const known = (await Promise.all(counts)).filter((count) => count !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, count) => sum + count, 0);
}

import { formatBytes } from '../../format-bytes.ts';
import type { Step } from '../step.ts';
import { chooseTransport } from '../transport/transport.ts';

/** Finds out how the data travel: from server to server where one can log in at the other, else through the controller. */
export const chooseTransportStep: Step = {
  name: 'choose-transport',
  phase: 'Preparing',
  async apply(context) {
    if ((await context.session.data(context)).length === 0) {
      return { skipped: true, message: 'there are no data to copy' };
    }
    const chosen = await chooseTransport(context);
    const { roundTripMs, bytesPerSecond } = chosen;
    const roundTrip = roundTripMs === undefined ? '' : `, round trip ${roundTripMs.toFixed(1)} ms`;
    const rate = bytesPerSecond === undefined ? '' : `, ${formatBytes(bytesPerSecond)}/s`;
    return {
      record: (status) => void (status.transport = { ...chosen }),
      message: `${chosen.mode}: ${chosen.reason}${roundTrip}${rate}`,
    };
  },
};

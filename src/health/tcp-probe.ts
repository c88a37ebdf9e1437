import { systemClock } from '../runtime/clock.ts';
import { endpointOf, openStream } from './probe-result.ts';
import type { Dial, ProbeResult } from './probe-result.ts';
import { runProbe } from './run-probe.ts';
import type { ProbeLimits } from './run-probe.ts';

export interface TcpProbeOptions extends ProbeLimits {
  readonly address: string;
  readonly port: number;
  readonly dial?: Dial;
  /**
   * The connection has to stay open this long, or bring a byte, in ms. Default 50. Docker's port proxy accepts for a
   * container that does not listen, and closes at once: without this it would count as healthy.
   */
  readonly holdMs?: number;
}

/** Whether something accepts connections there, and keeps them. Never rejects. */
export function probeTcp(options: TcpProbeOptions): Promise<ProbeResult> {
  const { address, port, holdMs = 50, clock = systemClock } = options;
  return runProbe(options, endpointOf(address, port), (end, fail) => {
    const stream = openStream(address, port, options.dial);
    let cancelHold = (): void => {};
    let connected = false;
    const accepted = (): void => {
      if (connected) return;
      connected = true;
      cancelHold = clock.after(holdMs, () => end({ outcome: 'Healthy', reason: 'accepts connections' }));
    };
    const closed = (): void => end({ outcome: 'Closed', reason: 'accepts connections but closes them at once' });
    stream.on('error', fail);
    stream.on('close', closed);
    stream.on('end', closed);
    stream.on('data', () => end({ outcome: 'Healthy', reason: 'accepts connections' }));
    // A lazy stream has no event for "connected", but takes a write, even an empty one, only when it is.
    stream.write('', (error) => {
      if (error === undefined || error === null) accepted();
    });
    return () => {
      cancelHold();
      stream.destroy();
    };
  });
}

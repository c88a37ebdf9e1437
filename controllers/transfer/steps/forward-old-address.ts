import type { TransferStatus } from '../../../src/api/resources.ts';
import { classOf, messageOf } from '../../../src/errors.ts';
import type { ForwardPort } from '../../../src/forward/forward-rules.ts';
import { probeTcp } from '../../../src/health/tcp-probe.ts';
import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import {
  addressesOf,
  forwardId,
  forwardSeconds,
  portsToForward,
  portText,
  removeForward,
} from '../cutover/forwarding.ts';
import { recordOf } from '../itinerary.ts';
import type { Step, StepResult } from '../step.ts';

/** A server that is away for a moment is waited for; the move itself does not depend on it. */
const ATTEMPTS = 3;

const PROBE_TIMEOUT_MS = 3_000;

/**
 * The source passes on what still arrives at its published ports, for as long as resolvers may remember its address. It
 * needs nobody for that, and ends by itself. That it cannot be done is no failure of the move.
 */
export const forwardOldAddress: Step = {
  name: 'forward-old-address',
  phase: 'DNSCutover',
  async apply(context) {
    const seconds = forwardSeconds(context.transfer.spec, context.status);
    if (seconds === 0) return without('spec.forwardFor is 0s');
    try {
      return await forward(context, seconds);
    } catch (error) {
      context.signal.throwIfAborted();
      const { attempts } = recordOf(context.status.steps ?? [], forwardOldAddress);
      if (classOf(error) !== 'terminal' && attempts < ATTEMPTS) throw error;
      const reason = context.dependencies.redactor.redact(messageOf(error));
      return { ...without(reason), warning: `clients with the old address are not served: ${reason}` };
    }
  },
  undo: removeForward,
  // The source must not start to be reached by nobody.
  undoFirst: true,
};

async function forward(context: TransferContext, seconds: number): Promise<StepResult> {
  const [capture, { engine }, to] = await Promise.all([
    context.session.capture(context),
    context.session.source(context),
    addressesOf(context.targetServer),
  ]);
  const address = to.ipv4 ?? to.ipv6;
  if (address === undefined) return without('the target has no address that the source could pass on to');
  const { ports, left } = portsToForward(capture, to);
  if (ports.length === 0) return without(left.length === 0 ? 'no TCP port is published' : left.join('; '));

  const { open, shut } = await reachable(context, ports, address);
  if (open.length === 0) {
    const reason = shut.join('; ');
    return { ...without(reason), warning: `clients with the old address are not served: ${reason}` };
  }
  const { namespace = 'default', name } = context.transfer.metadata;
  const what = { id: forwardId(context), name: `${namespace}.${name}`, ports: open, to };
  const problems = await context.dataPlane.startForward(engine, what, seconds, context.signal);
  const reason = [...left, ...shut, ...problems].join('; ');
  const until = timestamp(context.clock, seconds * 1000);
  const result: NonNullable<TransferStatus['forward']> = {
    state: 'Active',
    to: address,
    ports: open.map(portText),
    until,
    ...(reason === '' ? {} : { reason: `not passed on: ${reason}` }),
  };
  return {
    record: (status) => void (status.forward = result),
    message: `${open.map(portText).join(', ')} to ${address} until ${until}${reason === '' ? '' : `; not passed on: ${reason}`}`,
    ...(shut.length === 0 ? {} : { warning: `not passed on: ${shut.join('; ')}` }),
  };
}

/** Whether the source gets through to the target at all: between the two there may be a firewall that nobody needed open. */
async function reachable(
  context: TransferContext,
  ports: readonly ForwardPort[],
  address: string,
): Promise<{ readonly open: ForwardPort[]; readonly shut: string[] }> {
  const { host } = await context.session.source(context);
  const from = context.sourceServer.metadata.name;
  const open: ForwardPort[] = [];
  const shut: string[] = [];
  const looks = ports.map(async (one) => ({
    one,
    result: await probeTcp({
      address,
      port: one.port,
      timeoutMs: PROBE_TIMEOUT_MS,
      signal: context.signal,
      clock: context.clock,
      dial: () => host.openTcp(address, one.port),
    }),
  }));
  for (const { one, result } of await Promise.all(looks)) {
    context.signal.throwIfAborted();
    // Closed at once is an answer, too: nothing is in the way.
    if (result.ok || result.outcome === 'Closed') open.push(one);
    else shut.push(`server ${from} does not reach ${address} port ${String(one.port)} (${result.reason})`);
  }
  return { open, shut };
}

function without(reason: string): StepResult {
  return {
    skipped: true,
    message: reason,
    record: (status) => void (status.forward = { state: 'Unavailable', reason }),
  };
}

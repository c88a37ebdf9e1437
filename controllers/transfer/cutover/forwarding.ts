import { isIPv4, isIPv6 } from 'node:net';
import type { ManagedServer, TransferSpec, TransferStatus } from '../../../src/api/resources.ts';
import { publishedPorts } from '../../../src/docker/ports.ts';
import type { ServiceCapture } from '../../../src/docker/service-capture.ts';
import type { Forward, ForwardPort } from '../../../src/forward/forward-rules.ts';
import { parseDuration } from '../../../src/runtime/duration.ts';
import { checkAddress } from '../../../src/security/addresses.ts';
import type { TransferContext } from '../context.ts';
import type { StatusChange, Step } from '../step.ts';

/** What the source does for clients that still use its address. */

const MINIMUM_SECONDS = 300;

/** What Cloudflare gives for "automatic", in seconds. */
const AUTOMATIC_TTL = 300;

/** How long connections are passed on, in seconds: as long as resolvers may still remember the old address. */
export function forwardSeconds(spec: Pick<TransferSpec, 'forwardFor'>, status: Readonly<TransferStatus>): number {
  if (spec.forwardFor !== undefined) return Math.ceil(parseDuration(spec.forwardFor) / 1000);
  const ttls = (status.restore?.dns?.prior ?? []).map(({ ttl }) => (ttl === 1 ? AUTOMATIC_TTL : ttl));
  return Math.max(MINIMUM_SECONDS, ...ttls);
}

export interface PortsToForward {
  readonly ports: readonly ForwardPort[];
  /** What cannot be passed on, in the user's words. */
  readonly left: readonly string[];
}

/** The published ports that can be passed on to a server of these addresses. Pure. */
export function portsToForward(capture: ServiceCapture, to: Forward['to']): PortsToForward {
  const ports: ForwardPort[] = [];
  const left: string[] = [];
  for (const container of capture.containers.filter(({ running }) => running)) {
    for (const { containerPort, protocol, hostAddress, hostPort } of publishedPorts(container)) {
      const what = `${String(containerPort)}/${protocol} of ${container.name}`;
      if (protocol !== 'tcp') left.push(`${what} is not TCP`);
      else if (hostPort === undefined || !Number.isInteger(hostPort))
        left.push(`${what} has another port at each start`);
      // At the target it is published to the target itself only.
      else if (isLoopback(hostAddress)) continue;
      else if (isIPv6(hostAddress) && to.ipv6 === undefined)
        left.push(`${what} is published on IPv6, and the target has no IPv6 address`);
      else if (isIPv4(hostAddress) && to.ipv4 === undefined)
        left.push(`${what} is published on IPv4, and the target has no IPv4 address`);
      else if (!ports.some((one) => one.port === hostPort && one.hostAddress === hostAddress)) {
        ports.push({ hostAddress, port: hostPort });
      }
    }
  }
  return { ports, left };
}

/** Every TCP port of the server that the service publishes: what a forward that is left there would catch. */
export function publishedTcpPorts({ containers }: ServiceCapture): number[] {
  const ports = containers.flatMap(publishedPorts).filter(({ protocol }) => protocol === 'tcp');
  return ports.flatMap(({ hostPort }) => (hostPort === undefined ? [] : [hostPort]));
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/**
 * The addresses a server is reached at by others, of each family the first: its own before the public one.
 *
 * @throws GridferryError `GF_ADDRESS_*`
 */
export async function addressesOf({ spec }: Readonly<ManagedServer>): Promise<Forward['to']> {
  const given = [spec.address, spec.publicAddress].filter((address) => address !== undefined);
  const checked = await Promise.allSettled(given.map((address) => checkAddress(address, { allowPrivate: true })));
  const addresses = checked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  // One of the two is enough.
  const refused = checked.find((one) => one.status === 'rejected');
  if (addresses.length === 0 && refused !== undefined) throw refused.reason;
  const ipv4 = addresses.find(isIPv4);
  const ipv6 = addresses.find(isIPv6);
  return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
}

/** As `status.forward.ports` has it. */
export function portText({ hostAddress, port }: ForwardPort): string {
  if (hostAddress === '') return String(port);
  return isIPv6(hostAddress) ? `[${hostAddress}]:${String(port)}` : `${hostAddress}:${String(port)}`;
}

/**
 * Takes the forward of this transfer away, if there is one: before the source may serve again, which would be reached by
 * nobody otherwise. May be called at any time, also when none was made.
 */
export async function removeForward(context: TransferContext): Promise<StatusChange | undefined> {
  const { dataPlane, status, signal } = context;
  const id = forwardId(context);
  const { engine } = await context.session.source(context);
  // One that could not be made there could not be looked for, either: the helper tells.
  const isThere = status.forward?.state === 'Active' || (await dataPlane.hasForwardHelper(engine, id));
  if (!isThere) return undefined;
  await dataPlane.endForward(engine, id, signal);
  return (fresh) => {
    if (fresh.forward?.state === 'Active') fresh.forward.state = 'Ended';
  };
}

/** After its time: says so, and takes away what may be left of it. */
export const tidyForward: Step = {
  name: 'tidy-forward',
  phase: 'Completed',
  async apply(context) {
    const record = await removeForward(context);
    return record === undefined ? {} : { record };
  },
};

export function forwardId({ transfer }: Pick<TransferContext, 'transfer'>): string {
  return transfer.metadata.uid ?? '';
}

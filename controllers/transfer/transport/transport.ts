import type { ManagedServer, TransferStatus } from '../../../src/api/resources.ts';
import { GridferryError, messageOf } from '../../../src/errors.ts';
import { checkAddress } from '../../../src/security/addresses.ts';
import type { DialledServer, OpenedLink } from '../../../src/ssh/server-link.ts';
import type { Direction } from '../../../src/volumes/route.ts';
import type { ServerConnection } from '../../servers/connections.ts';
import type { TransferContext } from '../context.ts';
import { uidOf } from '../work.ts';

export type TransportStatus = NonNullable<TransferStatus['transport']>;

interface End {
  readonly server: Readonly<ManagedServer>;
  readonly connection: ServerConnection;
}

/** Where programs run in a helper container, only Docker's own client can join them to ssh. */
function toolsOf({ connection: { host } }: End): readonly string[] {
  return ['rsync', ...(host.isRoot ? [] : ['docker'])];
}

/**
 * Finds out how bytes can travel, by really connecting: the source logs in at the target, else the target at the source,
 * else they go through the controller.
 *
 * @throws `GF_TRANSPORT_NO_DIRECT` with both reasons, when `spec.transport` is Direct and neither works.
 */
export async function chooseTransport(context: TransferContext): Promise<TransportStatus> {
  const { transport } = context.transfer.spec;
  if (transport === 'Relay') return relayed(context, 'spec.transport is Relay');
  const reasons: string[] = [];
  for (const direction of ['SourceToTarget', 'TargetToSource'] as const) {
    try {
      return await tryDirection(context, direction, reasons);
    } catch (error) {
      if (!isNoWay(error)) throw error;
      reasons.push(messageOf(error).replace(/\.$/, ''));
    }
  }
  const why = [...new Set(reasons)].join('; ');
  if (transport === 'Auto') return relayed(context, `no direct way: ${why}`);
  throw new GridferryError(
    'GF_TRANSPORT_NO_DIRECT',
    `spec.transport is Direct, and neither server can copy to the other: ${why}. Make one of them possible, or set spec.transport to Auto.`,
  );
}

/** What goes through this process is as slow as the longer of the two ways. */
async function relayed(context: TransferContext, reason: string): Promise<TransportStatus> {
  const { session, dataPlane, signal } = context;
  const ends = await Promise.all([session.source(context), session.target(context)]);
  const roundTrips = await Promise.all(ends.map(({ host }) => dataPlane.measureRoundTrip(host, signal)));
  const known = roundTrips.filter((ms) => ms !== undefined);
  return { mode: 'Relay', reason, ...(known.length === 0 ? {} : { roundTripMs: toMicros(Math.max(...known)) }) };
}

function toMicros(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

async function tryDirection(
  context: TransferContext,
  direction: Direction,
  before: readonly string[],
): Promise<TransportStatus> {
  const { link, credential, agentRefusal } = await dialDirection(context, direction);
  const speed = await context.dataPlane.measureServerLink(link, context.signal);
  await context.session.route.isOpen(context, link);
  const why = [
    `${link.dialler.name} can log in at ${link.other.name}`,
    ...(agentRefusal === undefined ? [] : [`with a key, because ${agentRefusal.replace(/\.$/, '')}`]),
    ...before.map((reason) => `not the other way: ${reason}`),
  ];
  return {
    mode: 'Direct',
    direction,
    credential,
    reason: why.join('; '),
    ...(speed === undefined ? {} : { ...speed, roundTripMs: toMicros(speed.roundTripMs) }),
  };
}

/**
 * Connects one server to the other. A connection that is there already makes room.
 *
 * @throws `GF_LINK_FAILED`, `GF_SSH_KEYS_UNWRITABLE`, `GF_ADDRESS_*`: it cannot be done this way; and what `Host` throws.
 */
export async function dialDirection(context: TransferContext, direction: Direction): Promise<OpenedLink> {
  const { sourceServer, targetServer, session, dataPlane, transfer, signal } = context;
  const [source, target] = await Promise.all([session.source(context), session.target(context)]);
  const ends = [
    { server: sourceServer, connection: source },
    { server: targetServer, connection: target },
  ] as const;
  const [dialler, other] = direction === 'SourceToTarget' ? ends : ([ends[1], ends[0]] as const);
  return dataPlane.openServerLink({
    id: uidOf({ transfer }),
    dialler: {
      host: dialler.connection.host,
      addresses: await addressesOf(dialler.server),
      tools: toolsOf(dialler),
    },
    other: await dialled(other),
    signal,
  });
}

async function dialled(end: End): Promise<DialledServer> {
  const { host, hostKey } = end.connection;
  const { address, ssh } = end.server.spec;
  if (address === undefined || ssh === undefined || hostKey === undefined) {
    throw noLink(`${host.name} is the machine that Gridferry runs on, and nothing logs in there`);
  }
  const checked = await checkAddress(address, { allowPrivate: true });
  return { host, address: checked, port: ssh.port, hostKey, tools: toolsOf(end) };
}

/** What it is known by from outside; behind a NAT it dials from another address, which it tells itself. */
async function addressesOf({ spec }: Readonly<ManagedServer>): Promise<readonly string[]> {
  return spec.address === undefined ? [] : [await checkAddress(spec.address, { allowPrivate: true })];
}

function noLink(why: string): GridferryError {
  return new GridferryError('GF_LINK_FAILED', why, { class: 'retryable' });
}

/** Whether an error says that this way cannot be gone, and not that a server is away or belongs to another leader. */
export function isNoWay(error: unknown): boolean {
  return error instanceof GridferryError && /^GF_(LINK_|ADDRESS_|COMMAND_|SSH_KEYS_)/.test(error.code);
}

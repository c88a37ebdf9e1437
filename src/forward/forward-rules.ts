import { createHash } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';

/** A published TCP port from which connections are passed on. */
export interface ForwardPort {
  /** Empty: all addresses of the server. */
  readonly hostAddress: string;
  readonly port: number;
}

/** Connections to these ports of a server go to the same ports of another one. */
export interface Forward {
  /** Whose it is: the UID of a transfer. */
  readonly id: string;
  /** The same for people, as `namespace.name`. */
  readonly name: string;
  readonly ports: readonly ForwardPort[];
  /** By family: an IPv4 connection cannot be passed on to an IPv6 address. */
  readonly to: { readonly ipv4?: string; readonly ipv6?: string };
}

/** A forward that was found on a server. */
export interface FoundForward {
  /** Names its chains and its helper container. */
  readonly key: string;
  readonly id: string;
  readonly ports: readonly ForwardPort[];
  /** By the server's own clock, in seconds since 1970. */
  readonly until: number;
}

/** What to hand to `iptables` and `ip6tables`. */
export interface FamilyRules {
  readonly program: 'iptables' | 'ip6tables';
  /** What a server reaches only itself by: its packets cannot leave it. */
  readonly loopback: string;
  /** Whether the kernel passes packets of this family on at all. */
  readonly sysctl: string;
  /** For `iptables-restore --noflush`: fills the chains in one go, whatever was in them before. */
  readonly restore: string;
}

const PREFIX = 'GRIDFERRY';
const MARK = 'gridferry.io/transfer=';

/** Chain names have at most 28 characters, so they hold a digest of whose they are; the comment of each rule has all of it. */
export function forwardKey(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 12);
}

/** The chain that decides; the one for the way back has `-M` at its end. */
export function chainOf(key: string): string {
  return `${PREFIX}-${key}`;
}

/**
 * The rules of a forward, for each family that it has an address of. After `until` (by the server's clock, in seconds
 * since 1970) the kernel itself takes no further connection: nobody has to come back for that.
 *
 * - Only the first packet of a connection sees the nat table, so connections that are open at the server go on there.
 * - The target has to answer through this server, which is why the connections that are passed on, and only these, get its
 *   address as theirs.
 */
export function forwardRules(forward: Forward, until: number): FamilyRules[] {
  const families: FamilyRules[] = [];
  const { ipv4, ipv6 } = forward.to;
  // A server says itself where its ports are published: what is no address must not become a part of a rule.
  const v4 = forward.ports.filter(({ hostAddress }) => hostAddress === '' || isIPv4(hostAddress));
  const v6 = forward.ports.filter(({ hostAddress }) => hostAddress === '' || isIPv6(hostAddress));
  if (ipv4 !== undefined && v4.length > 0) {
    families.push({
      program: 'iptables',
      loopback: '127.0.0.0/8',
      sysctl: 'net/ipv4/ip_forward',
      restore: restoreInput(forward, v4, ipv4, until),
    });
  }
  if (ipv6 !== undefined && v6.length > 0) {
    families.push({
      program: 'ip6tables',
      loopback: '::1/128',
      sysctl: 'net/ipv6/conf/all/forwarding',
      restore: restoreInput(forward, v6, ipv6, until),
    });
  }
  return families;
}

function restoreInput(forward: Forward, ports: readonly ForwardPort[], to: string, until: number): string {
  const chain = chainOf(forwardKey(forward.id));
  // xt_time reads dates as UTC, and has no zone in them.
  const end = new Date(until * 1000).toISOString().slice(0, 19);
  const mark = `-m comment --comment "${markOf(forward)}"`;
  const destination = isIPv6(to) ? `[${to}]` : to;
  const numbers = [...new Set(ports.map(({ port }) => port))];
  // In either direction, all packets of what was passed on, and nothing that goes to the target by itself.
  const passedOn = numbers.map(
    (port) =>
      `-p tcp -m conntrack --ctstate DNAT --ctorigdstport ${String(port)} --ctreplsrc ${to} --ctreplsrcport ${String(port)} ${mark}`,
  );
  const catching = ports.map(({ hostAddress, port }) => {
    const where = hostAddress === '' ? '' : `-d ${hostAddress} `;
    return `-A ${chain} ${where}-p tcp -m tcp --dport ${String(port)} -m time --datestop ${end} ${mark} -j DNAT --to-destination ${destination}:${String(port)}`;
  });
  return [
    '*filter',
    `:${chain} - [0:0]`,
    ...passedOn.map((match) => `-A ${chain} ${match} -j ACCEPT`),
    'COMMIT',
    '*nat',
    `:${chain}-M - [0:0]`,
    ...passedOn.map((match) => `-A ${chain}-M ${match} -j MASQUERADE`),
    `:${chain} - [0:0]`,
    ...catching,
    'COMMIT',
    '',
  ].join('\n');
}

/** xt_comment takes 255 characters. */
function markOf({ id, name }: Forward): string {
  return `${MARK}${plain(id)},${plain(name)}`.slice(0, 255);
}

function plain(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9.-]/g, '_');
}

/** Reads `iptables -t nat -S` (of both families, one after the other). Other rules are passed over. */
export function parseForwards(listing: string): FoundForward[] {
  const found = new Map<string, FoundForward>();
  for (const line of listing.split('\n')) {
    const match = new RegExp(`^-A ${PREFIX}-([0-9a-f]{12}) .*-j DNAT `).exec(line);
    if (match?.[1] === undefined) continue;
    const key = match[1];
    const hostAddress = /^-A \S+ -d ([^ /]+)/.exec(line)?.[1] ?? '';
    const port = Number(/ --dport (\d+)/.exec(line)?.[1]);
    const until = Date.parse(`${/ --datestop (\S+)/.exec(line)?.[1] ?? ''}Z`) / 1000;
    const id = new RegExp(`${MARK}([^",\\s]+)`).exec(line)?.[1] ?? '';
    const before = found.get(key)?.ports ?? [];
    // The same port may be there for both families.
    const known = before.some((one) => one.port === port && one.hostAddress === hostAddress);
    found.set(key, { key, id, ports: known ? before : [...before, { hostAddress, port }], until });
  }
  return [...found.values()];
}

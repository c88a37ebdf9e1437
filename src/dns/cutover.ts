import { isIPv4, isIPv6 } from 'node:net';
import { GridferryError, messageOf } from '../errors.ts';
import { canonicalContent, normalizeName } from './provider.ts';
import type { DnsCallOptions, DnsChange, DnsProvider, DnsRecordSnapshot, DnsZone, NewDnsRecord } from './provider.ts';
import type { DnsRestorePoint } from './restore.ts';

export interface CutoverInput {
  /** All records at the name, of every type, and the wildcards that cover it: see `readRecords`. */
  readonly records: readonly DnsRecordSnapshot[];
  readonly name: string;
  readonly type: 'A' | 'AAAA';
  readonly newAddress: string;
  /** Every address, IPv4 and IPv6, by which the name may reach the server that the service leaves. */
  readonly oldAddresses: readonly string[];
  /** The target's IPv6 address, if it has one: then the AAAA records are moved by a plan of their own. */
  readonly newIpv6?: string;
  /** For records that are not proxied, in seconds; default: as it is, or automatic for a new record. */
  readonly ttl?: number;
  /** Take the name over even where its records point to servers that are not ours. */
  readonly force?: boolean;
  /** Written on records that are made, so that people can see why they exist. */
  readonly comment?: string;
}

/** Something that the plan does not change and that will bite: for a condition, and for the user to decide. */
export interface DnsProblem {
  readonly reason: 'Ipv6PointsToOldServer' | 'Ipv6PointsElsewhere' | 'HintsPointToOldServer';
  readonly message: string;
}

export interface CutoverPlan {
  /** Empty when the name answers as wanted already. */
  readonly changes: readonly DnsChange[];
  /** To be stored *before* the changes are applied; merge it into an earlier one with `mergeRestorePoints`. */
  readonly restorePoint: DnsRestorePoint;
  readonly problems: readonly DnsProblem[];
}

/**
 * Plans to point a name to a new address. Pure. Only records that hold one of the old addresses change; other members of
 * a round robin stay. A proxied name stays proxied, a grey one grey. A name that only a wildcard covers gets a record of
 * its own, proxied as the wildcard is, which restoring deletes.
 *
 * @throws GF_DNS_BAD_ADDRESS, GF_DNS_CNAME_IN_THE_WAY, GF_DNS_NOT_OURS
 */
export function planCutover(input: CutoverInput): CutoverPlan {
  const name = normalizeName(input.name);
  const { type } = input;
  const newAddress = checkedAddress(type, input.newAddress);
  const own = input.records.filter((record) => record.name === name);

  const cname = own.find((record) => record.type === 'CNAME');
  if (cname !== undefined) throw cnameInTheWay(cname, type);

  const sameType = own.filter((record) => record.type === type);
  const isAt = (address: string) => (record: DnsRecordSnapshot) =>
    canonicalContent(type, record.content) === canonicalContent(type, address);
  const there = sameType.find(isAt(newAddress));
  const others = sameType.filter((record) => record !== there);
  const old = others.filter((record) => input.oldAddresses.some((address) => isAt(address)(record)));
  if (sameType.length > 0 && old.length === 0 && there === undefined && input.force !== true) {
    throw notOurs(name, type, sameType, input.oldAddresses);
  }
  const leaving = input.force === true && old.length === 0 && there === undefined ? others : old;

  const changes: DnsChange[] = [];
  const prior: DnsRecordSnapshot[] = [];
  const created: NewDnsRecord[] = [];
  const survivor = there ?? leaving[0];
  if (survivor === undefined) {
    const record = newRecord(input, name, newAddress);
    changes.push({ kind: 'create', record });
    created.push(record);
  } else {
    const proxied = survivor.proxied || leaving.some((record) => record.proxied);
    const to = { ...survivor, content: there?.content ?? newAddress, proxied, ttl: ttlFor(proxied, survivor, input) };
    // A record that was right before is not ours to retime: only what moves takes the new TTL.
    const touched = survivor !== there || proxied !== survivor.proxied;
    if (touched) {
      changes.push({ kind: 'update', from: survivor, to });
      prior.push(survivor);
    }
    for (const record of leaving) {
      if (record === survivor) continue;
      // Two records of the same content cannot be: the further ones go, and restoring makes them again.
      changes.push({ kind: 'delete', record });
      prior.push(record);
    }
  }
  return {
    changes,
    restorePoint: { prior, created, wrote: [newAddress] },
    problems: problemsOf(own, input),
  };
}

export interface CutoverObservation {
  readonly state: 'AsWanted' | 'Pending' | 'Blocked';
  readonly message: string;
}

/** Whether the provider's records are already as wanted, could be made so, or stand in the way. Never throws. */
export function observeCutover(input: CutoverInput): CutoverObservation {
  try {
    const { changes } = planCutover(input);
    const what = `${input.type} ${normalizeName(input.name)}`;
    return changes.length === 0
      ? { state: 'AsWanted', message: `${what} points to ${input.newAddress}` }
      : { state: 'Pending', message: `${what} needs ${changes.length} change(s) to point to ${input.newAddress}` };
  } catch (error) {
    return { state: 'Blocked', message: messageOf(error) };
  }
}

/** A name's zone, its records of every type, and, where it has no address of its own, the wildcards that cover it. */
export async function readRecords(
  provider: DnsProvider,
  name: string,
  options: DnsCallOptions = {},
): Promise<{ readonly zone: DnsZone; readonly records: readonly DnsRecordSnapshot[] }> {
  const wanted = normalizeName(name);
  const zone = await provider.findZone(wanted, options);
  const records = [...(await provider.listRecords(zone, { name: wanted }, options))];
  if (records.some(({ type }) => ['A', 'AAAA', 'CNAME'].includes(type))) return { zone, records };
  // RFC 4592: the nearest wildcard answers, and one label stands for any number of them.
  for (let parent = parentOf(wanted); parent.length >= zone.name.length; parent = parentOf(parent)) {
    if (`*.${parent}` === wanted) continue;
    const covering = await provider.listRecords(zone, { name: `*.${parent}` }, options);
    records.push(...covering);
    if (covering.length > 0) break;
  }
  return { zone, records };
}

function parentOf(name: string): string {
  const dot = name.indexOf('.');
  return dot < 0 ? '' : name.slice(dot + 1);
}

function newRecord(input: CutoverInput, name: string, newAddress: string): NewDnsRecord {
  const wildcards = input.records.filter(
    (record) => record.name.startsWith('*.') && record.name !== name && name.endsWith(record.name.slice(1)),
  );
  const cover = wildcards.filter((record) => record.type === input.type || record.type === 'CNAME');
  const known = [...input.oldAddresses, newAddress].map((address) => canonicalContent(input.type, address));
  const addresses = cover.filter((record) => record.type === input.type);
  const foreign = addresses.every((record) => !known.includes(canonicalContent(input.type, record.content)));
  if (addresses.length > 0 && foreign && input.force !== true) {
    throw notOurs(name, input.type, addresses, input.oldAddresses);
  }
  const proxied = cover.some((record) => record.proxied);
  return {
    name,
    type: input.type,
    content: newAddress,
    ttl: proxied ? 1 : (input.ttl ?? 1),
    proxied,
    comment: input.comment ?? '',
    tags: [],
  };
}

function ttlFor(proxied: boolean, record: DnsRecordSnapshot, input: CutoverInput): number {
  return proxied ? 1 : (input.ttl ?? record.ttl);
}

function problemsOf(own: readonly DnsRecordSnapshot[], input: CutoverInput): readonly DnsProblem[] {
  const problems: DnsProblem[] = [];
  const old = new Set(input.oldAddresses.map((address) => canonicalContent('AAAA', address)));
  for (const record of own) {
    if (input.type === 'A' && record.type === 'AAAA' && input.newIpv6 === undefined) {
      const toOld = old.has(canonicalContent('AAAA', record.content));
      problems.push({
        reason: toOld ? 'Ipv6PointsToOldServer' : 'Ipv6PointsElsewhere',
        message: `${record.name} also has the AAAA record ${record.content}${toOld ? ' of the old server' : ''}, and the new server has no IPv6 address: clients with IPv6 will not follow the move. Delete the AAAA record, or give the new server an IPv6 address.`,
      });
    }
    if (['HTTPS', 'SVCB'].includes(record.type) && [...old].some((address) => record.content.includes(address))) {
      problems.push({
        reason: 'HintsPointToOldServer',
        message: `${record.name} has an ${record.type} record with address hints of the old server: clients that use them will not follow the move. Remove ipv4hint and ipv6hint from it.`,
      });
    }
  }
  return problems;
}

function checkedAddress(type: 'A' | 'AAAA', address: string): string {
  if (type === 'A' ? isIPv4(address) : isIPv6(address) && !address.includes('%'))
    return canonicalContent(type, address);
  throw new GridferryError(
    'GF_DNS_BAD_ADDRESS',
    `${JSON.stringify(address.slice(0, 60))} is not an IPv${type === 'A' ? 4 : 6} address, so no ${type} record can hold it. Give the target's public address.`,
  );
}

function cnameInTheWay(cname: DnsRecordSnapshot, type: string): GridferryError {
  return new GridferryError(
    'GF_DNS_CNAME_IN_THE_WAY',
    `${cname.name} is a CNAME to ${cname.content}, and a name with a CNAME can have no ${type} record. Move the name ${cname.content} instead, or replace the CNAME with an ${type} record of the present server first.`,
  );
}

function notOurs(
  name: string,
  type: string,
  found: readonly DnsRecordSnapshot[],
  oldAddresses: readonly string[],
): GridferryError {
  const contents = found.map(({ content }) => content).join(', ');
  return new GridferryError(
    'GF_DNS_NOT_OURS',
    `${type} ${name} is answered with ${contents}, which is not the source server (${oldAddresses.join(', ') || 'no address known'}). If the name really is this service's, point it to the source server or force the take-over; else correct the name.`,
  );
}

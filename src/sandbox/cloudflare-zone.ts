import { isIPv4, isIPv6 } from 'node:net';
import type { DnsAnswer, DnsQuestion, DnsResource } from './dns-server.ts';

/** Where Cloudflare's proxy would answer: addresses for documentation (RFC 5737, RFC 3849), so nobody is reached by them. */
export const PROXY_IPV4 = '192.0.2.1';
export const PROXY_IPV6 = '2001:db8::1';

export interface StandInRecord {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: string;
  readonly ttl: number;
  readonly proxied: boolean;
  readonly comment: string | null;
  readonly tags: readonly string[];
}

export interface StandInZone {
  readonly id: string;
  readonly name: string;
  readonly status: 'active' | 'pending';
  records: readonly StandInRecord[];
}

/** A refusal in Cloudflare's words. */
export class ZoneError extends Error {
  readonly status: number;
  readonly code: number;
  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export type ZoneChange =
  | { readonly op: 'create'; readonly id: string; readonly fields: Record<string, unknown> }
  | { readonly op: 'patch' | 'put'; readonly id: string; readonly fields: Record<string, unknown> }
  | { readonly op: 'delete'; readonly id: string };

/** The records after one change, and the record it concerns. Throws a `ZoneError` in Cloudflare's words, changing nothing. */
export function changeRecords(
  zone: StandInZone,
  records: readonly StandInRecord[],
  change: ZoneChange,
): { readonly records: readonly StandInRecord[]; readonly record: StandInRecord } {
  const current = records.find(({ id }) => id === change.id);
  if (change.op !== 'create' && current === undefined) throw new ZoneError(404, 81044, 'Record does not exist.');
  if (change.op === 'delete') {
    return { records: records.filter((record) => record !== current), record: current as StandInRecord };
  }
  const base = change.op === 'patch' ? current : undefined;
  const record = checkedRecord(zone, { ...base, ...change.fields }, change.id);
  const others = records.filter((other) => other !== current);
  checkClashes(record, others);
  return {
    records:
      current === undefined ? [...records, record] : records.map((other) => (other === current ? record : other)),
    record,
  };
}

/** The record that these fields make, by Cloudflare's rules. */
export function checkedRecord(zone: StandInZone, fields: Readonly<Record<string, unknown>>, id: string): StandInRecord {
  const { type, content, ttl = 1, proxied = false, comment = null, tags = [] } = fields;
  if (typeof type !== 'string' || !/^[A-Z]{1,10}$/.test(type))
    throw new ZoneError(400, 9004, 'Invalid DNS record type.');
  if (typeof fields['name'] !== 'string') throw new ZoneError(400, 9000, 'DNS name is invalid.');
  if (typeof content !== 'string' || content === '')
    throw new ZoneError(400, 9005, `Content for ${type} record is invalid.`);
  if (type === 'A' && !isIPv4(content)) {
    throw new ZoneError(400, 9005, 'Content for A record must be a valid IPv4 address.');
  }
  if (type === 'AAAA' && !isIPv6(content)) {
    throw new ZoneError(400, 9006, 'Content for AAAA record must be a valid IPv6 address.');
  }
  if (typeof proxied !== 'boolean' || (proxied && !['A', 'AAAA', 'CNAME'].includes(type))) {
    throw new ZoneError(400, 9041, 'This DNS record cannot be proxied.');
  }
  const ttlFits = typeof ttl === 'number' && Number.isInteger(ttl) && (ttl === 1 || (ttl >= 60 && ttl <= 86_400));
  if (!ttlFits || (proxied && ttl !== 1)) {
    throw new ZoneError(400, 9021, 'Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.');
  }
  if (!Array.isArray(tags) || (comment !== null && typeof comment !== 'string')) {
    throw new ZoneError(400, 9301, 'The tags or the comment are invalid.');
  }
  return {
    id,
    name: absoluteName(zone, fields['name']),
    type,
    content: type === 'AAAA' ? new URL(`http://[${content}]`).hostname.slice(1, -1) : content,
    ttl,
    proxied,
    comment: comment === '' ? null : comment,
    tags: tags as readonly string[],
  };
}

function absoluteName(zone: StandInZone, name: string): string {
  const lower = name.toLowerCase().replace(/\.$/, '');
  if (lower === '@') return zone.name;
  return lower === zone.name || lower.endsWith(`.${zone.name}`) ? lower : `${lower}.${zone.name}`;
}

function checkClashes(record: StandInRecord, others: readonly StandInRecord[]): void {
  const here = others.filter(({ name }) => name === record.name);
  if (here.some(({ type, content }) => type === record.type && content === record.content)) {
    throw new ZoneError(400, 81058, 'An identical record already exists.');
  }
  const addresses = ['A', 'AAAA', 'CNAME'];
  const excludes = (other: StandInRecord): boolean =>
    addresses.includes(other.type) && (record.type === 'CNAME' || other.type === 'CNAME');
  if (addresses.includes(record.type) && here.some(excludes)) {
    throw new ZoneError(400, 81053, 'An A, AAAA, or CNAME record with that host already exists.');
  }
}

/** What the zones' name servers say, as Cloudflare's would: in place of a proxied record's content stands the proxy. */
export function answerFrom(zones: readonly StandInZone[], question: DnsQuestion): DnsAnswer {
  const zone = zones
    .filter(({ name }) => question.name === name || question.name.endsWith(`.${name}`))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (zone === undefined) return { code: 'REFUSED' };
  const soa: DnsResource = { name: zone.name, type: 'SOA', ttl: 1, data: `ns1.${zone.name}` };
  if (question.name === zone.name && question.type === 'SOA') return { code: 'NOERROR', answers: [soa] };

  const answers: DnsResource[] = [];
  let name = question.name;
  // Bounded: CNAMEs may form a ring.
  for (let hop = 0; hop < 8; hop++) {
    const here = recordsAt(zone, name);
    if (here === undefined) return { code: answers.length > 0 ? 'NOERROR' : 'NXDOMAIN', answers, authority: [soa] };
    if ((question.type === 'A' || question.type === 'AAAA') && here.some(({ proxied }) => proxied)) {
      // One proxied record makes the whole name proxied, for both address families.
      const data = question.type === 'A' ? PROXY_IPV4 : PROXY_IPV6;
      return { code: 'NOERROR', answers: [...answers, { name, type: question.type, ttl: 300, data }] };
    }
    const cname = here.find(({ type }) => type === 'CNAME');
    if (cname === undefined || question.type === 'CNAME') {
      for (const { type, ttl, content } of here) {
        if (type !== question.type || !isEncodable(type)) continue;
        answers.push({ name, type, ttl: ttl === 1 ? 300 : ttl, data: content });
      }
      return answers.length > 0 ? { code: 'NOERROR', answers } : { code: 'NOERROR', authority: [soa] };
    }
    answers.push({ name, type: 'CNAME', ttl: cname.ttl === 1 ? 300 : cname.ttl, data: cname.content });
    name = cname.content.toLowerCase();
    // Out of the zone: the resolver asks on.
    if (name !== zone.name && !name.endsWith(`.${zone.name}`)) break;
  }
  return { code: 'NOERROR', answers };
}

function isEncodable(type: string): type is DnsResource['type'] {
  return ['A', 'AAAA', 'CNAME', 'NS'].includes(type);
}

/** The records at a name, or those of the nearest wildcard; `undefined` when no such name exists (RFC 4592). */
function recordsAt(zone: StandInZone, name: string): readonly StandInRecord[] | undefined {
  const exact = zone.records.filter((record) => record.name === name);
  const exists = name === zone.name || zone.records.some((record) => record.name.endsWith(`.${name}`));
  if (exact.length > 0 || exists) return exact;
  for (let parent = name; parent.length > zone.name.length;) {
    parent = parent.slice(parent.indexOf('.') + 1);
    const wildcard = zone.records.filter((record) => record.name === `*.${parent}`);
    if (wildcard.length > 0) return wildcard;
    if (zone.records.some((record) => record.name === parent || record.name.endsWith(`.${parent}`))) return undefined;
  }
  return undefined;
}

import { GridferryError } from '../errors.ts';
import { canonicalContent, normalizeName, sameIdentity, sameRecord } from './provider.ts';
import type { DnsCallOptions, DnsChange, DnsProvider, DnsRecordSnapshot, DnsZone, NewDnsRecord } from './provider.ts';

/** What is needed to put records back. Plain JSON; written down before anything is changed. */
export interface DnsRestorePoint {
  /** Records as they were before the first change, whether they are changed or deleted by it. */
  readonly prior: readonly DnsRecordSnapshot[];
  /** Records that did not exist before. */
  readonly created: readonly NewDnsRecord[];
  /** Contents that the changes put into records: any other content is somebody else's work. */
  readonly wrote: readonly string[];
}

export const emptyRestorePoint: DnsRestorePoint = { prior: [], created: [], wrote: [] };

/** Adds a later restore point to an earlier one: of each record the earliest state counts. */
export function mergeRestorePoints(earlier: DnsRestorePoint, later: DnsRestorePoint): DnsRestorePoint {
  const known = new Set(earlier.prior.map(({ id }) => id));
  // Planned again after a crash, a record that we made looks as if it had always been there.
  const ours = (record: NewDnsRecord): boolean => earlier.created.some((made) => sameIdentity(made, record));
  return {
    prior: [...earlier.prior, ...later.prior.filter((record) => !known.has(record.id) && !ours(record))],
    created: [...earlier.created, ...later.created.filter((record) => !ours(record))],
    wrote: [...new Set([...earlier.wrote, ...later.wrote])],
  };
}

export interface LowerTtlInput {
  readonly records: readonly DnsRecordSnapshot[];
  readonly name: string;
  /** Only records with one of these change: resolvers go by the shortest TTL of a round robin (RFC 2181, 5.2). */
  readonly oldAddresses: readonly string[];
  /** Seconds; at least 60 on most Cloudflare plans. */
  readonly ttl: number;
}

/** Plans shorter caching of a name's addresses, so that a later change is seen sooner. Proxied records need none. Pure. */
export function planLowerTtl({ records, name, oldAddresses, ttl }: LowerTtlInput): {
  readonly changes: readonly DnsChange[];
  readonly restorePoint: DnsRestorePoint;
} {
  const prior = records.filter(
    (record) =>
      record.name === normalizeName(name) &&
      ['A', 'AAAA'].includes(record.type) &&
      oldAddresses.some((address) => sameIdentity(record, { ...record, content: address })) &&
      !record.proxied &&
      // 1 is "automatic", which is longer than any TTL worth lowering to.
      (record.ttl === 1 || record.ttl > ttl),
  );
  return {
    changes: prior.map((from) => ({ kind: 'update', from, to: { ...from, ttl } })),
    restorePoint: { prior, created: [], wrote: [] },
  };
}

/** Plans the original TTLs for records that keep their new content: when there is no way back any more. Pure. */
export function planOriginalTtl(records: readonly DnsRecordSnapshot[], point: DnsRestorePoint): readonly DnsChange[] {
  return point.prior.flatMap((prior): DnsChange[] => {
    const current = records.find(({ id }) => id === prior.id);
    if (current === undefined || current.proxied || prior.proxied || current.ttl === prior.ttl) return [];
    return [{ kind: 'update', from: current, to: { ...current, ttl: prior.ttl } }];
  });
}

/**
 * Plans the way back: every record exactly as it was, with those deleted made again (under a new id) and those made
 * deleted. Empty when it is so already. Pure.
 *
 * @throws GF_DNS_NOT_OURS when somebody else has changed a record since, unless `force`.
 */
export function planRestore(
  records: readonly DnsRecordSnapshot[],
  point: DnsRestorePoint,
  { force = false }: { readonly force?: boolean } = {},
): readonly DnsChange[] {
  const changes: DnsChange[] = [];
  const priorIds = new Set(point.prior.map(({ id }) => id));
  const claimed = new Set<string>();

  for (const prior of point.prior) {
    const current = records.find(({ id }) => id === prior.id);
    if (current !== undefined && !force && !isOurs(current, prior, point)) throw changedSince(prior, current);
    // Made again by an earlier restore, or by hand: it is the one, and a second one like it cannot be made.
    const twin = records.find((record) => !priorIds.has(record.id) && sameIdentity(record, prior));
    const keeper = twin ?? current;
    if (twin !== undefined) claimed.add(twin.id);
    if (twin !== undefined && current !== undefined) changes.push({ kind: 'delete', record: current });
    if (keeper === undefined) {
      changes.push({ kind: 'create', record: withoutId(prior) });
    } else if (!sameRecord(keeper, prior)) {
      changes.push({ kind: 'update', from: keeper, to: { ...prior, id: keeper.id } });
    }
  }
  for (const made of point.created) {
    for (const record of records) {
      if (!sameIdentity(record, made) || priorIds.has(record.id) || claimed.has(record.id)) continue;
      changes.push({ kind: 'delete', record });
    }
  }
  return changes;
}

/** Reads, plans and applies the way back. Idempotent. @throws GF_DNS_NOT_OURS and what the provider rejects with */
export async function restore(
  provider: DnsProvider,
  zone: DnsZone,
  point: DnsRestorePoint,
  options: DnsCallOptions & { readonly force?: boolean } = {},
): Promise<void> {
  const names = new Set([...point.prior, ...point.created].map(({ name }) => normalizeName(name)));
  const records: DnsRecordSnapshot[] = [];
  for (const name of names) records.push(...(await provider.listRecords(zone, { name }, options)));
  await provider.applyChanges(zone, planRestore(records, point, options), options);
}

function withoutId({ name, type, content, ttl, proxied, comment, tags }: DnsRecordSnapshot): NewDnsRecord {
  return { name, type, content, ttl, proxied, comment, tags };
}

function isOurs(current: DnsRecordSnapshot, prior: DnsRecordSnapshot, point: DnsRestorePoint): boolean {
  const content = canonicalContent(current.type, current.content);
  return (
    current.type === prior.type &&
    current.name === prior.name &&
    [prior.content, ...point.wrote].some((known) => canonicalContent(prior.type, known) === content)
  );
}

function changedSince(prior: DnsRecordSnapshot, current: DnsRecordSnapshot): GridferryError {
  return new GridferryError(
    'GF_DNS_NOT_OURS',
    `${prior.type} ${prior.name} was ${prior.content} before the move and is now ${current.type} ${current.content}, which somebody else wrote. Put it right by hand, or force the restore.`,
  );
}

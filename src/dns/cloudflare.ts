import { GridferryError } from '../errors.ts';
import { systemClock } from '../runtime/clock.ts';
import { createCloudflareHttp } from './cloudflare-http.ts';
import type { CloudflareEnvelope, CloudflareHttpOptions } from './cloudflare-http.ts';
import { normalizeName } from './provider.ts';
import type { DnsCallOptions, DnsRecordSnapshot, DnsZone, NewDnsRecord } from './provider.ts';

const ZONE_CACHE_MS = 10 * 60_000;
const NO_ZONE_CACHE_MS = 60_000;
/** A zone on the free plan may change 200 records in one batch, others 3,500. */
const MAX_BATCH = 200;

export interface CloudflareOptions extends CloudflareHttpOptions {
  /** How many records one page holds. Default 100. */
  readonly perPage?: number;
}

/** The changed fields of one record; `name`, `type` and `content` always travel, as the API asks of old and new clients. */
export type RecordPatch = Pick<DnsRecordSnapshot, 'id' | 'name' | 'type' | 'content' | 'ttl' | 'proxied'> &
  Partial<Pick<DnsRecordSnapshot, 'comment' | 'tags'>>;

/** One transaction; Cloudflare executes it in this order: deletes, patches, puts, posts. */
export interface CloudflareBatch {
  readonly deletes?: readonly { readonly id: string }[];
  readonly patches?: readonly RecordPatch[];
  readonly puts?: readonly DnsRecordSnapshot[];
  readonly posts?: readonly NewDnsRecord[];
}

export interface TokenInfo {
  readonly status: string;
  readonly expiresOn?: string;
}

/** The few calls of Cloudflare's API v4 that moving a service needs. Each mutation is sent once: see `cloudflareProvider`. */
export interface Cloudflare {
  /** @throws GF_DNS_AUTH when the token is not active. */
  verifyToken(options?: DnsCallOptions): Promise<TokenInfo>;
  /** @throws GF_DNS_ZONE_NOT_FOUND */
  findZone(name: string, options?: DnsCallOptions): Promise<DnsZone>;
  listRecords(
    zone: DnsZone,
    filter?: { readonly name?: string; readonly type?: string },
    options?: DnsCallOptions,
  ): Promise<readonly DnsRecordSnapshot[]>;
  createRecord(zone: DnsZone, record: NewDnsRecord, options?: DnsCallOptions): Promise<DnsRecordSnapshot>;
  patchRecord(zone: DnsZone, patch: RecordPatch, options?: DnsCallOptions): Promise<DnsRecordSnapshot>;
  deleteRecord(zone: DnsZone, id: string, options?: DnsCallOptions): Promise<void>;
  batch(zone: DnsZone, batch: CloudflareBatch, options?: DnsCallOptions): Promise<void>;
  /** Lets go of its connections. */
  close(): Promise<void>;
}

/**
 * A client for Cloudflare DNS. The token appears in no message.
 *
 * @example
 * const cloudflare = createCloudflare({ apiToken });
 * const zone = await cloudflare.findZone('app.example.com');
 * const records = await cloudflare.listRecords(zone, { name: 'app.example.com' });
 *
 * @throws GF_DNS_AUTH when the token cannot be one, GF_DNS_INSECURE_URL. Its calls reject with GF_DNS_AUTH,
 * GF_DNS_ZONE_NOT_FOUND, GF_DNS_RATE_LIMITED, GF_DNS_RECORD_EXISTS, GF_DNS_CHANGED, GF_DNS_UNAVAILABLE, GF_DNS_REJECTED.
 */
export function createCloudflare(options: CloudflareOptions): Cloudflare {
  const { clock = systemClock, perPage = 100 } = options;
  const http = createCloudflareHttp(options);
  const zones = new Map<string, { readonly zone: ZoneAnswer | undefined; readonly until: number }>();

  async function zoneNamed(name: string, signal: AbortSignal | undefined): Promise<ZoneAnswer | undefined> {
    const known = zones.get(name);
    if (known !== undefined && known.until > clock.monotonic()) return known.zone;
    const answer = await http.call({
      method: 'GET',
      path: '/zones',
      query: { name, per_page: 50 },
      what: `to find the zone ${name}`,
      signal,
    });
    const found = (answer.result as readonly ZoneAnswer[]).filter((zone) => normalizeName(zone.name) === name);
    // The same zone may be pending in one account and active in another: only the active one is answered from.
    const zone = found.find((candidate) => candidate.status === 'active') ?? found[0];
    // A zone that may become active any moment is not remembered for long.
    const ms = zone?.status === 'active' ? ZONE_CACHE_MS : NO_ZONE_CACHE_MS;
    zones.set(name, { zone, until: clock.monotonic() + ms });
    return zone;
  }

  async function send(
    zone: DnsZone,
    method: 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body: unknown,
    what: string,
    signal: AbortSignal | undefined,
  ): Promise<CloudflareEnvelope> {
    return http.call({ method, path: `${recordsPath(zone)}${path}`, body, what: `${what} in ${zone.name}`, signal });
  }

  return {
    async verifyToken({ signal } = {}) {
      const answer = await http.call({
        method: 'GET',
        path: '/user/tokens/verify',
        what: 'to verify the API token',
        signal,
      });
      const { status, expires_on: expiresOn } = answer.result as { status: string; expires_on?: string };
      if (status === 'active') return expiresOn === undefined ? { status } : { status, expiresOn };
      throw new GridferryError(
        'GF_DNS_AUTH',
        `The Cloudflare API token is ${status}. Give a token that is active and has the permissions Zone:Read and DNS:Edit.`,
      );
    },

    async findZone(name, { signal } = {}) {
      const wanted = normalizeName(name).replace(/^\*\./, '');
      const labels = wanted.split('.');
      for (let start = 0; start < labels.length - 1; start++) {
        const zone = await zoneNamed(labels.slice(start).join('.'), signal);
        if (zone === undefined) continue;
        if (zone.status !== 'active') {
          throw new GridferryError(
            'GF_DNS_ZONE_NOT_FOUND',
            `The zone ${zone.name} is ${zone.status} at Cloudflare, so changing its records has no effect. Point the domain's name servers to Cloudflare and wait until the zone is active.`,
          );
        }
        return { id: zone.id, name: normalizeName(zone.name), nameServers: zone.name_servers ?? [] };
      }
      throw new GridferryError(
        'GF_DNS_ZONE_NOT_FOUND',
        `No zone at Cloudflare holds ${wanted}, or the API token may not read it. Add the zone, or give the token the permission Zone:Read for it.`,
      );
    },

    async listRecords(zone, filter = {}, { signal } = {}) {
      const name = filter.name === undefined ? undefined : normalizeName(filter.name);
      // By id, because a record made or deleted between two pages shifts the others over the boundary.
      const found = new Map<string, DnsRecordSnapshot>();
      for (let page = 1; ; page++) {
        const answer = await http.call({
          method: 'GET',
          path: recordsPath(zone),
          query: { 'name.exact': name, type: filter.type, per_page: perPage, page },
          what: `to list the records of ${name ?? zone.name}`,
          signal,
        });
        const records = answer.result as readonly RecordAnswer[];
        for (const record of records) found.set(record.id, snapshotOf(record));
        if (isLastPage(answer, page, records.length, perPage)) break;
      }
      // Filtered again, in case a filter is one that the server does not know and therefore ignores.
      return [...found.values()].filter(
        (record) =>
          (name === undefined || record.name === name) && (filter.type === undefined || record.type === filter.type),
      );
    },

    async createRecord(zone, record, { signal } = {}) {
      const what = `to create ${record.type} ${record.name}`;
      const answer = await send(zone, 'POST', '', bodyOf(record), what, signal);
      return snapshotOf(answer.result as RecordAnswer);
    },

    async patchRecord(zone, patch, { signal } = {}) {
      const path = `/${encodeURIComponent(patch.id)}`;
      const what = `to change ${patch.type} ${patch.name}`;
      const answer = await send(zone, 'PATCH', path, bodyOf(patch), what, signal);
      return snapshotOf(answer.result as RecordAnswer);
    },

    async deleteRecord(zone, id, { signal } = {}) {
      await send(zone, 'DELETE', `/${encodeURIComponent(id)}`, undefined, `to delete the record ${id}`, signal);
    },

    async batch(zone, { deletes = [], patches = [], puts = [], posts = [] }, { signal } = {}) {
      const count = deletes.length + patches.length + puts.length + posts.length;
      if (count === 0) return;
      if (count > MAX_BATCH) {
        throw new GridferryError(
          'GF_DNS_REJECTED',
          `${count} record changes do not fit into one Cloudflare batch of ${MAX_BATCH}. Change fewer names at once.`,
        );
      }
      const body = {
        deletes: deletes.map(({ id }) => ({ id })),
        patches: patches.map((patch) => ({ id: patch.id, ...bodyOf(patch) })),
        puts: puts.map((put) => ({ id: put.id, ...bodyOf(put) })),
        posts: posts.map((post) => bodyOf(post)),
      };
      await send(zone, 'POST', '/batch', body, `to change ${count} records`, signal);
    },

    close: () => http.close(),
  };
}

interface ZoneAnswer {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly name_servers?: readonly string[];
}

interface RecordAnswer {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content?: string;
  readonly ttl: number;
  readonly proxied?: boolean;
  readonly comment?: string | null;
  readonly tags?: readonly string[];
}

function recordsPath(zone: DnsZone): string {
  return `/zones/${encodeURIComponent(zone.id)}/dns_records`;
}

function snapshotOf(answer: RecordAnswer): DnsRecordSnapshot {
  return {
    id: answer.id,
    name: normalizeName(answer.name),
    type: answer.type,
    content: answer.content ?? '',
    ttl: answer.ttl,
    proxied: answer.proxied ?? false,
    comment: answer.comment ?? '',
    tags: answer.tags ?? [],
  };
}

/** What a new record does not have is left out: plans without tags refuse the field's use. */
function bodyOf(record: NewDnsRecord | RecordPatch): Record<string, unknown> {
  const { name, type, content, ttl, proxied, comment, tags } = record;
  const isNew = !('id' in record);
  return {
    name,
    type,
    content,
    ttl,
    proxied,
    ...(comment === undefined || (isNew && comment === '') ? {} : { comment }),
    ...(tags === undefined || (isNew && tags.length === 0) ? {} : { tags }),
  };
}

function isLastPage(answer: CloudflareEnvelope, page: number, got: number, perPage: number): boolean {
  const info = answer.result_info;
  if (got === 0) return true;
  if (info?.total_pages !== undefined) return page >= info.total_pages;
  // The server may grant smaller pages than were asked for.
  if (info?.total_count !== undefined) return page * (info.per_page ?? perPage) >= info.total_count;
  return got < perPage;
}

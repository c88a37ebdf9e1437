import { domainToASCII } from 'node:url';

/** One DNS record as it is (or was) at the provider. Plain JSON, so that it can be kept in a status for restoring. */
export interface DnsRecordSnapshot {
  readonly id: string;
  /** Fully qualified, lower case, without the trailing dot. */
  readonly name: string;
  readonly type: string;
  readonly content: string;
  /** Seconds; 1 means that the provider chooses (Cloudflare: 300 s, and the only value a proxied record may have). */
  readonly ttl: number;
  /** Whether the provider's proxy answers in the place of `content`. */
  readonly proxied: boolean;
  /** Empty when there is none. */
  readonly comment: string;
  readonly tags: readonly string[];
}

/** A record that is to be made: the provider gives it an id. */
export type NewDnsRecord = Omit<DnsRecordSnapshot, 'id'>;

export interface DnsZone {
  readonly id: string;
  readonly name: string;
  /** The zone's authoritative servers as the provider names them. */
  readonly nameServers: readonly string[];
}

/**
 * One wanted change. Each says what it expects to find, so that a provider can tell "already done" from "somebody else
 * was here": applying the same change twice is the same as applying it once.
 */
export type DnsChange =
  | { readonly kind: 'create'; readonly record: NewDnsRecord }
  | { readonly kind: 'update'; readonly from: DnsRecordSnapshot; readonly to: DnsRecordSnapshot }
  | { readonly kind: 'delete'; readonly record: DnsRecordSnapshot };

export interface DnsCallOptions {
  readonly signal?: AbortSignal;
}

/** Whoever holds the zones. Rejects with `GridferryError`s whose codes start with `GF_DNS_`. */
export interface DnsProvider {
  /** The zone with the longest name that `name` is in. @throws GF_DNS_ZONE_NOT_FOUND */
  findZone(name: string, options?: DnsCallOptions): Promise<DnsZone>;

  /** The zone's records, read from the provider's API (not from caches), with this exact name and type if given. */
  listRecords(
    zone: DnsZone,
    filter?: { readonly name?: string; readonly type?: string },
    options?: DnsCallOptions,
  ): Promise<readonly DnsRecordSnapshot[]>;

  /**
   * Makes the changes true. Idempotent: what is so already is left alone, and after an answer that got lost the records
   * are read again before anything is repeated.
   *
   * @throws GF_DNS_CHANGED (conflict) when a record is no longer what the change expects: read again and plan again.
   */
  applyChanges(zone: DnsZone, changes: readonly DnsChange[], options?: DnsCallOptions): Promise<void>;
}

/** A DNS name in the one spelling used for comparing: punycode, lower case, no trailing dot. */
export function normalizeName(name: string): string {
  const bare = name.trim().replace(/\.$/, '');
  // domainToASCII answers '' for what a host name may not hold, such as a space: keep the text, it will match nothing.
  return (/[^\x20-\x7e]/.test(bare) ? domainToASCII(bare) || bare : bare).toLowerCase();
}

/** Whether two records are the same but for their ids. */
export function sameRecord(a: NewDnsRecord, b: NewDnsRecord): boolean {
  return (
    sameIdentity(a, b) &&
    a.ttl === b.ttl &&
    a.proxied === b.proxied &&
    a.comment === b.comment &&
    a.tags.length === b.tags.length &&
    a.tags.every((tag) => b.tags.includes(tag))
  );
}

/** Whether a provider would call them duplicates: same name, type and content. */
export function sameIdentity(
  a: Pick<NewDnsRecord, 'name' | 'type' | 'content'>,
  b: Pick<NewDnsRecord, 'name' | 'type' | 'content'>,
): boolean {
  return (
    a.type === b.type &&
    normalizeName(a.name) === normalizeName(b.name) &&
    canonicalContent(a.type, a.content) === canonicalContent(b.type, b.content)
  );
}

/** The content in the one spelling used for comparing: an IPv6 address has many. */
export function canonicalContent(type: string, content: string): string {
  const url = `http://[${content}]`;
  return type === 'AAAA' && URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : content;
}

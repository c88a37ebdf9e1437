import { GridferryError } from '../errors.ts';

export interface CloudflareApiMessage {
  readonly code?: number;
  readonly message?: string;
  readonly error_chain?: readonly CloudflareApiMessage[];
}

/**
 * Cloudflare publishes no list of its codes; these are the ones its DNS API was seen to answer.
 * 6003/6111: malformed header; 9106/9109: no or invalid token; 1000/1001/10000/10001: the token is not valid, or lacks
 * the permission for this zone.
 */
const AUTH_CODES = new Set([1000, 1001, 6003, 6102, 6103, 6111, 9103, 9106, 9107, 9109, 10000, 10001]);
/** 81053–81058: a record that this one would duplicate or clash with (A/AAAA/CNAME at the same host). */
const EXISTS_CODES = new Set([81053, 81054, 81056, 81057, 81058]);
/** 7000/7003: no such route, which is what an unknown zone id gives; 1049: not a zone of yours. */
const NO_ZONE_CODES = new Set([1049, 7000, 7003]);
const RECORD_GONE_CODE = 81044;

/** Cloudflare blocks for five minutes once its allowance is used up (developers.cloudflare.com/api/limits). */
const RATE_LIMIT_MS = 5 * 60_000;

/** Turns an answer that is not a success into the error for it. `scrub` removes the token from what the API echoes. */
export function cloudflareError(
  what: string,
  status: number,
  errors: readonly CloudflareApiMessage[],
  retryAfter: string | undefined,
  nowMs: number,
  scrub: (text: string) => string,
): GridferryError {
  const flat = errors.flatMap((entry) => [entry, ...(entry.error_chain ?? [])]);
  const said = scrub(flat.map((entry) => `${entry.message ?? 'no message'} [${entry.code ?? '?'}]`).join('; '));
  const answer = said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`;
  const code = flat.find((entry) => entry.code !== undefined)?.code;
  const details = { status, ...(code === undefined ? {} : { cloudflareCode: code }) };
  const has = (codes: ReadonlySet<number>): boolean => flat.some((entry) => codes.has(entry.code ?? -1));

  if (status === 429) {
    const retryAfterMs = parseRetryAfter(retryAfter, nowMs) ?? RATE_LIMIT_MS;
    return new GridferryError(
      'GF_DNS_RATE_LIMITED',
      `Cloudflare refused ${what} because too many requests were sent (${answer}); it is tried again in ${Math.ceil(retryAfterMs / 1000)} s.`,
      { class: 'retryable', retryAfterMs, details },
    );
  }
  if (status >= 500) {
    const retryAfterMs = parseRetryAfter(retryAfter, nowMs);
    return new GridferryError(
      'GF_DNS_UNAVAILABLE',
      `Cloudflare could not answer ${what} (${answer}); it is tried again. See cloudflarestatus.com if this goes on.`,
      { class: 'retryable', details, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    );
  }
  if (status === 401 || status === 403 || has(AUTH_CODES)) {
    return new GridferryError(
      'GF_DNS_AUTH',
      `Cloudflare does not accept the API token for ${what} (${answer}). Give a token that is active and has the permissions Zone:Read and DNS:Edit for this zone.`,
      { details },
    );
  }
  if (has(EXISTS_CODES)) {
    return new GridferryError(
      'GF_DNS_RECORD_EXISTS',
      `Cloudflare refused ${what} because a record that clashes with it exists already (${answer}). Delete or change the existing record, or use another name.`,
      { details },
    );
  }
  if (flat.some((entry) => entry.code === RECORD_GONE_CODE)) {
    return new GridferryError(
      'GF_DNS_CHANGED',
      `Cloudflare no longer has a record that ${what} was to change (${answer}): somebody deleted it meanwhile. It is read and planned again.`,
      { class: 'conflict', details },
    );
  }
  if (has(NO_ZONE_CODES)) {
    return new GridferryError(
      'GF_DNS_ZONE_NOT_FOUND',
      `Cloudflare does not know the zone or record of ${what} (${answer}). Check that the zone exists and that the token may read it.`,
      { details },
    );
  }
  return new GridferryError(
    'GF_DNS_REJECTED',
    `Cloudflare rejected ${what} (${answer}). Change what the message names; repeating it does not help.`,
    { details },
  );
}

/** RFC 9110 10.2.3: seconds, or an HTTP date. */
function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const trimmed = value.trim();
  if (/^\d{1,9}$/.test(trimmed)) return Number(trimmed) * 1000;
  const at = Date.parse(trimmed);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}

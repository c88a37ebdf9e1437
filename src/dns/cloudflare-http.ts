import { isIP } from 'node:net';
import type { Dispatcher } from 'undici';
import { GridferryError, messageOf } from '../errors.ts';
import { sleep, systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import { checkAddress, checkedLookup } from '../security/addresses.ts';
import type { Resolve } from '../security/addresses.ts';
import { cloudflareError } from './cloudflare-errors.ts';
import type { CloudflareApiMessage } from './cloudflare-errors.ts';
import { createRequestBudget } from './request-budget.ts';

const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const READ_ATTEMPTS = 3;

export interface CloudflareHttpOptions {
  readonly apiToken: string;
  /** Default `https://api.cloudflare.com/client/v4`. Plain http is refused except to this machine. */
  readonly baseUrl?: string;
  readonly clock?: Clock;
  /** Ends every call under way and to come. */
  readonly signal?: AbortSignal;
  /** Asked right before each request that changes something: false, and it is not sent. */
  readonly mayWrite?: () => boolean;
  /** For one request and its answer. Default 15,000. */
  readonly timeoutMs?: number;
  /** Where requests go through, for proxies and tests; default: connections of its own, closed by `close`. */
  readonly dispatcher?: Dispatcher;
  /** How the host of the base URL is resolved; for tests. */
  readonly resolve?: Resolve;
}

export interface CloudflareRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** Below the base URL; its parts are already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  /** For messages: "to list the records of example.com". */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
}

export interface CloudflareEnvelope {
  readonly success: boolean;
  readonly errors?: readonly CloudflareApiMessage[];
  readonly result: unknown;
  readonly result_info?: {
    readonly page?: number;
    readonly per_page?: number;
    readonly total_pages?: number;
    readonly total_count?: number;
  };
}

export interface CloudflareHttp {
  /**
   * One call. Reads are repeated up to twice after GF_DNS_UNAVAILABLE; anything else never is, because the answer may
   * have been lost after it was done: who sends it has to look first.
   */
  call(request: CloudflareRequest): Promise<CloudflareEnvelope>;
  close(): Promise<void>;
}

/** Requests and answers of Cloudflare's API v4: token, deadlines, rate limit, errors. Nothing about DNS. */
export function createCloudflareHttp(options: CloudflareHttpOptions): CloudflareHttp {
  const { clock = systemClock, timeoutMs = 15_000 } = options;
  const base = checkedBaseUrl(options.baseUrl ?? 'https://api.cloudflare.com/client/v4');
  const token = checkedToken(options.apiToken);
  const scrub = (text: string): string => text.replaceAll(token, '[token]').replaceAll(/\s+/g, ' ').slice(0, 600);
  // 1,200 requests in five minutes are allowed to the *user*, dashboard included: at most 1,000 of them are ours.
  const budget = createRequestBudget({ clock, burst: 100, perSecond: 3, maxWaitMs: timeoutMs });
  let ownDispatcher: Promise<Dispatcher> | undefined;

  const callerSignal = (request: CloudflareRequest): AbortSignal =>
    AbortSignal.any([request.signal, options.signal].filter((signal) => signal !== undefined));

  async function once(request: CloudflareRequest): Promise<CloudflareEnvelope> {
    const caller = callerSignal(request);
    await budget.take(caller);
    const deadline = new AbortController();
    const cancelDeadline = clock.after(timeoutMs, () => deadline.abort());
    try {
      return await exchange(request, AbortSignal.any([caller, deadline.signal]));
    } catch (error) {
      if (error instanceof GridferryError) throw error;
      // The caller's own reason, not undici's wrapping of it.
      caller.throwIfAborted();
      throw new GridferryError(
        'GF_DNS_UNAVAILABLE',
        deadline.signal.aborted
          ? `Cloudflare did not answer ${request.what} within ${timeoutMs} ms; it is tried again. Check the connection to ${base.host} if this goes on.`
          : `Cloudflare could not be asked ${request.what} (${scrub(messageOf(error))}); it is tried again. Check the connection to ${base.host} if this goes on.`,
        { class: 'retryable', cause: new Error(scrub(messageOf(error))) },
      );
    } finally {
      cancelDeadline();
    }
  }

  async function exchange(request: CloudflareRequest, signal: AbortSignal): Promise<CloudflareEnvelope> {
    await checkLiteral(base.hostname);
    const dispatcher = options.dispatcher ?? (await (ownDispatcher ??= openDispatcher(base.hostname, options.resolve)));
    const url = new URL(base.href.replace(/\/$/, '') + request.path);
    for (const [key, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    if (request.method !== 'GET' && options.mayWrite?.() === false) throw notLeading(request.what);
    const answer = await dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method,
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'application/json',
        'user-agent': 'gridferry',
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: request.body === undefined ? null : JSON.stringify(request.body),
      signal,
    });
    const envelope = parseEnvelope(await readBounded(answer.body));
    if (answer.statusCode < 300 && envelope?.success === true) return envelope;

    const retryAfter = answer.headers['retry-after'];
    const error = cloudflareError(
      request.what,
      // A 2xx whose body is not the API's is a proxy's or a broken answer: nothing is known, so it counts as none.
      answer.statusCode < 300 && envelope === undefined ? 502 : answer.statusCode,
      envelope?.errors ?? [],
      Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
      clock.now(),
      scrub,
    );
    if (error.code === 'GF_DNS_RATE_LIMITED') budget.blockFor(error.retryAfterMs ?? 0);
    throw error;
  }

  return {
    async call(request) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await once(request);
        } catch (error) {
          const again =
            request.method === 'GET' && error instanceof GridferryError && error.code === 'GF_DNS_UNAVAILABLE';
          if (!again || attempt >= READ_ATTEMPTS) throw error;
          await sleep(clock, Math.min(error.retryAfterMs ?? 125 * 2 ** attempt, 5000), callerSignal(request));
        }
      }
    },
    async close() {
      await (await ownDispatcher)?.destroy();
    },
  };
}

function notLeading(what: string): GridferryError {
  return new GridferryError(
    'GF_LEADERSHIP_LOST',
    `Cloudflare was not asked ${what}, because this process no longer leads; another replica goes on from here.`,
    { class: 'retryable' },
  );
}

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/;

/**
 * Whoever may write a PlatformConfig names the host: its address is judged when it is connected to. Redirects are not
 * followed, so that there is no other one.
 */
const RULES = { allowPrivate: true };

/** Nobody looks up a literal address, so that it is judged here. */
async function checkLiteral(host: string): Promise<void> {
  if (!LOOPBACK.test(host) && isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0) await checkAddress(host, RULES);
}

async function openDispatcher(host: string, resolve: Resolve | undefined): Promise<Dispatcher> {
  // Imported late: it costs 200 ms, and most commands never touch DNS.
  const { Agent } = await import('undici');
  const lookup = LOOPBACK.test(host) ? {} : { lookup: checkedLookup(RULES, resolve) };
  // The deadline above covers the whole call; undici's own, in real time, would cut it short under a test's clock.
  return new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 10_000, ...lookup } });
}

async function readBounded(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseEnvelope(text: string): CloudflareEnvelope | undefined {
  try {
    const value = JSON.parse(text) as Partial<CloudflareEnvelope> | null;
    if (typeof value !== 'object' || value === null || typeof value.success !== 'boolean') return undefined;
    return { ...value, success: value.success, result: value.result, errors: arrayOf(value.errors) };
  } catch {
    // An HTML page from something in between: the HTTP status is all there is to go by.
    return undefined;
  }
}

function arrayOf(errors: unknown): readonly CloudflareApiMessage[] {
  return Array.isArray(errors) ? (errors as readonly CloudflareApiMessage[]).filter(Boolean) : [];
}

function checkedToken(apiToken: string): string {
  // A Secret made from a file commonly ends in a newline.
  const token = apiToken.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new GridferryError(
    'GF_DNS_AUTH',
    token === ''
      ? 'The Cloudflare API token is empty. Put the token into the Secret that the resource names.'
      : 'The Cloudflare API token holds spaces, line breaks or characters that a header cannot carry. Put only the token into the Secret.',
  );
}

function checkedBaseUrl(baseUrl: string): URL {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  const local = url !== undefined && LOOPBACK.test(url.hostname);
  if (url !== undefined && (url.protocol === 'https:' || (url.protocol === 'http:' && local))) return url;
  throw new GridferryError(
    'GF_DNS_INSECURE_URL',
    'The address of the DNS API must be an https:// URL, because the token travels with every request (http:// is taken for this machine only). Correct it.',
  );
}

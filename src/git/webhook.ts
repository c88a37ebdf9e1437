import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { verify } from '@octokit/webhooks-methods';
import type { Clock } from '../runtime/clock.ts';
import { readTokenFile } from './credentials.ts';

export interface WebhookOptions {
  /** Its first line is the secret that callers know; read again for every call, so that a new one is taken up. */
  readonly tokenFile: string;
  /** Pushes to other branches are of no interest. */
  readonly branch: string;
  readonly clock: Clock;
  readonly onPush: () => void;
}

export interface WebhookAnswer {
  readonly code: 202 | 400 | 401 | 429;
  readonly body: string;
}

/** Of one address: so many calls at once, and one more each second. */
const BURST = 30;
const REFILL_MS = 1_000;
const ADDRESSES = 1_024;

/**
 * Says whether a call of `POST /hook` is to be heeded. It may come from GitHub (`X-Hub-Signature-256`), Gitea and Forgejo
 * (`X-Gitea-Signature`), GitLab (`X-Gitlab-Token`), or from anything that sends the secret as a bearer token. A call only
 * asks for a look at the branch, so that one that is repeated does no harm.
 */
export function createWebhook({ tokenFile, branch, clock, onPush }: WebhookOptions) {
  const callers = new Map<string, { tokens: number; at: number }>();

  function admit(address: string): boolean {
    const now = clock.monotonic();
    const caller = callers.get(address) ?? { tokens: BURST, at: now };
    const tokens = Math.min(BURST, caller.tokens + (now - caller.at) / REFILL_MS);
    callers.delete(address);
    callers.set(address, { tokens: Math.max(0, tokens - 1), at: now });
    for (const oldest of callers.keys()) {
      if (callers.size <= ADDRESSES) break;
      callers.delete(oldest);
    }
    return tokens >= 1;
  }

  return async function answer(headers: IncomingHttpHeaders, body: Buffer, address: string): Promise<WebhookAnswer> {
    if (!admit(address)) return { code: 429, body: 'too many calls; one a second is enough\n' };
    const text = body.toString('utf8');
    if (!(await isGenuine(headers, text, readTokenFile(tokenFile)))) {
      return { code: 401, body: 'the secret or the signature is missing or wrong\n' };
    }
    const ref = pushedRef(headers, text);
    if (ref === 'unreadable') return { code: 400, body: 'the body is no JSON\n' };
    if (ref !== undefined && ref !== `refs/heads/${branch}`) return { code: 202, body: `not ${branch}: ignored\n` };
    onPush();
    return { code: 202, body: 'the branch is looked at\n' };
  };
}

async function isGenuine(headers: IncomingHttpHeaders, body: string, secret: string): Promise<boolean> {
  const signature = one(headers['x-hub-signature-256']) ?? prefixed(one(headers['x-gitea-signature']));
  if (signature !== undefined) {
    // The library throws on what it takes for a caller's mistake.
    return body !== '' && /^sha256=[0-9a-f]{64}$/.test(signature) && verify(secret, body, signature);
  }
  const bearer = /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  const token = one(headers['x-gitlab-token']) ?? bearer;
  return token !== undefined && isSame(token, secret);
}

/** In a time that tells nothing about how much of it is right. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** The ref that a push was to; `undefined` when the call does not say, as one by hand. */
function pushedRef(headers: IncomingHttpHeaders, body: string): string | undefined {
  const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true;
  const json = isForm ? new URLSearchParams(body).get('payload') : body;
  if (json === null || json.trim() === '') return undefined;
  try {
    const payload: unknown = JSON.parse(json);
    const ref = typeof payload === 'object' && payload !== null && 'ref' in payload ? payload.ref : undefined;
    return typeof ref === 'string' ? ref : undefined;
  } catch {
    return 'unreadable';
  }
}

function one(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

function prefixed(hex: string | undefined): string | undefined {
  return hex === undefined ? undefined : `sha256=${hex}`;
}

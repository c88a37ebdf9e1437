import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { messageOf } from '../errors.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';

export type QueryType = 'A' | 'AAAA' | 'CNAME';

export interface ResolvedRecord {
  readonly content: string;
  /** Seconds; what a cache has left of it. Absent for a CNAME. */
  readonly ttl?: number;
}

/** What one name server said. `NotFound`: no such name; `NoData`: the name exists without such a record. */
export type ServerAnswer =
  | { readonly server: string; readonly ok: true; readonly records: readonly ResolvedRecord[] }
  | {
      readonly server: string;
      readonly ok: false;
      readonly reason: 'NotFound' | 'NoData' | 'Refused' | 'Timeout' | 'Failed' | 'Aborted';
      readonly message: string;
    };

export interface QueryOptions {
  readonly name: string;
  readonly type: QueryType;
  /** `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`, or a host name with or without a port. */
  readonly servers: readonly string[];
  /** For each server; all are asked at once. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/**
 * Asks each of the name servers the same question, with no cache in between but theirs. Answers are values: it never
 * rejects, whatever the servers do.
 */
export async function queryRecord(options: QueryOptions): Promise<readonly ServerAnswer[]> {
  return Promise.all(options.servers.map((server) => askServer(server, options)));
}

/** Whether every server answers with exactly this address; none asked is no agreement. */
export function allAnswer(answers: readonly ServerAnswer[], address: string): boolean {
  return (
    answers.length > 0 &&
    answers.every((answer) => answer.ok && answer.records.length === 1 && answer.records[0]?.content === address)
  );
}

async function askServer(server: string, options: QueryOptions): Promise<ServerAnswer> {
  const { name, type, timeoutMs, signal, clock = systemClock } = options;
  // One resolver a question: two on the same one share its outcome, and `cancel` ends them all.
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 });
  const fail = (reason: (ServerAnswer & { ok: false })['reason'], message: string): ServerAnswer => ({
    ...{ server, ok: false, reason, message: `${server}: ${message}` },
  });
  if (signal?.aborted) return fail('Aborted', 'not asked');

  let ended: 'Timeout' | 'Aborted' | undefined;
  let stop = (_why: 'Timeout' | 'Aborted'): void => {};
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = (why) => {
      ended = why;
      resolver.cancel();
      reject(new Error(why));
    };
  });
  const cancelTimer = clock.after(timeoutMs, () => stop('Timeout'));
  const onAbort = (): void => stop('Aborted');
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const records = await Promise.race([ask(resolver, server, name, type), stopped]);
    // CNAMEs alone, which lead out of the zone or in a ring, come as an empty answer.
    return records.length > 0 ? { server, ok: true, records } : fail('NoData', 'the name has no such record');
  } catch (error) {
    if (ended === 'Timeout') return fail('Timeout', `no answer within ${timeoutMs} ms`);
    if (ended === 'Aborted') return fail('Aborted', 'given up');
    return fail(...reasonOf(error));
  } finally {
    cancelTimer();
    signal?.removeEventListener('abort', onAbort);
  }
}

async function ask(
  resolver: Resolver,
  server: string,
  name: string,
  type: QueryType,
): Promise<readonly ResolvedRecord[]> {
  resolver.setServers([await withAddress(server)]);
  if (type === 'CNAME') return (await resolver.resolveCname(name)).map((content) => ({ content }));
  const found =
    type === 'A' ? await resolver.resolve4(name, { ttl: true }) : await resolver.resolve6(name, { ttl: true });
  return found.map(({ address, ttl }) => ({ content: address, ttl }));
}

/** Name servers are often known by name, but can only be asked by address. */
async function withAddress(server: string): Promise<string> {
  if (server.startsWith('[') || isIP(server) !== 0) return server;
  const [host = '', port] = server.split(':');
  if (isIP(host) !== 0) return server;
  const { address, family } = await lookup(host);
  const literal = family === 6 ? `[${address}]` : address;
  return port === undefined ? address : `${literal}:${port}`;
}

function reasonOf(error: unknown): ['NotFound' | 'NoData' | 'Refused' | 'Timeout' | 'Failed', string] {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOTFOUND':
      return ['NotFound', 'no such name'];
    case 'ENODATA':
      return ['NoData', 'the name has no such record'];
    case 'EREFUSED':
      return ['Refused', 'refused to answer'];
    case 'ETIMEOUT':
      return ['Timeout', 'no answer in time'];
    default:
      return ['Failed', messageOf(error)];
  }
}

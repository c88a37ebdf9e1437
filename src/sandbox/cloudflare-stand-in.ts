import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerFrom, changeRecords, checkedRecord, ZoneError } from './cloudflare-zone.ts';
import type { StandInRecord, StandInZone, ZoneChange } from './cloudflare-zone.ts';
import { startDnsServer } from './dns-server.ts';

export interface CloudflareStandInOptions {
  readonly zones: readonly {
    readonly name: string;
    readonly status?: 'active' | 'pending';
    readonly records?: readonly (Pick<StandInRecord, 'name' | 'type' | 'content'> & Partial<StandInRecord>)[];
  }[];
  /** The only token that is accepted. */
  readonly token: string;
  /** Default 127.0.0.1, for HTTP and DNS alike. */
  readonly host?: string;
  /** Default: any free one. */
  readonly port?: number;
  readonly dnsPort?: number;
}

export interface StandInRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export interface StandInFault {
  readonly how:
    | 'rate-limited'
    | 'server-error'
    /** Neither done nor answered. */
    | 'no-answer'
    /** Done, and the connection cut before the answer. */
    | 'lost-answer'
    | 'auth-error'
    /** An HTML page, as something in between would send. */
    | 'not-json';
  /** Default 1: then it is over. */
  readonly times?: number;
  /** Only requests with this method. */
  readonly method?: string;
  /** Only requests whose path holds this. */
  readonly path?: string;
  /** For `rate-limited`. Default 1. */
  readonly retryAfterSeconds?: number;
}

export interface CloudflareStandIn {
  readonly baseUrl: string;
  /** `host:port` of the name server for the same records (UDP). */
  readonly dnsAddress: string;
  /** The zone's records now. */
  records(zone: string): readonly StandInRecord[];
  /** Every request that came in, in order, without its token. */
  readonly requests: readonly StandInRequest[];
  /** Makes the next matching requests fail. */
  fail(fault: StandInFault): void;
  close(): Promise<void>;
}

/**
 * Stands in for Cloudflare: the DNS part of its API v4 over HTTP, and its name servers over UDP, on this machine. For
 * tests, the demo, and for learning without a domain of one's own.
 *
 * @example
 * const cloudflare = await startCloudflareStandIn({
 *   token: 'demo',
 *   zones: [{ name: 'example.test', records: [{ type: 'A', name: 'app.example.test', content: '203.0.113.7' }] }],
 * });
 */
export async function startCloudflareStandIn(options: CloudflareStandInOptions): Promise<CloudflareStandIn> {
  const { host = '127.0.0.1', token } = options;
  let lastId = 0;
  const newId = (): string => (++lastId).toString(16).padStart(32, '0');
  const zones = options.zones.map(({ name, status = 'active', records = [] }): StandInZone => {
    const zone: StandInZone = { id: newId(), name: name.toLowerCase(), status, records: [] };
    zone.records = records.map((record) => checkedRecord(zone, record, record.id ?? newId()));
    return zone;
  });
  const requests: StandInRequest[] = [];
  const faults: { fault: StandInFault; left: number }[] = [];

  function takeFault(method: string, path: string): StandInFault | undefined {
    const hit = faults.find(
      ({ fault, left }) =>
        left > 0 && (fault.method ?? method) === method && (fault.path === undefined || path.includes(fault.path)),
    );
    if (hit !== undefined) hit.left -= 1;
    return hit?.fault;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const url = new URL(request.url ?? '/', 'http://stand-in');
    const path = url.pathname.replace(/^\/client\/v4/, '');
    const query = Object.fromEntries(url.searchParams);
    const text = await readBody(request);
    const body = parseJson(text);
    requests.push({ method, path, query, body });

    const fault = takeFault(method, path);
    if (fault !== undefined && fault.how !== 'lost-answer') {
      sendFault(fault, response);
      return;
    }
    try {
      checkToken(request.headers.authorization, token, path);
      if (text !== '' && body === undefined) throw new ZoneError(400, 6007, 'Malformed JSON in request body');
      const answer = route(zones, { method, path, query, body }, newId);
      if (fault === undefined) send(response, 200, { success: true, errors: [], messages: [], ...answer });
      else response.destroy();
    } catch (error) {
      if (!(error instanceof ZoneError)) throw error;
      const errors = [{ code: error.code, message: error.message }];
      send(response, error.status, { success: false, errors, messages: [], result: null });
    }
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  const dns = await startDnsServer({
    host,
    port: options.dnsPort ?? 0,
    answer: (question) => answerFrom(zones, question),
  }).catch((error: unknown) => {
    server.close();
    throw error;
  });
  const { address, family, port } = server.address() as AddressInfo;

  return {
    baseUrl: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/client/v4`,
    dnsAddress: dns.address,
    records: (name) => zones.find((zone) => zone.name === name.toLowerCase())?.records ?? [],
    requests,
    fail: (fault) => void faults.push({ fault, left: fault.times ?? 1 }),
    async close() {
      server.closeAllConnections();
      await Promise.all([new Promise((resolve) => server.close(resolve)), dns.close()]);
    },
  };
}

function route(zones: readonly StandInZone[], request: StandInRequest, newId: () => string): Record<string, unknown> {
  const { method, path, query } = request;
  const call = `${method} ${path.replaceAll(/[0-9a-f]{32}/g, ':id')}`;
  if (call === 'GET /user/tokens/verify') return { result: { id: 'stand-in', status: 'active' } };
  if (call === 'GET /zones') {
    const wanted = query['name']?.toLowerCase();
    const found = zones.filter(({ name }) => wanted === undefined || name === wanted);
    return page(
      found.map(({ id, name, status }) => ({ id, name, status, name_servers: [`ns1.${name}`, `ns2.${name}`] })),
      query,
    );
  }
  const [, zoneId, recordId] = /^\/zones\/([^/]+)\/dns_records(?:\/([^/]+))?$/.exec(path) ?? [];
  const zone = zones.find(({ id }) => id === zoneId);
  if (zone === undefined) {
    throw new ZoneError(404, 7003, `Could not route to ${path}, perhaps your object identifier is invalid?`);
  }
  if (call === 'GET /zones/:id/dns_records')
    return page(
      filtered(zone, query).map((record) => shown(zone, record)),
      query,
    );
  if (call === 'POST /zones/:id/dns_records/batch') return { result: runBatch(zone, request.body, newId) };

  const fields = fieldsOf(request.body);
  const run = (change: ZoneChange): StandInRecord => {
    const { records, record } = changeRecords(zone, zone.records, change);
    zone.records = records;
    return record;
  };
  switch (call) {
    case 'POST /zones/:id/dns_records':
      return { result: shown(zone, run({ op: 'create', id: newId(), fields })) };
    case 'PATCH /zones/:id/dns_records/:id':
      return { result: shown(zone, run({ op: 'patch', id: recordId ?? '', fields })) };
    case 'PUT /zones/:id/dns_records/:id':
      return { result: shown(zone, run({ op: 'put', id: recordId ?? '', fields })) };
    case 'DELETE /zones/:id/dns_records/:id':
      return { result: { id: run({ op: 'delete', id: recordId ?? '' }).id } };
    default:
      throw new ZoneError(405, 10405, 'Method not allowed for this authentication scheme');
  }
}

/** All or nothing, in Cloudflare's order whatever the order of the fields. */
function runBatch(zone: StandInZone, body: unknown, newId: () => string): Record<string, unknown> {
  const batch = fieldsOf(body);
  const entries = (key: string): Record<string, unknown>[] =>
    Array.isArray(batch[key]) ? (batch[key] as unknown[]).map(fieldsOf) : [];
  const idOf = (entry: Record<string, unknown>): string => String(entry['id']);
  const changes: { key: string; change: ZoneChange }[] = [
    ...entries('deletes').map((entry) => ({ key: 'deletes', change: { op: 'delete' as const, id: idOf(entry) } })),
    ...entries('patches').map((fields) => ({
      key: 'patches',
      change: { op: 'patch' as const, id: idOf(fields), fields },
    })),
    ...entries('puts').map((fields) => ({ key: 'puts', change: { op: 'put' as const, id: idOf(fields), fields } })),
    ...entries('posts').map((fields) => ({ key: 'posts', change: { op: 'create' as const, id: newId(), fields } })),
  ];
  if (changes.length > 200) throw new ZoneError(400, 1004, 'DNS Validation Error: more than 200 records in one batch');
  const result: Record<string, unknown[]> = { deletes: [], patches: [], puts: [], posts: [] };
  let records = zone.records;
  for (const { key, change } of changes) {
    const step = changeRecords(zone, records, change);
    records = step.records;
    result[key]?.push(shown(zone, step.record));
  }
  zone.records = records;
  return result;
}

function filtered(zone: StandInZone, query: Readonly<Record<string, string>>): readonly StandInRecord[] {
  const name = (query['name.exact'] ?? query['name'])?.toLowerCase();
  return zone.records.filter(
    (record) =>
      (name === undefined || record.name === name) &&
      (query['type'] === undefined || record.type === query['type']) &&
      (query['content'] === undefined || record.content === query['content']),
  );
}

function page(all: readonly unknown[], query: Readonly<Record<string, string>>): Record<string, unknown> {
  const number = Math.max(1, Math.trunc(Number(query['page'] ?? 1)) || 1);
  const perPage = Math.max(1, Math.trunc(Number(query['per_page'] ?? 100)) || 100);
  const result = all.slice((number - 1) * perPage, number * perPage);
  return {
    result,
    result_info: {
      page: number,
      per_page: perPage,
      count: result.length,
      total_count: all.length,
      total_pages: Math.ceil(all.length / perPage),
    },
  };
}

function shown(zone: StandInZone, record: StandInRecord): Record<string, unknown> {
  return { ...record, proxiable: ['A', 'AAAA', 'CNAME'].includes(record.type), zone_id: zone.id, zone_name: zone.name };
}

function fieldsOf(body: unknown): Record<string, unknown> {
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
}

function checkToken(authorization: string | undefined, token: string, path: string): void {
  const [, given] = /^Bearer (\S+)$/.exec(authorization ?? '') ?? [];
  if (given === undefined) throw new ZoneError(400, 6003, 'Invalid request headers');
  if (given === token) return;
  if (path === '/user/tokens/verify') throw new ZoneError(401, 1000, 'Invalid API Token');
  throw new ZoneError(403, 9109, 'Invalid access token');
}

function sendFault(fault: StandInFault, response: ServerResponse): void {
  const refuse = (status: number, code: number, message: string): void =>
    send(response, status, { success: false, errors: [{ code, message }], messages: [], result: null });
  switch (fault.how) {
    case 'rate-limited':
      response.setHeader('retry-after', String(fault.retryAfterSeconds ?? 1));
      refuse(429, 971, 'Please wait and consider throttling your request speed');
      break;
    case 'server-error':
      refuse(500, 1000, 'Internal server error');
      break;
    case 'auth-error':
      refuse(403, 10000, 'Authentication error');
      break;
    case 'not-json':
      response.writeHead(502, { 'content-type': 'text/html' }).end('<html><h1>502 Bad Gateway</h1></html>');
      break;
    default:
      // no-answer: the connection stays open until the client gives up or the stand-in closes.
      break;
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch {
    // Answered with Cloudflare's own error for it, where the token has been checked.
    return undefined;
  }
}

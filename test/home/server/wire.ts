import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import type { Agent } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { Test } from 'tap';
import { openApiServer } from '../../support/api-server.ts';
import type { OpenedApi } from '../../support/api-server.ts';

/** Requests byte by byte as a test wants them, past every client that would tidy them up. */

export const SERVICES = '/apis/gridferry.io/v1alpha1/namespaces/default/services';
export const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

/** What lists, tables and discovery are made of. */
export interface WireItem {
  readonly name: string;
  readonly metadata: { readonly name: string };
  readonly resource: string;
}

export interface Reply {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body, parsed. */
  readonly body: any; // eslint-disable-line @typescript-eslint/no-explicit-any -- a test reads what it expects
}

export interface Sent {
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  /** Default: the right one. */
  readonly token?: string | null;
  readonly agent?: Agent;
}

export async function openApi(t: Test, options: Parameters<typeof openApiServer>[0] = {}): Promise<OpenedApi> {
  const api = await openApiServer(options);
  t.teardown(() => api.close());
  return api;
}

export function tokenOf(api: OpenedApi): string {
  return readFileSync(join(api.stateDir, 'api/token'), 'utf8').trim();
}

export function caOf(api: OpenedApi): string {
  return readFileSync(join(api.stateDir, 'api/ca.crt'), 'utf8');
}

function headersOf(api: OpenedApi, { headers = {}, token, body }: Sent): Record<string, string> {
  const authorization = token === null ? {} : { authorization: `Bearer ${token ?? tokenOf(api)}` };
  // Node itself announces no length for the body of a DELETE.
  const announced =
    body === undefined || 'transfer-encoding' in headers ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  return { 'user-agent': 'test/1', ...authorization, ...announced, ...headers };
}

/** A list in a body. */
export function listed(list: unknown): readonly WireItem[] {
  return list as readonly WireItem[];
}

/** One request and its whole answer. `path` goes out as it is. */
export async function send(api: OpenedApi, method: string, path: string, sent: Sent = {}): Promise<Reply> {
  const message = await begin(api, method, path, sent);
  const parts: Buffer[] = [];
  for await (const part of message as AsyncIterable<Buffer>) parts.push(part);
  const text = Buffer.concat(parts).toString();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // It is not JSON: the test reads the text.
    body = undefined;
  }
  return { code: message.statusCode ?? 0, headers: message.headers, text, body };
}

/** One request; resolves when the answer begins. */
export function begin(api: OpenedApi, method: string, path: string, sent: Sent = {}): Promise<IncomingMessage> {
  const { hostname, port } = new URL(api.url);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        hostname,
        port,
        servername: 'localhost',
        ca: caOf(api),
        method,
        path,
        headers: headersOf(api, sent),
        agent: sent.agent ?? false,
      },
      resolve,
    );
    outgoing.on('error', reject);
    outgoing.end(sent.body);
  });
}

export function post(
  api: OpenedApi,
  path: string,
  object: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const body = JSON.stringify(object);
  return send(api, 'POST', path, { body, headers: { 'content-type': 'application/json', ...headers } });
}

export function patch(api: OpenedApi, path: string, type: string, body: unknown): Promise<Reply> {
  return send(api, 'PATCH', path, { body: JSON.stringify(body), headers: { 'content-type': `application/${type}` } });
}

export function service(name: string, metadata: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'Service',
    metadata: { name, ...metadata },
    spec: { container: 'c', serverRef: { name: 's1' } },
  };
}

export function configMap(name: string, data: Record<string, string> = {}): Record<string, unknown> {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
}

export interface WireEvent {
  readonly type: string;
  readonly object: any; // eslint-disable-line @typescript-eslint/no-explicit-any -- a test reads what it expects
}

/** The events of a watch, one by one. */
export async function* watch(api: OpenedApi, path: string, sent: Sent = {}): AsyncGenerator<WireEvent> {
  const message = await begin(api, 'GET', path, sent);
  try {
    let rest = '';
    for await (const part of message as AsyncIterable<Buffer>) {
      const lines = (rest + part.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line) as WireEvent;
    }
  } finally {
    message.destroy();
  }
}

/** A bare connection. */
export function dial(api: OpenedApi): Promise<TLSSocket> {
  const { hostname, port } = new URL(api.url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), ca: caOf(api) }, () => resolve(socket));
    socket.on('error', reject);
  });
}

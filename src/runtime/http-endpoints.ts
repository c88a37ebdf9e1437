import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GridferryError, messageOf } from '../errors.ts';

/** Whether a process does its work, and if not, why. */
export interface Readiness {
  readonly ready: boolean;
  /** One sentence for each thing that is wrong. */
  readonly problems: readonly string[];
}

export interface HttpEndpointsOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Default 127.0.0.1: the endpoints ask for no credentials. */
  readonly host?: string;
  readonly readiness: () => Readiness;
  readonly metrics?: { readonly contentType: string; render(): Promise<string> };
  /** Answers `POST /hook`, which is served only then. It decides by itself whom it trusts. */
  readonly hook?: Hook;
}

export type Hook = (
  headers: IncomingHttpHeaders,
  body: Buffer,
  address: string,
) => Promise<{ readonly code: number; readonly body: string }>;

const MAX_HOOK_BYTES = 1024 * 1024;

/** `/healthz`, `/readyz` and `/metrics`, and `/hook` where there is one. */
export interface HttpEndpoints {
  /** Resolves with where it listens. Rejects with `GF_HTTP_LISTEN`. */
  start(): Promise<{ readonly host: string; readonly port: number }>;
  stop(): Promise<void>;
}

interface Answer {
  readonly code: number;
  readonly body: string;
  readonly contentType?: string;
  /** Of a 405. */
  readonly allow?: string;
  /** What is left of the request's body is not worth reading. */
  readonly close?: true;
}

async function answerHook(request: IncomingMessage, hook: Hook): Promise<Answer> {
  if (request.method !== 'POST') return { code: 405, body: 'only POST is served here\n', allow: 'POST' };
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_HOOK_BYTES) return { code: 413, body: 'at most 1 MiB is read\n', close: true };
    chunks.push(chunk);
  }
  return hook(request.headers, Buffer.concat(chunks), request.socket.remoteAddress ?? '');
}

export function createHttpEndpoints({
  port,
  host = '127.0.0.1',
  readiness,
  metrics,
  hook,
}: HttpEndpointsOptions): HttpEndpoints {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    answer(request).then(
      (reply) => send(request, response, reply),
      (error: unknown) => send(request, response, { code: 500, body: `${messageOf(error)}\n` }),
    );
  });

  async function answer(request: IncomingMessage): Promise<Answer> {
    const { method, url = '/' } = request;
    const path = url.replace(/\?.*/, '');
    if (path === '/hook' && hook !== undefined) return answerHook(request, hook);
    if (method !== 'GET' && method !== 'HEAD') {
      return { code: 405, body: 'only GET and HEAD are served here\n', allow: 'GET, HEAD' };
    }
    switch (path) {
      case '/healthz':
        // To answer at all is to be alive.
        return { code: 200, body: 'ok\n' };
      case '/readyz': {
        const { ready, problems } = readiness();
        return ready ? { code: 200, body: 'ok\n' } : { code: 503, body: problems.map((line) => `${line}\n`).join('') };
      }
      case '/metrics':
        if (metrics === undefined) break;
        return { code: 200, body: await metrics.render(), contentType: metrics.contentType };
    }
    return { code: 404, body: 'served here: /healthz /readyz /metrics\n' };
  }

  return {
    start() {
      return new Promise((resolve, reject) => {
        server.once('error', (error) => reject(listenError(host, port, error)));
        server.listen(port, host, () => {
          const address = server.address() as AddressInfo;
          resolve({ host: address.address, port: address.port });
        });
      });
    },
    stop() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const { code, body, contentType, allow, close } = answer;
  response.writeHead(code, {
    'content-type': contentType ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(allow === undefined ? {} : { allow }),
    ...(close === true ? { connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function listenError(host: string, port: number, cause: Error): GridferryError {
  const why = 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
  return new GridferryError(
    'GF_HTTP_LISTEN',
    `Health and metrics cannot be served on ${host}:${port} (${why}); choose another address or port, ` +
      `or end what listens there.`,
    { cause },
  );
}

import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
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
}

/** `/healthz`, `/readyz` and `/metrics`. */
export interface HttpEndpoints {
  /** Resolves with where it listens. Rejects with `GF_HTTP_LISTEN`. */
  start(): Promise<{ readonly host: string; readonly port: number }>;
  stop(): Promise<void>;
}

interface Answer {
  readonly code: number;
  readonly body: string;
  readonly contentType?: string;
}

export function createHttpEndpoints({
  port,
  host = '127.0.0.1',
  readiness,
  metrics,
}: HttpEndpointsOptions): HttpEndpoints {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    answer(request).then(
      (reply) => send(request, response, reply),
      (error: unknown) => send(request, response, { code: 500, body: `${messageOf(error)}\n` }),
    );
  });

  async function answer({ method, url = '/' }: IncomingMessage): Promise<Answer> {
    if (method !== 'GET' && method !== 'HEAD') return { code: 405, body: 'only GET and HEAD are served here\n' };
    switch (url.replace(/\?.*/, '')) {
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

function send(request: IncomingMessage, response: ServerResponse, { code, body, contentType }: Answer): void {
  response.writeHead(code, {
    'content-type': contentType ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(code === 405 ? { allow: 'GET, HEAD' } : {}),
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

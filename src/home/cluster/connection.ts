import type http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { ClusterAccess } from './cluster-access.ts';
import { fileOrData } from './credentials.ts';
import type { Credentials } from './credentials.ts';
import { networkError } from './network-error.ts';
import { tunnelThrough } from './proxy-tunnel.ts';

export interface WireRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | undefined;
  /** Destroys the connection of this request when it fires, whatever has come of the answer. */
  readonly signal: AbortSignal;
  /** A watch stays for minutes: it must not take the place of a call. */
  readonly lasting: boolean;
}

/** The sockets to one API server, shared by all calls. */
export interface Connection {
  /** Resolves with status and headers; the body is still to be read. Rejects with `GF_API_UNREACHABLE`, `GF_API_TLS`. */
  send(request: WireRequest, credentials: Credentials): Promise<http.IncomingMessage>;
  /** Closes the sockets that nobody uses, because one like them is found dead. */
  dropIdle(): void;
  close(): void;
}

/** A SYN that is not answered by now will not be. */
const CONNECT_TIMEOUT_MS = 10_000;
const MOST_CALLS_AT_ONCE = 64;
/** Below the idle limits of API servers (90 s) and cloud load balancers (60 s), which close without a word. */
const IDLE_MS = 45_000;

/**
 * `node:https` and not undici: as fast against a real API server, and 25 MiB less resident. Calls share up to 64
 * kept-alive sockets; each watch has one of its own.
 */
export function createConnection(access: ClusterAccess): Connection {
  const { server } = access;
  const secure = server.protocol === 'https:';
  let pools: Pools | undefined;

  /** New ones when the certificate changes: a socket speaks for the certificate that it was opened with. */
  function poolsFor({ cert, key }: Credentials): Pools {
    if (pools !== undefined && sameBytes(pools.cert, cert) && sameBytes(pools.key, key)) return pools;
    pools?.close();
    pools = createPools(access, cert, key);
    return pools;
  }

  function send(request: WireRequest, credentials: Credentials): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { method, path, headers, body, signal, lasting } = request;
      const { calls, watches } = poolsFor(credentials);
      const fail = (error: Error): void => {
        const cause: unknown = signal.aborted ? signal.reason : error;
        const failure = networkError(cause, server.host);
        // The files may have been replaced since; the next request reads them again.
        if (failure.code === 'GF_API_TLS') closePools();
        reject(failure);
      };
      const sent = (secure ? https : plainHttp()).request({
        protocol: server.protocol,
        host: server.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: server.port,
        method,
        path,
        headers: { ...headers, ...credentials.headers } as http.OutgoingHttpHeaders,
        agent: lasting ? watches : calls,
        signal,
        ...(access.tlsServerName === undefined ? {} : { servername: access.tlsServerName }),
      });
      sent.once('socket', (socket) => limitConnecting(socket, sent));
      sent.once('response', resolve);
      // Stays for good: an error after the response is the reader's, and would end the process if nobody heard it.
      sent.on('error', fail);
      sent.end(body);
    });
  }

  function closePools(): void {
    pools?.close();
    pools = undefined;
  }

  return {
    send,
    dropIdle() {
      for (const sockets of Object.values(pools?.calls.freeSockets ?? {})) {
        for (const socket of sockets ?? []) socket.destroy();
      }
    },
    close: closePools,
  };
}

/** Not imported: an `import` of `node:http` reads all its exports, and one of them loads fetch (10 MiB). */
function plainHttp(): typeof http {
  return process.getBuiltinModule('node:http');
}

interface Pools {
  readonly calls: http.Agent;
  readonly watches: http.Agent;
  readonly cert: string | Buffer | undefined;
  readonly key: string | Buffer | undefined;
  close(): void;
}

function createPools(
  access: ClusterAccess,
  cert: string | Buffer | undefined,
  key: string | Buffer | undefined,
): Pools {
  const kept: http.AgentOptions = { keepAlive: true, keepAliveMsecs: 30_000, timeout: IDLE_MS };
  const limits: http.AgentOptions = { maxSockets: MOST_CALLS_AT_ONCE, maxFreeSockets: 16 };
  const through = access.proxyUrl === undefined ? {} : { createConnection: tunnelThrough(access.proxyUrl) };
  const agent = (options: http.AgentOptions): http.Agent => {
    if (access.server.protocol !== 'https:')
      return Object.assign(new (plainHttp().Agent)({ ...kept, ...options }), through);
    // Made once: a context for each socket would parse the certificates again, and keep them in memory again.
    const secureContext = context(access, cert, key);
    const tls = { secureContext, rejectUnauthorized: !access.insecure };
    return Object.assign(new https.Agent({ ...kept, ...options, ...tls }), through);
  };
  const calls = agent(limits);
  const watches = agent({});
  return {
    calls,
    watches,
    cert,
    key,
    close() {
      calls.destroy();
      watches.destroy();
    },
  };
}

function context(
  access: ClusterAccess,
  cert: string | Buffer | undefined,
  key: string | Buffer | undefined,
): SecureContext {
  const ca = fileOrData(access.caFile, access.caData);
  return createSecureContext({
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
}

function limitConnecting(socket: Socket, request: http.ClientRequest): void {
  if (!socket.connecting) return;
  const timer = setTimeout(() => {
    // `syscall` says that nothing was sent, as it does in the errors of the system itself.
    const error = Object.assign(new Error(`no connection within ${CONNECT_TIMEOUT_MS / 1000} s`), {
      code: 'ETIMEDOUT',
      syscall: 'connect',
    });
    request.destroy(error);
  }, CONNECT_TIMEOUT_MS);
  timer.unref();
  const stop = (): void => clearTimeout(timer);
  socket.once('connect', stop).once('close', stop);
}

function sameBytes(a: string | Buffer | undefined, b: string | Buffer | undefined): boolean {
  if (a === b) return true;
  return a !== undefined && b !== undefined && Buffer.from(a).equals(Buffer.from(b));
}

import { mkdirSync } from 'node:fs';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ResourceType } from '../../api/meta.ts';
import { GridferryError, messageOf } from '../../errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { LocalHome } from '../local-client.ts';
import { keptToken, tokenCheck } from './access-token.ts';
import { keptCertificate } from './certificates.ts';
import type { ServingCertificate } from './certificates.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { readIfThere, writePrivately } from './private-file.ts';
import { createGuard } from './request-guard.ts';
import { createRequestHandler } from './request-handler.ts';
import type { AuditEntry } from './request-handler.ts';

const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];
const KEEP_ALIVE_MS = 90_000;
/** How long requests may take to end when the server stops. */
const STOP_MS = 5_000;
const RENEWAL_CHECK_MS = 12 * 60 * 60 * 1000;

export interface ApiServerOptions {
  readonly home: LocalHome;
  readonly types: readonly ResourceType[];
  /** Keeps the certificates, the token, the port and the kubeconfig. */
  readonly stateDir: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default: the one that was used last, or a free one. */
  readonly port?: number;
  /** Of this program, for `kubectl version`. */
  readonly version: string;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly log?: Logger;
  readonly audit?: (entry: AuditEntry) => void;
  readonly limits?: Partial<ConnectionLimits>;
}

/** How long a client may take, in ms. */
export interface ConnectionLimits {
  /** To log in, and to say what it wants. */
  readonly headersMs: number;
  /** To send all of a request. */
  readonly requestMs: number;
  /** With nothing moving on the connection; not for watches, which have nothing to say for as long as nothing happens. */
  readonly silenceMs: number;
  /** To read what a watch has sent: until then it costs what the kernel and one batch of events hold. */
  readonly drainMs: number;
}

const DEFAULT_LIMITS: ConnectionLimits = {
  headersMs: 10_000,
  requestMs: 60_000,
  silenceMs: 120_000,
  drainMs: 60_000,
};

export interface ApiServer {
  readonly url: string;
  readonly kubeconfigPath: string;
  /** Ends watches and requests in good order, then the rest. */
  stop(): Promise<void>;
}

/**
 * Serves a home as a Kubernetes API over HTTPS, with a certificate authority and a token of its own, and writes a
 * kubeconfig for it.
 *
 * @throws GridferryError `GF_API_LISTEN`, `GF_API_STATE`.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { home, types, stateDir, version, log, host = '127.0.0.1' } = options;
  const clock = options.clock ?? systemClock;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const directory = join(stateDir, 'api');
  const hosts = [...new Set([...LOOPBACK, host])];
  const { certificate, token } = await credentials(directory, hosts, clock);
  const handler = createRequestHandler({
    home,
    types,
    version,
    clock,
    random: options.random ?? Math.random,
    guard: createGuard(hosts, tokenCheck(token)),
    ...(options.audit === undefined ? {} : { audit: options.audit }),
    drainMs: limits.drainMs,
  });
  const server = createServer(
    {
      key: certificate.key,
      cert: certificate.certificate,
      minVersion: 'TLSv1.2',
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      // How often Node looks for who is too slow: by default so seldom that the limits would mean little.
      connectionsCheckingInterval: Math.min(limits.headersMs, 5_000),
      keepAliveTimeout: KEEP_ALIVE_MS,
      handshakeTimeout: limits.headersMs,
      noDelay: true,
    },
    (request, response) => {
      handler.handle(request, response).catch((error: unknown) => {
        log?.error({ err: error }, 'a request could not be answered');
        response.destroy();
      });
    },
  );
  server.timeout = limits.silenceMs;
  // What no HTTP client sends, and connections that break, are nothing to report.
  server.on('clientError', (_error, socket) => socket.destroy());
  server.on('tlsClientError', () => undefined);

  const portFile = join(directory, 'port');
  const port = await listen(server, host, options.port, rememberedPort(portFile));
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
  const kubeconfigPath = join(stateDir, 'kubeconfig');
  writePrivately(portFile, `${String(port)}\n`);
  writeIfChanged(kubeconfigPath, kubeconfigText(url, certificate.ca, token));
  let stopped: Promise<void> | undefined;
  let stopRenewing = renewLater();

  function renewLater(): () => void {
    return clock.after(RENEWAL_CHECK_MS, () => {
      renew()
        .catch((error: unknown) => log?.warn({ err: error }, 'the certificate of the API could not be renewed'))
        .finally(() => {
          if (stopped === undefined) stopRenewing = renewLater();
        });
    });
  }

  async function renew(): Promise<void> {
    const { key, certificate: cert, ca } = await keptCertificate(directory, hosts, clock.now());
    server.setSecureContext({ key, cert, minVersion: 'TLSv1.2' });
    writeIfChanged(kubeconfigPath, kubeconfigText(url, ca, token));
  }

  return {
    url,
    kubeconfigPath,
    stop() {
      stopped ??= new Promise((resolve) => {
        stopRenewing();
        handler.endWatches();
        const cancel = clock.after(STOP_MS, () => server.closeAllConnections());
        server.close(() => {
          cancel();
          resolve();
        });
        server.closeIdleConnections();
      });
      return stopped;
    },
  };
}

async function credentials(
  directory: string,
  hosts: readonly string[],
  clock: Clock,
): Promise<{ certificate: ServingCertificate; token: string }> {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const certificate = await keptCertificate(directory, hosts, clock.now());
    return { certificate, token: keptToken(join(directory, 'token')) };
  } catch (error) {
    throw new GridferryError(
      'GF_API_STATE',
      `The certificate and token of the API cannot be kept in ${directory} (${messageOf(error)}); check its owner, mode and disk.`,
      { cause: error },
    );
  }
}

function writeIfChanged(path: string, text: string): void {
  if (readIfThere(path) !== text) writePrivately(path, text);
}

function rememberedPort(path: string): number {
  const port = Number(readIfThere(path)?.trim());
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : 0;
}

/** A port that was asked for must be free; one that was only remembered may have been taken by somebody else. */
async function listen(server: Server, host: string, wanted: number | undefined, remembered: number): Promise<number> {
  const fixed = wanted !== undefined && wanted !== 0;
  try {
    return await listenOn(server, host, fixed ? wanted : remembered);
  } catch (error) {
    if (!fixed && remembered !== 0 && isTaken(error)) {
      return await listenOn(server, host, 0).catch((second: unknown) => {
        throw listenError(host, 0, second);
      });
    }
    throw listenError(host, fixed ? wanted : remembered, error);
  }
}

function listenOn(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 1024 }, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES');
}

function listenError(host: string, port: number, cause: unknown): GridferryError {
  return new GridferryError(
    'GF_API_LISTEN',
    `The Kubernetes API cannot be served on ${host}:${String(port)} (${messageOf(cause)}); choose another address or port, or end what listens there.`,
    { cause },
  );
}

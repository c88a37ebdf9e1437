import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { endpointOf, openStream } from './probe-result.ts';
import type { Dial, ProbeResult } from './probe-result.ts';
import { runProbe } from './run-probe.ts';
import type { ProbeLimits } from './run-probe.ts';

/** More of a body is not read: by then it is an answer. */
const MAX_BODY_BYTES = 10 * 1024;

export interface HttpProbeOptions extends ProbeLimits {
  /** Where to connect to, whatever DNS says of the host name. */
  readonly address: string;
  readonly port: number;
  /** With its query. Default `/`. */
  readonly path?: string;
  /** Default `http`. */
  readonly scheme?: 'http' | 'https';
  /** Default: the address and port. */
  readonly hostHeader?: string;
  /** The name asked for in TLS. Default: the host name of `hostHeader`. */
  readonly sni?: string;
  /** Lowest and highest status that counts as healthy. Default 200 to 399: a redirect is an answer, and is not followed. */
  readonly expectedStatus?: readonly [number, number];
  /** Whether an invalid certificate is a failure. Default false: it is noted, and the service counts as reachable. */
  readonly verifyCertificate?: boolean;
  readonly dial?: Dial;
}

/**
 * Sends one GET and looks at the status. The body has to end, or to exceed 10 KiB, before the deadline: a service that
 * hangs half-way is not healthy. Never rejects.
 */
export function probeHttp(options: HttpProbeOptions): Promise<ProbeResult> {
  const { address, port, path = '/', expectedStatus: [low, high] = [200, 399] } = options;
  const endpoint = endpointOf(address, port);
  return runProbe(options, endpoint, (end, fail) => {
    const notes: string[] = [];
    const stream = openStream(address, port, options.dial);
    stream.on('error', fail);
    // After `close`, an answer that is complete still has its `end` to come: that goes first.
    stream.on('close', () =>
      setImmediate(() => {
        if (!answered) end({ outcome: 'Closed', reason: 'connection closed without an answer', notes });
      }),
    );
    let answered = false;
    let channel: Duplex = stream;
    const cleanUp = (): void => {
      channel.destroy();
      stream.destroy();
    };
    try {
      if (options.scheme === 'https') channel = startTls(stream, options, notes, end, fail);
      const outgoing = request({
        method: 'GET',
        path,
        createConnection: () => channel,
        headers: {
          host: options.hostHeader ?? endpoint,
          'user-agent': 'gridferry-probe',
          accept: '*/*',
          connection: 'close',
        },
      });
      outgoing.on('error', fail);
      outgoing.on('response', (response: IncomingMessage) => {
        answered = true;
        const status = response.statusCode ?? 0;
        const judge = (): void => {
          const ok = status >= low && status <= high;
          end({ outcome: ok ? 'Healthy' : 'BadStatus', reason: `HTTP ${status}`, status, notes });
        };
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > MAX_BODY_BYTES) judge();
        });
        response.on('end', judge);
        response.on('error', () => {
          end({ outcome: 'Closed', reason: `HTTP ${status}, and then the connection closed half-way`, status, notes });
        });
      });
      outgoing.on('upgrade', (response: IncomingMessage) => {
        end({
          outcome: 'BadStatus',
          reason: 'HTTP 101 without being asked',
          status: response.statusCode ?? 101,
          notes,
        });
      });
      outgoing.end();
    } catch (error) {
      // What cannot be sent: a path or a host name with forbidden characters.
      fail(error);
    }
    return cleanUp;
  });
}

function startTls(
  stream: Duplex,
  options: HttpProbeOptions,
  notes: string[],
  end: (verdict: { outcome: 'Tls'; reason: string; notes: readonly string[] }) => void,
  fail: (error: unknown) => void,
): TLSSocket {
  const name = options.sni ?? hostNameOf(options.hostHeader ?? '');
  const tls = connectTls({
    socket: stream,
    // SNI carries names only (RFC 6066, 3).
    ...(name === '' || isIP(name) !== 0 ? { host: name === '' ? options.address : name } : { servername: name }),
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  });
  tls.on('error', fail);
  tls.on('secureConnect', () => {
    if (tls.authorized) return;
    const reason = `the certificate is not valid for ${name || options.address} (${String(tls.authorizationError)})`;
    if (options.verifyCertificate === true) end({ outcome: 'Tls', reason, notes });
    else notes.push(reason);
  });
  return tls;
}

/** `example.com` of `example.com:8443`, `2001:db8::1` of `[2001:db8::1]:8443`. */
function hostNameOf(hostHeader: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(hostHeader);
  return bracketed?.[1] ?? hostHeader.split(':')[0] ?? '';
}

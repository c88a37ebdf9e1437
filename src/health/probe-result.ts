import { connect, isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf } from '../errors.ts';
import { noLookup } from '../security/addresses.ts';

/** What came of looking once. */
export type ProbeOutcome =
  | 'Healthy'
  /** An answer came, with a status that is not expected. */
  | 'BadStatus'
  /** Nobody listens. */
  | 'Refused'
  | 'Unreachable'
  | 'Timeout'
  /** The connection was closed before the answer was complete. */
  | 'Closed'
  | 'Tls'
  /** What answered does not speak HTTP, or the request cannot be made. */
  | 'Protocol'
  | 'Aborted';

export interface ProbeResult {
  readonly ok: boolean;
  readonly outcome: ProbeOutcome;
  /** One line for people: "HTTP 503 from 10.0.0.7:8080". */
  readonly reason: string;
  /** From the start of the probe to its end. */
  readonly latencyMs: number;
  /** The HTTP status, where one came. */
  readonly status?: number;
  /** What is worth knowing but did not decide: an invalid certificate, for instance. */
  readonly notes: readonly string[];
}

/**
 * Opens the byte stream that is probed, in the place of a TCP connection from here: through SSH, for instance
 * (`() => host.openTcp('127.0.0.1', 8080)`). It may connect lazily; failure is its `error` event.
 */
export type Dial = () => Duplex;

export function openStream(address: string, port: number, dial: Dial | undefined): Duplex {
  return dial?.() ?? connect({ host: address, port, lookup: noLookup });
}

/** `10.0.0.7:8080`, `[2001:db8::7]:8080` */
export function endpointOf(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The outcome for an error of a socket, TLS or HTTP. */
export function outcomeOf(error: unknown): { readonly outcome: ProbeOutcome; readonly reason: string } {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  // What a `Host` says of the streams that it opens.
  if (code === 'GF_HOST_CONNECT_FAILED') return { outcome: 'Refused', reason: 'nothing answers there' };
  if (code === 'GF_SSH_CHANNEL_CLOSED') return { outcome: 'Closed', reason: 'connection closed without an answer' };
  if (code.startsWith('GF_SSH_')) return { outcome: 'Unreachable', reason: messageOf(error) };
  if (code === 'ECONNREFUSED') return { outcome: 'Refused', reason: 'connection refused' };
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return { outcome: 'Closed', reason: 'connection closed without an answer' };
  if (['EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN'].includes(code)) {
    return { outcome: 'Unreachable', reason: `cannot be reached (${code})` };
  }
  if (code === 'ETIMEDOUT') return { outcome: 'Timeout', reason: 'no answer (ETIMEDOUT)' };
  if (/^(ERR_SSL|ERR_TLS|EPROTO)/.test(code)) return { outcome: 'Tls', reason: `TLS failed (${code})` };
  if (code.startsWith('HPE_')) return { outcome: 'Protocol', reason: `the answer is not HTTP (${code})` };
  return { outcome: 'Protocol', reason: messageOf(error).replaceAll(/\s+/g, ' ').slice(0, 200) };
}

import type { IncomingMessage } from 'node:http';
import { ApiError } from '../api-error.ts';

/** What anybody on the machine may ask, as in a cluster: whether the server is well, and which it is. */
const OPEN_PATHS = new Set(['/healthz', '/livez', '/readyz', '/version']);

/**
 * Lets in who has the token, and nobody from a web page: a browser tells the origin of a page that asks, and a page that
 * had its own name point to this machine (DNS rebinding) still sends that name as `Host`.
 *
 * @param hosts the names and addresses that the server is called by
 * @returns a check that throws ApiError `Forbidden`, `Unauthorized`
 */
export function createGuard(
  hosts: readonly string[],
  hasToken: (authorization: string | undefined) => boolean,
): (request: IncomingMessage, path: string) => void {
  const served = new Set(hosts.map((host) => host.toLowerCase()));
  return ({ headers }, path) => {
    if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined) {
      throw new ApiError('Forbidden', 'requests from web pages are refused: this API is for kubectl and gridferry');
    }
    if (!served.has(hostOf(headers.host ?? ''))) {
      const shown = JSON.stringify((headers.host ?? '').slice(0, 100));
      throw new ApiError('Forbidden', `this API is not served under the name ${shown}; call it ${hosts.join(', ')}`);
    }
    if (OPEN_PATHS.has(path) && headers.authorization === undefined) return;
    if (!hasToken(headers.authorization)) throw new ApiError('Unauthorized', 'Unauthorized');
  };
}

/** The name without its port, and an IPv6 address without its brackets. */
function hostOf(header: string): string {
  const host = header.toLowerCase();
  if (host.startsWith('[')) return host.slice(1, Math.max(host.indexOf(']'), 1));
  const colon = host.indexOf(':');
  return colon === -1 ? host : host.slice(0, colon);
}

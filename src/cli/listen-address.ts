import { usageError } from './cli-error.ts';

/**
 * Reads `host:port`, `[::1]:port` or `:port`; the host defaults to 127.0.0.1.
 *
 * @throws GridferryError `GF_CLI_USAGE`
 */
export function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw usageError(`--listen takes host:port, such as 127.0.0.1:9090, and not "${text}".`);
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '127.0.0.1' : host, port };
}

/**
 * Reads the port of `--api-port`.
 *
 * @throws GridferryError `GF_CLI_USAGE`
 */
export function parseApiPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (!(port >= 1 && port <= 65_535)) throw usageError(`--api-port takes a number from 1 to 65535, and not "${text}".`);
  return port;
}

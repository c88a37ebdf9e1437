import { BlockList, isIP } from 'node:net';
import { GridferryError } from '../../errors.ts';

/**
 * The proxy before the API server: the kubeconfig's `proxy-url`, else `HTTPS_PROXY` / `HTTP_PROXY` unless `NO_PROXY`
 * exempts the host (as Go's `httpproxy`, which kubectl uses: this machine is always exempt).
 *
 * @throws GridferryError `GF_KUBECONFIG_INVALID`.
 */
export function proxyFor(
  server: URL,
  configured: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): URL | undefined {
  if (configured !== undefined && configured !== '') return proxyUrl(configured, 'proxy-url');
  const name = server.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = env[name] ?? env[name.toLowerCase()];
  if (value === undefined || value === '' || isExempt(server, env['NO_PROXY'] ?? env['no_proxy'] ?? '')) {
    return undefined;
  }
  return proxyUrl(value.includes('://') ? value : `http://${value}`, name);
}

function proxyUrl(value: string, from: string): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url !== undefined && ['http:', 'https:', 'socks5:', 'socks5h:'].includes(url.protocol)) return url;
  throw new GridferryError(
    'GF_KUBECONFIG_INVALID',
    `The proxy ${JSON.stringify(value)} (${from}) cannot be used: it has to be an http, https or socks5 URL.`,
  );
}

function isExempt(server: URL, exemptions: string): boolean {
  const host = server.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))) return true;
  return exemptions
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry === '*' || (entry !== '' && covers(entry, host, server.port)));
}

function covers(entry: string, host: string, port: string): boolean {
  const slash = entry.lastIndexOf('/');
  if (slash !== -1) return inSubnet(entry.slice(0, slash), Number(entry.slice(slash + 1)), host);
  const [, name = entry, only] = /^(.*?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? '' : entry) ?? [];
  if (only !== undefined && only !== port) return false;
  const domain = name.replace(/^\*?\./, '');
  // ".example.com" means the names below it, "example.com" those and itself.
  return host.endsWith(`.${domain}`) || (host === domain && domain === name) || host === entry;
}

function inSubnet(address: string, prefix: number, host: string): boolean {
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family) return false;
  const list = new BlockList();
  list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  return list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

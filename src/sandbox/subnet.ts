import { GridferryError } from '../errors.ts';

/** An IPv4 subnet in CIDR notation, with the arithmetic a fleet needs. */
export interface Subnet {
  readonly cidr: string;
  readonly network: number;
  readonly prefix: number;
}

/** Reads `10.99.0.0/24`. Prefixes 8 to 27 leave room for the bridge (.1) and the servers (.11 and up). */
export function parseSubnet(cidr: string): Subnet {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
  const numbers = match?.slice(1).map(Number) ?? [];
  const [a = 256, b = 256, c = 256, d = 256, prefix = 33] = numbers;
  const address = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  if (Math.max(a, b, c, d) > 255 || prefix < 8 || prefix > 27 || maskTo(address, prefix) !== address) {
    throw new GridferryError(
      'GF_SANDBOX_SUBNET_INVALID',
      `'${cidr}' is no subnet for a sandbox; give the network address with a prefix from /8 to /27, such as 10.99.0.0/24.`,
    );
  }
  return { cidr, network: address, prefix };
}

/** The address at this position in the subnet: 1 is the bridge, 11 the first server. */
export function addressAt(subnet: Subnet, position: number): string {
  const address = subnet.network + position;
  if (position < 1 || position >= 2 ** (32 - subnet.prefix) - 1) {
    throw new GridferryError(
      'GF_SANDBOX_SUBNET_INVALID',
      `${subnet.cidr} has no room for so many servers; use a larger one.`,
    );
  }
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

export function subnetsOverlap(a: Subnet, b: Subnet): boolean {
  const prefix = Math.min(a.prefix, b.prefix);
  return maskTo(a.network, prefix) === maskTo(b.network, prefix);
}

/** The subnet that an interface's own CIDR (`10.0.0.7/24`) lies in; undefined for what is not IPv4. */
export function subnetOfInterface(cidr: string): Subnet | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  if (!match) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, prefix = 32] = match.slice(1).map(Number);
  return { cidr, network: maskTo(((a << 24) | (b << 16) | (c << 8) | d) >>> 0, prefix), prefix };
}

function maskTo(address: number, prefix: number): number {
  return prefix === 0 ? 0 : (address & (0xffff_ffff << (32 - prefix))) >>> 0;
}

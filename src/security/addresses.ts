import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { GridferryError, messageOf } from '../errors.ts';

export interface AddressRules {
  /** RFC 1918, carrier-grade NAT and IPv6 unique local addresses: only for a registered ManagedServer. */
  readonly allowPrivate: boolean;
}

/** All addresses of a name, in order of preference. */
export type Resolve = (host: string) => Promise<readonly string[]>;

const systemResolve: Resolve = async (host) => (await lookup(host, { all: true })).map((entry) => entry.address);

/** What the ranges of ipaddr.js are called in a message; a range that is missing here goes by its own name. */
const NAMES: Readonly<Record<string, string>> = {
  loopback: 'a loopback address',
  linkLocal: 'a link-local address',
  multicast: 'a multicast address',
  unspecified: 'an unspecified address',
  broadcast: 'the broadcast address',
  private: 'a private address',
  carrierGradeNat: 'a carrier-grade NAT address',
  uniqueLocal: 'a unique local address',
  '6to4': 'a 6to4 address',
  teredo: 'a Teredo address',
};

/** 64:ff9b::/96 */
const NAT64 = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

/**
 * Resolves a host and says which address to connect to. Connect to exactly the address returned: asking DNS again would
 * let the name's owner answer differently the second time.
 *
 * With several addresses the first that is allowed wins.
 *
 * @throws `GF_ADDRESS_UNRESOLVED` when the name has no address, `GF_ADDRESS_FORBIDDEN` when it has no allowed one.
 */
export async function checkAddress(
  host: string,
  rules: AddressRules,
  resolve: Resolve = systemResolve,
): Promise<string> {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  // "127.1", "0x7f000001" and "010.0.0.1" are addresses to some resolvers and names to others.
  if (isIP(bare) === 0 && ipaddr.isValid(bare)) {
    throw forbidden(host, host, 'written in a form that programs read differently');
  }
  const addresses = isIP(bare) === 0 ? await resolveName(bare, resolve) : [bare];
  let refusal: GridferryError | undefined;
  for (const address of addresses) {
    const verdict = judge(address, rules);
    if (verdict.allowed) return verdict.address;
    refusal ??= forbidden(host, address, verdict.why);
  }
  throw refusal ?? unresolved(host);
}

/**
 * For programs that connect by name (`connect({ host, port, lookup })`): the name is resolved and judged in the moment of
 * each connection, and the connection goes to the very address that was judged. A literal address is not looked up: check
 * it with `checkAddress`.
 */
export function checkedLookup(rules: AddressRules, resolve: Resolve = systemResolve): LookupFunction {
  return (host, options, callback) => {
    checkAddress(host, rules, resolve).then(
      (address) => {
        const family = isIP(address);
        if (options.all === true) callback(null, [{ address, family }]);
        else callback(null, address, family);
      },
      (error: unknown) => callback(error as NodeJS.ErrnoException, []),
    );
  };
}

/** For connections to what `checkAddress` answered: a name has no place there, and is not resolved again. */
export const noLookup: LookupFunction = (host, _options, callback) => {
  const error = new Error(`'${host}' is a name, and only addresses that were checked are connected to`);
  callback(Object.assign(error, { code: 'ENOTFOUND' }), []);
};

async function resolveName(host: string, resolve: Resolve): Promise<readonly string[]> {
  try {
    return await resolve(host);
  } catch (error) {
    throw unresolved(host, error);
  }
}

type Verdict = { readonly allowed: true; readonly address: string } | { readonly allowed: false; readonly why: string };

function judge(text: string, rules: AddressRules): Verdict {
  if (isIP(text) === 0) return { allowed: false, why: 'not an IP address' };
  const address = ipaddr.parse(text);
  if (address instanceof ipaddr.IPv6) {
    // ::ffff:10.0.0.1 reaches 10.0.0.1: the rules are those of the address inside.
    if (address.isIPv4MappedAddress()) return judge(address.toIPv4Address().toString(), rules);
    const bytes = address.toByteArray();
    // RFC 6052: an address behind a NAT64 gateway, which may sit next to what the rules protect.
    if (startsWith(bytes, NAT64)) {
      const inside = judge(bytes.slice(12).join('.'), { allowPrivate: false });
      return inside.allowed ? { allowed: true, address: text } : inside;
    }
    // Only 2000::/3 is given out as global unicast (IANA); "unicast" is also what ipaddr.js calls ::7f00:1.
    if (address.range() === 'unicast' && ((bytes[0] ?? 0) & 0xe0) !== 0x20) {
      return { allowed: false, why: 'a reserved address' };
    }
  }
  const range = address.range();
  const isPrivate = range === 'private' || range === 'carrierGradeNat' || range === 'uniqueLocal';
  const allowed = range === 'unicast' || (isPrivate && rules.allowPrivate);
  return allowed
    ? { allowed: true, address: text }
    : { allowed: false, why: NAMES[range] ?? `a reserved address (${range})` };
}

function startsWith(bytes: readonly number[], prefix: readonly number[]): boolean {
  return prefix.every((byte, index) => bytes[index] === byte);
}

function forbidden(host: string, address: string, why: string): GridferryError {
  const what = host === address ? `'${host}'` : `'${host}' resolves to ${address}, which`;
  return new GridferryError(
    'GF_ADDRESS_FORBIDDEN',
    `${what} is ${why}: Gridferry does not connect there. Use an address that the server is reached by from outside.`,
    { details: { host, address, why } },
  );
}

function unresolved(host: string, cause?: unknown): GridferryError {
  return new GridferryError(
    'GF_ADDRESS_UNRESOLVED',
    `'${host}' has no address${cause === undefined ? '' : ` (${messageOf(cause)})`}: correct the name, or its DNS record.`,
    { class: 'retryable', cause, details: { host } },
  );
}

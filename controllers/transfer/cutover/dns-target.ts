import { readRecords } from '../../../src/dns/cutover.ts';
import type { CutoverInput } from '../../../src/dns/cutover.ts';
import type { DnsProvider, DnsZone } from '../../../src/dns/provider.ts';
import type { ManagedServer } from '../../../src/api/resources.ts';
import { GridferryError } from '../../../src/errors.ts';
import { checkAddress } from '../../../src/security/addresses.ts';
import { subjectOf } from '../context.ts';
import type { TransferContext } from '../context.ts';

/** Why DNS is left alone, for a condition: what to do by hand. */
export interface NoDns {
  readonly skip: true;
  readonly reason: 'Skipped' | 'NoPlatformConfig' | 'NoProvider' | 'NoRecord';
  readonly message: string;
}

export interface DnsTarget {
  readonly skip: false;
  readonly name: string;
  readonly provider: DnsProvider;
  readonly zone: DnsZone;
  /** The question of `planCutover`, with the records as they are now. */
  readonly input: CutoverInput;
}

const CUTOVER_TTL_SECONDS = 60;

/** The TTL that records get for the time of the move, in seconds. */
export const cutoverTtl = CUTOVER_TTL_SECONDS;

/** The public name of what is moved, with its domain; undefined when nothing says one. */
export function publicNameOf(context: Pick<TransferContext, 'transfer' | 'service' | 'platform'>): {
  readonly name: string | undefined;
  readonly explicit: boolean;
} {
  const chosen = context.transfer.spec.dns?.name ?? context.service?.spec.publicName;
  const name = (chosen ?? subjectOf(context.transfer)).replace(/\.$/, '');
  const explicit = chosen !== undefined;
  if (name.includes('.')) return { name, explicit };
  const domain = context.platform?.spec.domain;
  return { name: domain === undefined ? undefined : `${name}.${domain}`, explicit };
}

/** The address that clients reach a server at. */
export async function publicAddressOf(server: Readonly<ManagedServer>): Promise<string> {
  const address = server.spec.publicAddress ?? server.spec.address;
  if (address === undefined) {
    throw new GridferryError(
      'GF_SERVER_NO_PUBLIC_ADDRESS',
      `ManagedServer ${server.metadata.name} has no address that DNS could point to: set spec.publicAddress`,
    );
  }
  return checkAddress(address, { allowPrivate: true });
}

/**
 * What is to be done about DNS, with the records as they are now.
 *
 * @throws GridferryError `GF_DNS_*`, `GF_SECRET_NOT_FOUND`, `GF_SERVER_NO_PUBLIC_ADDRESS`
 */
export async function dnsTargetOf(context: TransferContext): Promise<DnsTarget | NoDns> {
  const { transfer, platform } = context;
  const { name, explicit } = publicNameOf(context);
  const byHand = `point ${name ?? 'its DNS name'} to server ${transfer.spec.targetServerRef.name} by hand`;
  if (transfer.spec.dns?.skip === true) return none('Skipped', `spec.dns.skip is set: ${byHand}`);
  if (platform === undefined) return none('NoPlatformConfig', `there is no PlatformConfig "default": ${byHand}`);
  if (platform.spec.cloudflare === undefined) {
    return none('NoProvider', `PlatformConfig names no DNS provider: ${byHand}`);
  }
  if (name === undefined) return none('NoRecord', `no public name is known: ${byHand}`);
  const { provider, read } = await providerOf(context, name, platform.spec.cloudflare);
  const { zone, records } = await read();
  const own = records.filter((record) => record.name === name.toLowerCase() && ['A', 'AAAA'].includes(record.type));
  if (!explicit && own.length === 0) {
    return none('NoRecord', `${name} has no address record, and no public name is set: nothing to cut over`);
  }
  const [oldAddress, newAddress] = await Promise.all([
    publicAddressOf(context.sourceServer),
    publicAddressOf(context.targetServer),
  ]);
  return {
    skip: false,
    name,
    provider,
    zone,
    input: {
      records,
      name,
      type: newAddress.includes(':') ? 'AAAA' : 'A',
      newAddress,
      oldAddresses: [oldAddress],
      ttl: CUTOVER_TTL_SECONDS,
      force: transfer.spec.dns?.adopt === true,
      comment: `moved by Gridferry, transfer ${transfer.metadata.name}`,
    },
  };
}

async function providerOf(
  context: TransferContext,
  name: string,
  cloudflare: { readonly apiTokenRef: { readonly name: string; readonly key: string }; readonly apiBaseURL: string },
): Promise<{ provider: DnsProvider; read: () => ReturnType<typeof readRecords> }> {
  const { secrets, redactor } = context.dependencies;
  const namespace = context.transfer.metadata.namespace ?? 'default';
  const secret = await secrets.read({ namespace, name: cloudflare.apiTokenRef.name });
  const token = secret.get(cloudflare.apiTokenRef.key)?.toString('utf8').trim();
  if (token === undefined || token === '') {
    throw new GridferryError(
      'GF_CREDENTIALS_EMPTY',
      `Secret ${namespace}/${cloudflare.apiTokenRef.name} has no key "${cloudflare.apiTokenRef.key}" with the API token: add it`,
    );
  }
  redactor.add(token);
  const provider = context.dependencies.dns.cloudflare(token, cloudflare.apiBaseURL);
  return { provider, read: () => readRecords(provider, name, { signal: context.signal }) };
}

function none(reason: NoDns['reason'], message: string): NoDns {
  return { skip: true, reason, message };
}

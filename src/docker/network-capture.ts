import { dockerCall } from './api.ts';
import { canonical, without } from './compact.ts';
import { BUILTIN_NETWORKS } from './container-capture.ts';
import type { Engine } from './engine.ts';
import type { EngineFacts } from './engine-facts.ts';

/** What makes an equal network elsewhere. */
export interface NetworkCapture {
  readonly id: string;
  readonly name: string;
  /** `bridge`, `host` and `none` exist everywhere. */
  readonly builtin: boolean;
  readonly driver: string;
  readonly scope: string;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ipam: {
    readonly driver: string;
    readonly options: Readonly<Record<string, string>>;
    /** Docker writes what it chose itself in the same place as what the user chose: the two cannot be told apart. */
    readonly pools: readonly IpamPool[];
  };
}

export interface IpamPool {
  readonly subnet: string;
  readonly gateway?: string;
  readonly range?: string;
  readonly auxiliary?: Readonly<Record<string, string>>;
}

export interface RawNetwork {
  readonly Id: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Scope: string;
  readonly Internal: boolean;
  readonly Attachable: boolean;
  readonly EnableIPv4?: boolean;
  readonly EnableIPv6: boolean;
  readonly Options?: Readonly<Record<string, string>> | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly Containers?: Readonly<Record<string, unknown>> | null;
  readonly IPAM: {
    readonly Driver?: string;
    readonly Options?: Readonly<Record<string, string>> | null;
    readonly Config?: readonly RawPool[] | null;
  };
}

interface RawPool {
  readonly Subnet?: string;
  readonly Gateway?: string;
  readonly IPRange?: string;
  readonly AuxiliaryAddresses?: Readonly<Record<string, string>> | null;
}

/** Reads a network by name or id. Throws `GF_DOCKER_NOT_FOUND`. */
export async function captureNetwork(engine: Engine, nameOrId: string, signal?: AbortSignal): Promise<NetworkCapture> {
  return toNetworkCapture(await inspectNetwork(engine, nameOrId, signal));
}

export function inspectNetwork(engine: Engine, nameOrId: string, signal?: AbortSignal): Promise<RawNetwork> {
  return dockerCall<RawNetwork>(engine, {
    method: 'GET',
    path: ['networks', nameOrId],
    doing: `describe network ${nameOrId}`,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Newer clients write these two switches into the options as well. */
const SWITCHES: readonly string[] = ['com.docker.network.enable_ipv4', 'com.docker.network.enable_ipv6'];

export function toNetworkCapture(raw: RawNetwork): NetworkCapture {
  const options = Object.entries(raw.Options ?? {}).filter(([key]) => !SWITCHES.includes(key));
  return {
    id: raw.Id,
    name: raw.Name,
    builtin: BUILTIN_NETWORKS.includes(raw.Name),
    driver: raw.Driver,
    scope: raw.Scope,
    internal: raw.Internal,
    attachable: raw.Attachable,
    ipv4: raw.EnableIPv4 ?? true,
    ipv6: raw.EnableIPv6,
    options: Object.fromEntries(options),
    labels: raw.Labels ?? {},
    ipam: {
      driver: raw.IPAM.Driver ?? 'default',
      options: raw.IPAM.Options ?? {},
      pools: (raw.IPAM.Config ?? []).flatMap(toPool),
    },
  };
}

function toPool(raw: RawPool): IpamPool[] {
  if (raw.Subnet === undefined || raw.Subnet === '') return [];
  const auxiliary = raw.AuxiliaryAddresses ?? {};
  return [
    {
      subnet: raw.Subnet,
      // Some versions write the chosen gateway with its prefix length.
      ...(raw.Gateway === undefined || raw.Gateway === '' ? {} : { gateway: raw.Gateway.split('/')[0] ?? raw.Gateway }),
      ...(raw.IPRange === undefined || raw.IPRange === '' ? {} : { range: raw.IPRange }),
      ...(Object.keys(auxiliary).length === 0 ? {} : { auxiliary }),
    },
  ];
}

/** The fields in which two networks differ, without ids. `ignoreLabels` names marks. */
export function diffNetworkCaptures(
  a: NetworkCapture,
  b: NetworkCapture,
  ignoreLabels: readonly string[] = [],
): string[] {
  const fields = (capture: NetworkCapture): Record<string, unknown> => ({
    ...without({ ...capture }, ['id']),
    labels: withoutLabels(capture.labels, ignoreLabels),
  });
  const [left, right] = [fields(a), fields(b)];
  return Object.keys(left).filter((key) => canonical(left[key]) !== canonical(right[key]));
}

export function withoutLabels(
  labels: Readonly<Record<string, string>>,
  ignored: readonly string[],
): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !ignored.includes(key)));
}

/** Why this network cannot be made by that engine: empty when it can. */
export function networkUnsupportedBy(network: NetworkCapture, facts: EngineFacts): string[] {
  if (network.builtin) return [];
  const says: string[] = [];
  if (network.scope === 'swarm') says.push(`network ${network.name} belongs to a swarm`);
  else if (!facts.networkDrivers.includes(network.driver))
    says.push(`the network driver ${network.driver} is not installed`);
  if (network.options['parent'] !== undefined) {
    says.push(`network ${network.name} sits on the interface ${network.options['parent']}, which must exist there too`);
  }
  return says;
}

/** Body of `POST /networks/create`. */
export function networkBody(
  network: NetworkCapture,
  labels: Readonly<Record<string, string>>,
  keepSubnets: boolean,
): Record<string, unknown> {
  return {
    Name: network.name,
    // Up to API 1.43 two networks may have one name unless this is asked for.
    CheckDuplicate: true,
    Driver: network.driver,
    Internal: network.internal,
    Attachable: network.attachable,
    EnableIPv6: network.ipv6,
    ...(network.ipv4 ? {} : { EnableIPv4: false }),
    Options: network.options,
    Labels: { ...network.labels, ...labels },
    IPAM: {
      Driver: network.ipam.driver,
      Options: network.ipam.options,
      ...(keepSubnets ? { Config: network.ipam.pools.map(poolBody) } : {}),
    },
  };
}

function poolBody(pool: IpamPool): RawPool {
  return {
    Subnet: pool.subnet,
    ...(pool.gateway === undefined ? {} : { Gateway: pool.gateway }),
    ...(pool.range === undefined ? {} : { IPRange: pool.range }),
    ...(pool.auxiliary === undefined ? {} : { AuxiliaryAddresses: pool.auxiliary }),
  };
}

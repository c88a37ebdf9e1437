import type { ContainerCapture, NetworkAttachment } from './container-capture.ts';
import type { RawMount } from './container-types.ts';
import { atLeast } from './engine.ts';
import type { EngineFacts, MissingLimit } from './engine-facts.ts';
import { mountFields } from './mounts.ts';

/** A request body for `POST /containers/create`, and the networks that this API version wants attached afterwards. */
export interface CreateRequest {
  readonly body: Readonly<Record<string, unknown>>;
  readonly connectAfter: readonly NetworkAttachment[];
}

export interface CreateOverrides {
  /** What to create it from; default the captured reference. */
  readonly image?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Before this version a create takes one network, and the MAC address is a field of the container. */
const MANY_ENDPOINTS = '1.44';

/**
 * Turns a capture into what makes an equal container on an engine of `apiVersion`.
 * Source of the version rules: Docker's "Engine API version history".
 */
export function createRequest(
  capture: ContainerCapture,
  apiVersion: string,
  overrides: CreateOverrides = {},
): CreateRequest {
  const many = atLeast(apiVersion, MANY_ENDPOINTS);
  const [primary] = capture.networks;
  const attachNow = many ? capture.networks : capture.networks.slice(0, 1);
  const connectAfter = many ? [] : capture.networks.slice(1);
  const mounts = mountFields(capture.mounts);
  const body: Record<string, unknown> = {
    ...capture.config,
    Env: capture.env,
    Image: overrides.image ?? capture.image.reference,
    // Absent, the image's entrypoint would come back; [""] is how the API says "none".
    Entrypoint: capture.config['Entrypoint'] ?? [''],
    Labels: { ...(capture.config['Labels'] as Record<string, string> | undefined), ...overrides.labels },
    HostConfig: {
      ...capture.hostConfig,
      ...mounts,
      RestartPolicy: {
        Name: capture.restartPolicy.name,
        MaximumRetryCount: capture.restartPolicy.maximumRetryCount,
      },
      NetworkMode: capture.networkMode,
    },
    ...(!many && primary?.mac !== undefined ? { MacAddress: primary.mac } : {}),
    ...(isNamespaceOfItsOwn(capture.networkMode)
      ? {
          NetworkingConfig: {
            EndpointsConfig: Object.fromEntries(attachNow.map((one) => [one.network, endpoint(one, apiVersion)])),
          },
        }
      : {}),
  };
  return { body, connectAfter };
}

/** `host`, `none` and a shared namespace take no endpoint settings. */
function isNamespaceOfItsOwn(networkMode: string): boolean {
  return networkMode !== 'host' && networkMode !== 'none' && !networkMode.startsWith('container:');
}

/** `EndpointSettings`, for a create as for `POST /networks/x/connect`. */
export function endpoint(attachment: NetworkAttachment, apiVersion: string): Record<string, unknown> {
  const { ipv4, ipv6, linkLocal } = attachment;
  const ipam = {
    ...(ipv4 === undefined ? {} : { IPv4Address: ipv4 }),
    ...(ipv6 === undefined ? {} : { IPv6Address: ipv6 }),
    ...(linkLocal === undefined ? {} : { LinkLocalIPs: linkLocal }),
  };
  return {
    ...(Object.keys(ipam).length === 0 ? {} : { IPAMConfig: ipam }),
    ...(attachment.aliases.length === 0 ? {} : { Aliases: attachment.aliases }),
    ...(attachment.links.length === 0 ? {} : { Links: attachment.links }),
    ...(attachment.driverOpts === undefined ? {} : { DriverOpts: attachment.driverOpts }),
    ...(attachment.mac !== undefined && atLeast(apiVersion, MANY_ENDPOINTS) ? { MacAddress: attachment.mac } : {}),
    ...(attachment.gatewayPriority === undefined ? {} : { GwPriority: attachment.gatewayPriority }),
  };
}

/** A field that the create call knows only from, or only before, an API version. */
interface VersionRule {
  readonly field: string;
  readonly since?: string;
  readonly until?: string;
  readonly used: (capture: ContainerCapture) => boolean;
}

const bindOption =
  (option: string) =>
  (capture: ContainerCapture): boolean =>
    capture.mounts.some((mount) => mount.kind === 'bind' && mount.bindOptions?.[option] !== undefined);

const VERSION_RULES: readonly VersionRule[] = [
  { field: 'HostConfig.Annotations', since: '1.43', used: (capture) => 'Annotations' in capture.hostConfig },
  { field: 'HostConfig.KernelMemory', until: '1.42', used: (capture) => 'KernelMemory' in capture.hostConfig },
  { field: 'HostConfig.KernelMemoryTCP', until: '1.42', used: (capture) => 'KernelMemoryTCP' in capture.hostConfig },
  {
    field: 'Healthcheck.StartInterval',
    since: '1.44',
    used: (capture) =>
      Boolean((capture.config['Healthcheck'] as { StartInterval?: number } | undefined)?.StartInterval),
  },
  { field: 'BindOptions.CreateMountpoint', since: '1.42', used: bindOption('CreateMountpoint') },
  { field: 'BindOptions.ReadOnlyNonRecursive', since: '1.44', used: bindOption('ReadOnlyNonRecursive') },
  { field: 'BindOptions.ReadOnlyForceRecursive', since: '1.44', used: bindOption('ReadOnlyForceRecursive') },
  {
    field: 'VolumeOptions.Subpath',
    since: '1.45',
    used: (capture) =>
      capture.mounts.some((mount) => mount.kind === 'volume' && mount.volumeOptions?.['Subpath'] !== undefined),
  },
  {
    field: 'TmpfsOptions.Options',
    since: '1.46',
    used: (capture) =>
      capture.mounts.some((mount) => mount.kind === 'tmpfs' && mount.tmpfsOptions?.['Options'] !== undefined),
  },
  {
    field: 'Mounts of type image',
    since: '1.48',
    used: (capture) => otherMounts(capture).some((raw) => raw.Type === 'image'),
  },
  {
    field: 'NetworkingConfig.GwPriority',
    since: '1.48',
    used: (capture) => capture.networks.some((network) => network.gatewayPriority !== undefined),
  },
  {
    field: 'MacAddress on a second network',
    since: '1.44',
    used: (capture) => capture.networks.slice(1).some((network) => network.mac !== undefined),
  },
];

const LIMIT_FIELDS: Readonly<Record<MissingLimit, readonly string[]>> = {
  memory: ['Memory', 'MemoryReservation'],
  swap: ['MemorySwap', 'MemorySwappiness'],
  cpuShares: ['CpuShares'],
  cpuQuota: ['NanoCpus', 'CpuQuota', 'CpuPeriod'],
  cpuset: ['CpusetCpus', 'CpusetMems'],
  pids: ['PidsLimit'],
  oomKillDisable: ['OomKillDisable'],
};

/** What this engine cannot do for the container: one sentence each, empty when it can do everything. */
export function unsupportedBy(capture: ContainerCapture, facts: EngineFacts): string[] {
  const says: string[] = [];
  for (const rule of VERSION_RULES) {
    if (!rule.used(capture)) continue;
    if (rule.since !== undefined && !atLeast(facts.apiVersion, rule.since)) {
      says.push(`${rule.field} needs API ${rule.since}, this engine has ${facts.apiVersion}`);
    }
    if (rule.until !== undefined && atLeast(facts.apiVersion, rule.until)) {
      says.push(`${rule.field} is ignored from API ${rule.until} on`);
    }
  }
  for (const limit of facts.missingLimits) {
    for (const field of LIMIT_FIELDS[limit]) {
      if (field in capture.hostConfig) says.push(`HostConfig.${field} cannot be enforced by this engine's kernel`);
    }
  }
  if (facts.cgroupVersion === 2) {
    for (const field of ['MemorySwappiness', 'OomKillDisable', 'CpuRealtimePeriod', 'CpuRealtimeRuntime']) {
      if (field in capture.hostConfig) says.push(`HostConfig.${field} does not exist with cgroup v2`);
    }
  }
  says.push(...unsupportedPlugins(capture, facts));
  const [os, arch] = capture.platform.split('/');
  if (os !== facts.os) says.push(`the container is for ${os ?? ''}, this engine for ${facts.os}`);
  if (arch !== facts.arch) says.push(`the container ran on ${arch ?? ''}, this engine is ${facts.arch}`);
  return [...new Set(says)];
}

function unsupportedPlugins(capture: ContainerCapture, facts: EngineFacts): string[] {
  const says: string[] = [];
  const runtime = capture.hostConfig['Runtime'];
  if (typeof runtime === 'string' && !facts.runtimes.includes(runtime))
    says.push(`the runtime ${runtime} is not installed`);
  const log = capture.hostConfig['LogConfig'] as { Type?: string } | undefined;
  if (log?.Type !== undefined && log.Type !== '' && log.Type !== 'none' && !facts.logDrivers.includes(log.Type)) {
    says.push(`the log driver ${log.Type} is not installed`);
  }
  for (const mount of capture.mounts) {
    if (mount.kind === 'volume' && !facts.volumeDrivers.includes(mount.driver)) {
      says.push(`the volume driver ${mount.driver} is not installed`);
    }
  }
  for (const option of (capture.hostConfig['SecurityOpt'] ?? []) as readonly string[]) {
    const profile = /^apparmor[=:](?<name>.+)$/.exec(option)?.groups?.['name'];
    if (profile !== undefined && profile !== 'unconfined' && !facts.securityOptions.includes('apparmor')) {
      says.push(`the AppArmor profile ${profile} cannot be applied: this engine has no AppArmor`);
    }
  }
  if (facts.rootless && capture.hostConfig['Privileged'] === true)
    says.push('a rootless engine has no privileged containers');
  return says;
}

/** Whether stopping the container deletes it and its anonymous volumes (`--rm`): then there is no way back. */
export function isRemovedOnStop(capture: ContainerCapture): boolean {
  return capture.hostConfig['AutoRemove'] === true;
}

/** Whether a swarm would start the container again elsewhere. */
export function belongsToSwarm(capture: ContainerCapture): boolean {
  const labels = (capture.config['Labels'] ?? {}) as Readonly<Record<string, string>>;
  return 'com.docker.swarm.service.id' in labels || 'com.docker.swarm.service.name' in labels;
}

function otherMounts(capture: ContainerCapture): RawMount[] {
  return capture.mounts.flatMap((mount) => (mount.kind === 'other' ? [mount.raw] : []));
}

import { dockerCall } from './api.ts';
import { compact, without } from './compact.ts';
import type { RawContainer, RawEndpoint, RestartPolicy } from './container-types.ts';
import type { Engine } from './engine.ts';
import { atLeast } from './engine.ts';
import type { EngineFacts } from './engine-facts.ts';
import { orUndefined } from './engine-error.ts';
import { captureMounts } from './mounts.ts';
import type { MountCapture } from './mounts.ts';

/**
 * Everything that is needed to make an equal container elsewhere. It is plain JSON, and it holds the container's
 * environment: store it like a secret.
 */
export interface ContainerCapture {
  readonly id: string;
  readonly name: string;
  readonly image: { readonly id: string; readonly reference: string; readonly store: string };
  /** `linux/amd64`; the architecture is the engine's, since a container does not tell its own. */
  readonly platform: string;
  /** Whether it ran when it was looked at. This and `state` are not part of what has to be equal. */
  readonly running: boolean;
  readonly state: { readonly status: string; readonly paused: boolean; readonly exitCode: number };
  /** `NAME=value`, the image's own among them. */
  readonly env: readonly string[];
  /** The rest of `Config` as the create call takes it: what the image gives is merged in, exactly as Docker itself keeps it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `HostConfig` as the create call takes it, without mounts, links and modes that name another container by id. */
  readonly hostConfig: Readonly<Record<string, unknown>>;
  readonly restartPolicy: RestartPolicyCapture;
  readonly mounts: readonly MountCapture[];
  /** The primary one (`NetworkMode`) first. */
  readonly networks: readonly NetworkAttachment[];
  readonly networkMode: string;
  /** Names of containers that must exist (and for shared namespaces run) before this one. */
  readonly needs: readonly ContainerNeed[];
}

export interface RestartPolicyCapture {
  /** `no`, `always`, `unless-stopped` or `on-failure`. */
  readonly name: string;
  readonly maximumRetryCount: number;
}

export interface NetworkAttachment {
  readonly network: string;
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly linkLocal?: readonly string[];
  readonly mac?: string;
  readonly driverOpts?: Readonly<Record<string, string>>;
  readonly gatewayPriority?: number;
}

export interface ContainerNeed {
  readonly container: string;
  readonly why: 'network' | 'pid' | 'ipc' | 'link' | 'volumesFrom';
}

/** Networks that every engine has: they are never created. */
export const BUILTIN_NETWORKS: readonly string[] = ['bridge', 'host', 'none', 'default'];

/** Reads a container's full configuration. Throws `GF_DOCKER_NOT_FOUND`. */
export async function captureContainer(
  engine: Engine,
  idOrName: string,
  signal?: AbortSignal,
): Promise<ContainerCapture> {
  const raw = await inspectContainer(engine, idOrName, signal);
  const names = new Map<string, string>();
  for (const id of referencedIds(raw)) {
    // It may be gone for good; then the id stays, and whoever needs the container sees that it is missing.
    const other = await orUndefined(inspectContainer(engine, id, signal));
    if (other !== undefined) names.set(id, containerName(other));
  }
  return toCapture(raw, engine.info, (id) => names.get(id) ?? id);
}

export function inspectContainer(engine: Engine, idOrName: string, signal?: AbortSignal): Promise<RawContainer> {
  return dockerCall<RawContainer>(engine, {
    method: 'GET',
    path: ['containers', idOrName, 'json'],
    doing: `describe container ${idOrName}`,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Docker writes names with a slash in front, from the time when links made paths of them. */
export function containerName(raw: Pick<RawContainer, 'Name'>): string {
  return raw.Name.replace(/^\//, '');
}

/** Every container that the configuration points to: modes hold ids, `--volumes-from` what the user wrote. */
export function referencedIds(raw: RawContainer): string[] {
  const { NetworkMode, PidMode, IpcMode } = raw.HostConfig;
  return [
    ...[NetworkMode, PidMode, IpcMode].flatMap((mode) =>
      mode?.startsWith('container:') === true ? [mode.slice(10)] : [],
    ),
    ...(raw.HostConfig.VolumesFrom ?? []).map((entry) => entry.split(':')[0] ?? entry),
  ];
}

/** The pure half of {@link captureContainer}; `nameOf` turns a container id into its name. */
export function toCapture(raw: RawContainer, facts: EngineFacts, nameOf: (id: string) => string): ContainerCapture {
  const named = (mode: string | undefined): string =>
    mode?.startsWith('container:') === true ? `container:${nameOf(mode.slice(10))}` : (mode ?? '');
  const networkMode = networkModeOf(raw, named);
  const hostConfig = captureHostConfig(raw, facts, named, networkMode);
  return {
    id: raw.Id,
    name: containerName(raw),
    image: { id: raw.Image, reference: raw.Config.Image, store: facts.imageStore },
    platform: `${raw.Platform ?? facts.os}/${facts.arch}`,
    running: raw.State.Running,
    state: { status: raw.State.Status, paused: raw.State.Paused, exitCode: raw.State.ExitCode },
    env: raw.Config.Env ?? [],
    config: captureConfig(raw, facts, networkMode),
    hostConfig,
    restartPolicy: restartPolicyOf(raw.HostConfig.RestartPolicy),
    mounts: captureMounts(raw),
    networks: captureAttachments(raw, facts, networkMode),
    networkMode,
    needs: captureNeeds(raw, nameOf),
  };
}

/** An empty name is how old clients wrote `no`. */
export function restartPolicyOf(raw: RestartPolicy | undefined): RestartPolicyCapture {
  const name = raw?.Name ?? '';
  return { name: name === '' ? 'no' : name, maximumRetryCount: raw?.MaximumRetryCount ?? 0 };
}

function captureConfig(raw: RawContainer, facts: EngineFacts, networkMode: string): Record<string, unknown> {
  const { Hostname: hostname, ...rest } = raw.Config;
  const config = compact(without(rest, ['Image', 'MacAddress', 'Env']));
  if (hostname !== undefined && isChosenHostname(raw, hostname, facts, networkMode)) config['Hostname'] = hostname;
  return config;
}

/** Docker fills in the start of the id, the host's own name, or that of the container whose network is shared. */
function isChosenHostname(raw: RawContainer, hostname: string, facts: EngineFacts, networkMode: string): boolean {
  if (hostname === '' || raw.Id.startsWith(hostname)) return false;
  if (networkMode.startsWith('container:')) return false;
  return !((networkMode === 'host' || raw.HostConfig.UTSMode === 'host') && hostname === facts.name);
}

/** Held elsewhere in the capture, or meaningful only to the client that created the container. */
const DROPPED: readonly string[] = [
  'Binds',
  'Mounts',
  'Tmpfs',
  'VolumesFrom',
  'Links',
  'NetworkMode',
  'RestartPolicy',
  'ContainerIDFile',
  'ConsoleSize',
  'Isolation',
];

function captureHostConfig(
  raw: RawContainer,
  facts: EngineFacts,
  named: (mode: string | undefined) => string,
  networkMode: string,
): Record<string, unknown> {
  const fields = without(raw.HostConfig, DROPPED);
  const result = compact({ ...fields, PidMode: named(raw.HostConfig.PidMode), IpcMode: named(raw.HostConfig.IpcMode) });

  // The daemon writes its own defaults into the container; carried as choices they would pin the target to the source's.
  if (result['Runtime'] === facts.defaultRuntime) delete result['Runtime'];
  if (result['CgroupnsMode'] === (facts.cgroupVersion === 2 ? 'private' : 'host')) delete result['CgroupnsMode'];
  if (isDefaultPaths('MaskedPaths', result['MaskedPaths'])) delete result['MaskedPaths'];
  if (isDefaultPaths('ReadonlyPaths', result['ReadonlyPaths'])) delete result['ReadonlyPaths'];
  // -1 is "the default" for both, as 0 is for the number of processes.
  if (result['MemorySwappiness'] === -1) delete result['MemorySwappiness'];
  if (result['PidsLimit'] === -1) delete result['PidsLimit'];

  const links = (raw.HostConfig.Links ?? []).map(plainLink);
  if (links.length > 0 && isDefaultBridge(networkMode)) result['Links'] = links;
  return result;
}

/** Each engine version hides a few more paths: an explicit old list would hide fewer than the target's default. */
function isDefaultPaths(key: 'MaskedPaths' | 'ReadonlyPaths', value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const core =
    key === 'MaskedPaths' ? ['/proc/kcore', '/proc/timer_list', '/sys/firmware'] : ['/proc/sys', '/proc/irq'];
  const known = key === 'MaskedPaths' ? DEFAULT_MASKED : DEFAULT_READONLY;
  return core.every((path) => value.includes(path)) && value.every((path) => known.test(String(path)));
}

const DEFAULT_MASKED =
  /^(?:\/proc\/(?:asound|acpi|interrupts|kcore|keys|latency_stats|timer_list|timer_stats|sched_debug|scsi)|\/sys\/firmware|\/sys\/devices\/(?:virtual\/powercap|system\/cpu\/cpu\d+\/thermal_throttle))$/;
const DEFAULT_READONLY = /^\/proc\/(?:bus|fs|irq|sys|sysrq-trigger)$/;

/** `/dep:/web/d`, as the daemon keeps it, is `dep:d`, as the create call takes it. */
function plainLink(link: string): string {
  const [from = '', to = ''] = link.split(':');
  return `${from.replace(/^\//, '')}:${to.slice(to.lastIndexOf('/') + 1)}`;
}

export function isDefaultBridge(networkMode: string): boolean {
  return networkMode === 'bridge' || networkMode === 'default' || networkMode === '';
}

/** A network may have been given by id, which means nothing elsewhere. */
function networkModeOf(raw: RawContainer, named: (mode: string | undefined) => string): string {
  const mode = named(raw.HostConfig.NetworkMode);
  if (mode === '' || mode === 'default') return 'bridge';
  for (const [name, endpoint] of Object.entries(raw.NetworkSettings?.Networks ?? {})) {
    const id = endpoint.NetworkID ?? '';
    if (id !== '' && mode.length >= 12 && id.startsWith(mode)) return name;
  }
  return mode;
}

function captureAttachments(raw: RawContainer, facts: EngineFacts, networkMode: string): NetworkAttachment[] {
  if (networkMode.startsWith('container:')) return [];
  const attachments = Object.entries(raw.NetworkSettings?.Networks ?? {}).map(([network, endpoint]) =>
    captureAttachment(raw, facts, network, endpoint, network === networkMode),
  );
  return attachments.sort((a, b) => {
    if (a.network === networkMode) return -1;
    if (b.network === networkMode) return 1;
    return a.network < b.network ? -1 : 1;
  });
}

function captureAttachment(
  raw: RawContainer,
  facts: EngineFacts,
  network: string,
  endpoint: RawEndpoint,
  primary: boolean,
): NetworkAttachment {
  const ipam = endpoint.IPAMConfig;
  const mac = chosenMac(raw, facts, endpoint, primary);
  const driverOpts = endpoint.DriverOpts ?? {};
  const linkLocal = ipam?.LinkLocalIPs ?? [];
  return {
    network,
    aliases: chosenAliases(raw, facts, endpoint),
    links: [...(endpoint.Links ?? [])].sort(),
    ...(given(ipam?.IPv4Address) ? { ipv4: ipam.IPv4Address } : {}),
    ...(given(ipam?.IPv6Address) ? { ipv6: ipam.IPv6Address } : {}),
    ...(linkLocal.length > 0 ? { linkLocal } : {}),
    ...(mac === undefined ? {} : { mac }),
    ...(Object.keys(driverOpts).length > 0 ? { driverOpts } : {}),
    ...(endpoint.GwPriority === undefined || endpoint.GwPriority === 0 ? {} : { gatewayPriority: endpoint.GwPriority }),
  };
}

/** Before API 1.45 Docker mixed its own aliases (short id, hostname) in with the user's. */
function chosenAliases(raw: RawContainer, facts: EngineFacts, endpoint: RawEndpoint): string[] {
  const automatic = atLeast(facts.apiVersion, '1.45') ? [] : [raw.Id.slice(0, 12), raw.Config.Hostname ?? ''];
  return [...new Set(endpoint.Aliases ?? [])].filter((alias) => !automatic.includes(alias)).sort();
}

/**
 * `Config.MacAddress` is what the user asked for, up to API 1.51. After that only the address in use is known: Docker's
 * own ones begin with 02:42.
 */
function chosenMac(raw: RawContainer, facts: EngineFacts, endpoint: RawEndpoint, primary: boolean): string | undefined {
  if (primary && given(raw.Config.MacAddress)) return raw.Config.MacAddress.toLowerCase();
  if (!atLeast(facts.apiVersion, '1.52') || !given(endpoint.MacAddress)) return undefined;
  const mac = endpoint.MacAddress.toLowerCase();
  return mac.startsWith('02:42:') ? undefined : mac;
}

function captureNeeds(raw: RawContainer, nameOf: (id: string) => string): ContainerNeed[] {
  const needs: ContainerNeed[] = [];
  const { NetworkMode, PidMode, IpcMode } = raw.HostConfig;
  for (const [why, mode] of [
    ['network', NetworkMode],
    ['pid', PidMode],
    ['ipc', IpcMode],
  ] as const) {
    if (mode?.startsWith('container:') === true) needs.push({ container: nameOf(mode.slice(10)), why });
  }
  const links = [
    ...(raw.HostConfig.Links ?? []).map(plainLink),
    ...Object.values(raw.NetworkSettings?.Networks ?? {}).flatMap((endpoint) => endpoint.Links ?? []),
  ];
  for (const link of links) needs.push({ container: link.split(':')[0] ?? link, why: 'link' });
  for (const entry of raw.HostConfig.VolumesFrom ?? []) {
    needs.push({ container: nameOf(entry.split(':')[0] ?? entry), why: 'volumesFrom' });
  }
  const seen = new Set<string>();
  return needs.filter(
    (need) => !seen.has(`${need.why} ${need.container}`) && seen.add(`${need.why} ${need.container}`),
  );
}

function given(value: string | undefined | null): value is string {
  return value !== undefined && value !== null && value !== '';
}

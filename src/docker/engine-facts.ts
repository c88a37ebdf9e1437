/** What an engine says of itself, as far as a move depends on it. */
export interface EngineFacts {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** The negotiated version. */
  readonly apiVersion: string;
  /** As Docker writes platforms: `linux`. */
  readonly os: string;
  /** As Docker writes platforms: `amd64`, `arm64`. */
  readonly arch: string;
  readonly kernel: string;
  readonly storageDriver: string;
  /** `containerd` when images are kept by containerd (ids are then manifest digests), else the storage driver. */
  readonly imageStore: string;
  readonly rootDir: string;
  readonly liveRestore: boolean;
  readonly rootless: boolean;
  readonly podman: boolean;
  readonly swarm: boolean;
  readonly cgroupVersion: 1 | 2;
  readonly defaultRuntime: string;
  readonly runtimes: readonly string[];
  readonly volumeDrivers: readonly string[];
  readonly networkDrivers: readonly string[];
  readonly logDrivers: readonly string[];
  /** Names only, such as `seccomp`, `apparmor`, `selinux`, `userns`. */
  readonly securityOptions: readonly string[];
  /** Limits that the kernel of this engine cannot enforce. */
  readonly missingLimits: readonly MissingLimit[];
}

export type MissingLimit = 'memory' | 'swap' | 'cpuShares' | 'cpuQuota' | 'cpuset' | 'pids' | 'oomKillDisable';

export interface RawVersion {
  readonly Version?: string;
  readonly ApiVersion?: string;
  readonly MinAPIVersion?: string;
  readonly Os?: string;
  readonly Arch?: string;
  readonly KernelVersion?: string;
  readonly Components?: readonly { readonly Name?: string }[] | null;
}

export interface RawInfo {
  readonly ID?: string;
  readonly Name?: string;
  readonly Driver?: string;
  readonly DriverStatus?: readonly (readonly [string, string])[] | null;
  readonly DockerRootDir?: string;
  readonly LiveRestoreEnabled?: boolean;
  readonly SecurityOptions?: readonly string[] | null;
  readonly CgroupVersion?: string;
  readonly DefaultRuntime?: string;
  readonly Runtimes?: Readonly<Record<string, unknown>> | null;
  readonly Plugins?: {
    readonly Volume?: readonly string[] | null;
    readonly Network?: readonly string[] | null;
    readonly Log?: readonly string[] | null;
  };
  readonly Swarm?: { readonly LocalNodeState?: string };
  readonly MemoryLimit?: boolean;
  readonly SwapLimit?: boolean;
  readonly CPUShares?: boolean;
  readonly CpuCfsQuota?: boolean;
  readonly CPUSet?: boolean;
  readonly PidsLimit?: boolean;
  readonly OomKillDisable?: boolean;
}

/** Reads `/version` and `/info`. */
export function engineFacts(version: RawVersion, info: RawInfo, apiVersion: string): EngineFacts {
  const securityOptions = (info.SecurityOptions ?? []).map(securityName);
  const driver = info.Driver ?? '';
  const containerd = (info.DriverStatus ?? []).some(
    ([key, value]) => key === 'driver-type' && value.startsWith('io.containerd.snapshotter'),
  );
  return {
    id: info.ID ?? '',
    name: info.Name ?? '',
    version: version.Version ?? '',
    apiVersion,
    os: version.Os ?? 'linux',
    arch: version.Arch ?? '',
    kernel: version.KernelVersion ?? '',
    storageDriver: driver,
    imageStore: containerd ? 'containerd' : driver,
    rootDir: info.DockerRootDir ?? '/var/lib/docker',
    liveRestore: info.LiveRestoreEnabled ?? false,
    rootless: securityOptions.includes('rootless'),
    podman: (version.Components ?? []).some((component) => /podman/i.test(component.Name ?? '')),
    swarm: (info.Swarm?.LocalNodeState ?? 'inactive') !== 'inactive',
    cgroupVersion: info.CgroupVersion === '2' ? 2 : 1,
    defaultRuntime: info.DefaultRuntime ?? 'runc',
    runtimes: Object.keys(info.Runtimes ?? {}),
    volumeDrivers: info.Plugins?.Volume ?? ['local'],
    networkDrivers: info.Plugins?.Network ?? ['bridge', 'host', 'null'],
    logDrivers: info.Plugins?.Log ?? ['json-file'],
    securityOptions,
    missingLimits: missingLimits(info),
  };
}

/** Old engines wrote `seccomp`, newer ones `name=seccomp,profile=default`. */
function securityName(option: string): string {
  const first = option.split(',')[0] ?? option;
  return first.startsWith('name=') ? first.slice('name='.length) : first;
}

function missingLimits(info: RawInfo): MissingLimit[] {
  const offered: readonly (readonly [MissingLimit, boolean | undefined])[] = [
    ['memory', info.MemoryLimit],
    ['swap', info.SwapLimit],
    ['cpuShares', info.CPUShares],
    ['cpuQuota', info.CpuCfsQuota],
    ['cpuset', info.CPUSet],
    ['pids', info.PidsLimit],
    ['oomKillDisable', info.OomKillDisable],
  ];
  return offered.flatMap(([limit, present]) => (present === false ? [limit] : []));
}

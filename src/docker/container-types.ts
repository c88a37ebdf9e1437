/** A container as the Engine API describes it, as far as this code looks inside; the rest is carried along untouched. */
export interface RawContainer {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  readonly Platform?: string;
  readonly State: RawState;
  readonly Config: RawConfig;
  readonly HostConfig: RawHostConfig;
  readonly Mounts?: readonly RawMountPoint[] | null;
  readonly NetworkSettings?: {
    readonly Networks?: Readonly<Record<string, RawEndpoint>> | null;
    /** By `80/tcp`; what is in effect, with the ports that Docker chose. */
    readonly Ports?: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>> | null;
  };
}

export interface RawState {
  readonly Status: string;
  readonly Running: boolean;
  readonly Paused: boolean;
  readonly Restarting: boolean;
  readonly OOMKilled?: boolean;
  readonly Pid?: number;
  readonly ExitCode: number;
  readonly Error?: string;
  readonly StartedAt?: string;
  readonly FinishedAt?: string;
  readonly Health?: RawHealth | null;
}

export interface RawHealth {
  readonly Status: string;
  readonly FailingStreak?: number;
  readonly Log?: readonly { readonly Start?: string; readonly ExitCode: number; readonly Output?: string }[] | null;
}

export interface RawConfig {
  readonly [field: string]: unknown;
  readonly Hostname?: string;
  readonly Env?: readonly string[] | null;
  readonly Image: string;
  readonly MacAddress?: string;
  readonly Entrypoint?: readonly string[] | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly Volumes?: Readonly<Record<string, unknown>> | null;
  readonly Tty?: boolean;
  readonly StopSignal?: string;
  readonly StopTimeout?: number | null;
}

export interface RawHostConfig {
  readonly [field: string]: unknown;
  readonly Binds?: readonly string[] | null;
  readonly Mounts?: readonly RawMount[] | null;
  readonly Tmpfs?: Readonly<Record<string, string>> | null;
  readonly NetworkMode?: string;
  readonly PidMode?: string;
  readonly IpcMode?: string;
  readonly UTSMode?: string;
  readonly CgroupnsMode?: string;
  readonly Runtime?: string;
  readonly Links?: readonly string[] | null;
  readonly VolumesFrom?: readonly string[] | null;
  readonly AutoRemove?: boolean;
  readonly RestartPolicy?: RestartPolicy;
}

export interface RestartPolicy {
  readonly Name: string;
  readonly MaximumRetryCount?: number;
}

/** An entry of `HostConfig.Mounts`: what `--mount` wrote. */
export interface RawMount {
  readonly Type: string;
  readonly Source?: string;
  readonly Target: string;
  readonly ReadOnly?: boolean;
  readonly Consistency?: string;
  readonly BindOptions?: Readonly<Record<string, unknown>>;
  readonly VolumeOptions?: {
    readonly [field: string]: unknown;
    readonly NoCopy?: boolean;
    readonly Labels?: Readonly<Record<string, string>> | null;
    readonly Subpath?: string;
    readonly DriverConfig?: {
      readonly Name?: string;
      readonly Options?: Readonly<Record<string, string>> | null;
    } | null;
  };
  readonly TmpfsOptions?: Readonly<Record<string, unknown>>;
  readonly ImageOptions?: Readonly<Record<string, unknown>>;
}

/** An entry of `Mounts`: what is in effect, whoever asked for it. */
export interface RawMountPoint {
  readonly Type: string;
  readonly Name?: string;
  readonly Source: string;
  readonly Destination: string;
  readonly Driver?: string;
  readonly Mode: string;
  readonly RW: boolean;
  readonly Propagation: string;
}

export interface RawEndpoint {
  readonly IPAMConfig?: {
    readonly IPv4Address?: string;
    readonly IPv6Address?: string;
    readonly LinkLocalIPs?: readonly string[] | null;
  } | null;
  readonly Links?: readonly string[] | null;
  readonly Aliases?: readonly string[] | null;
  readonly NetworkID?: string;
  readonly MacAddress?: string;
  readonly DriverOpts?: Readonly<Record<string, string>> | null;
  readonly GwPriority?: number;
}

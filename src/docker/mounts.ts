import { posix } from 'node:path';
import { compact } from './compact.ts';
import type { RawContainer, RawMount, RawMountPoint } from './container-types.ts';

/**
 * One mount as it is in effect, with the form it was asked for in, because the forms differ: `-v` makes a missing host
 * directory and takes options as words, `--mount` does neither.
 */
export type MountCapture = VolumeMount | BindMount | TmpfsMount | OtherMount;

interface MountBase {
  readonly destination: string;
  readonly readOnly: boolean;
  readonly form: 'v' | 'mount';
}

export interface VolumeMount extends MountBase {
  readonly kind: 'volume';
  readonly name: string;
  /** Nobody named it: Docker did. */
  readonly anonymous: boolean;
  readonly driver: string;
  /** `-v` options other than ro/rw, such as `nocopy`, `z`. */
  readonly options: readonly string[];
  readonly volumeOptions?: Readonly<Record<string, unknown>>;
}

export interface BindMount extends MountBase {
  readonly kind: 'bind';
  readonly source: string;
  readonly options: readonly string[];
  readonly bindOptions?: Readonly<Record<string, unknown>>;
}

export interface TmpfsMount extends MountBase {
  readonly kind: 'tmpfs';
  /** `--tmpfs` options; `--mount` has `tmpfsOptions` instead. */
  readonly options: string;
  readonly tmpfsOptions?: Readonly<Record<string, unknown>>;
}

/** Image, cluster and named-pipe mounts: carried as they were written. */
export interface OtherMount extends MountBase {
  readonly kind: 'other';
  readonly raw: RawMount;
}

const ANONYMOUS_NAME = /^[0-9a-f]{64}$/;

/** Docker gives volumes that nobody named 64 hexadecimal digits. */
export function isAnonymousName(name: string): boolean {
  return ANONYMOUS_NAME.test(name);
}

/**
 * All mounts of a container, by destination. What came by `--volumes-from` or from the image's `VOLUME` has no entry in
 * the container's own configuration and becomes an explicit one, so that the copy does not depend on where it came from.
 */
export function captureMounts(container: Pick<RawContainer, 'HostConfig' | 'Mounts'>): MountCapture[] {
  const byDestination = new Map<string, MountCapture>();
  const effective = new Map((container.Mounts ?? []).map((point) => [cleanPath(point.Destination), point]));
  const add = (mount: MountCapture): void => void byDestination.set(mount.destination, mount);

  for (const bind of container.HostConfig.Binds ?? []) add(fromBind(bind, effective));
  for (const mount of container.HostConfig.Mounts ?? []) add(fromMount(mount, effective));
  for (const [target, options] of Object.entries(container.HostConfig.Tmpfs ?? {})) {
    const words = options.split(',');
    add({
      kind: 'tmpfs',
      destination: cleanPath(target),
      readOnly: words.includes('ro'),
      form: 'v',
      options,
    });
  }
  for (const [destination, point] of effective) {
    if (!byDestination.has(destination)) add(fromPoint(destination, point));
  }
  return [...byDestination.values()].sort((a, b) => (a.destination < b.destination ? -1 : 1));
}

/** The three fields of `HostConfig` that make these mounts. */
export function mountFields(mounts: readonly MountCapture[]): {
  Binds: string[];
  Mounts: RawMount[];
  Tmpfs: Record<string, string>;
} {
  const fields = { Binds: [] as string[], Mounts: [] as RawMount[], Tmpfs: {} as Record<string, string> };
  for (const mount of mounts) {
    if (mount.kind === 'other') fields.Mounts.push(mount.raw);
    else if (mount.form === 'mount') fields.Mounts.push(toMount(mount));
    else if (mount.kind === 'tmpfs') fields.Tmpfs[mount.destination] = mount.options;
    else fields.Binds.push(toBind(mount));
  }
  return fields;
}

type Effective = ReadonlyMap<string, RawMountPoint>;

function fromBind(bind: string, effective: Effective): MountCapture {
  const parts = bind.split(':');
  const [source, target, words] =
    parts.length === 1 ? ['', parts[0] ?? '', ''] : [parts[0] ?? '', parts[1] ?? '', parts[2] ?? ''];
  const destination = cleanPath(target);
  const all = words === '' ? [] : words.split(',');
  const options = all.filter((word) => word !== 'ro' && word !== 'rw');
  const readOnly = all.includes('ro');
  if (source.startsWith('/'))
    return { kind: 'bind', source: cleanPath(source), destination, readOnly, form: 'v', options };
  const point = effective.get(destination);
  const name = source === '' ? (point?.Name ?? '') : source;
  return {
    kind: 'volume',
    name,
    anonymous: source === '' || isAnonymousName(name),
    driver: point?.Driver ?? 'local',
    destination,
    readOnly,
    form: 'v',
    options,
  };
}

function fromMount(mount: RawMount, effective: Effective): MountCapture {
  const destination = cleanPath(mount.Target);
  const base = { destination, readOnly: mount.ReadOnly ?? false, form: 'mount' as const };
  switch (mount.Type) {
    case 'bind': {
      const bindOptions = compact({ ...mount.BindOptions });
      // The default, which newer engines write out.
      if (bindOptions['Propagation'] === 'rprivate') delete bindOptions['Propagation'];
      return {
        kind: 'bind',
        source: cleanPath(mount.Source ?? ''),
        ...base,
        options: [],
        ...nonEmpty('bindOptions', bindOptions),
      };
    }
    case 'volume': {
      const point = effective.get(destination);
      const name = mount.Source !== undefined && mount.Source !== '' ? mount.Source : (point?.Name ?? '');
      const volumeOptions = compact({
        ...mount.VolumeOptions,
        DriverConfig: compact({ ...mount.VolumeOptions?.DriverConfig }),
      });
      return {
        kind: 'volume',
        name,
        anonymous: isAnonymousName(name),
        driver: point?.Driver ?? mount.VolumeOptions?.DriverConfig?.Name ?? 'local',
        ...base,
        options: [],
        ...nonEmpty('volumeOptions', volumeOptions),
      };
    }
    case 'tmpfs':
      return { kind: 'tmpfs', ...base, options: '', ...nonEmpty('tmpfsOptions', compact({ ...mount.TmpfsOptions })) };
    default:
      return { kind: 'other', ...base, raw: mount };
  }
}

function fromPoint(destination: string, point: RawMountPoint): MountCapture {
  const options = point.Mode.split(',').filter((word) => word !== '' && word !== 'ro' && word !== 'rw' && word !== 'z');
  const base = { destination, readOnly: !point.RW, form: 'v' as const };
  if (point.Type === 'volume') {
    const name = point.Name ?? '';
    return {
      kind: 'volume',
      name,
      anonymous: isAnonymousName(name),
      driver: point.Driver ?? 'local',
      ...base,
      options,
    };
  }
  if (point.Type === 'bind') return { kind: 'bind', source: cleanPath(point.Source), ...base, options };
  if (point.Type === 'tmpfs') return { kind: 'tmpfs', ...base, options: '' };
  const raw = { Type: point.Type, Source: point.Source, Target: destination, ReadOnly: !point.RW };
  return { kind: 'other', ...base, form: 'mount', raw };
}

function toBind(mount: VolumeMount | BindMount): string {
  const words = [...(mount.readOnly ? ['ro'] : []), ...mount.options];
  const source = mount.kind === 'volume' ? mount.name : mount.source;
  return words.length === 0 ? `${source}:${mount.destination}` : `${source}:${mount.destination}:${words.join(',')}`;
}

function toMount(mount: VolumeMount | BindMount | TmpfsMount): RawMount {
  const base = { Type: mount.kind, Target: mount.destination, ...(mount.readOnly ? { ReadOnly: true } : {}) };
  switch (mount.kind) {
    case 'tmpfs':
      return { ...base, ...(mount.tmpfsOptions === undefined ? {} : { TmpfsOptions: mount.tmpfsOptions }) };
    case 'bind':
      return {
        ...base,
        Source: mount.source,
        ...(mount.bindOptions === undefined ? {} : { BindOptions: mount.bindOptions }),
      };
    case 'volume':
      return {
        ...base,
        Source: mount.name,
        ...(mount.volumeOptions === undefined ? {} : { VolumeOptions: mount.volumeOptions }),
      };
  }
}

/** As Docker cleans paths, so that `/data/` and `/data` are one. */
export function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
}

function nonEmpty<K extends string>(key: K, value: Record<string, unknown>): { [P in K]?: Record<string, unknown> } {
  return (Object.keys(value).length === 0 ? {} : { [key]: value }) as { [P in K]?: Record<string, unknown> };
}

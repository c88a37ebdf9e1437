import { dockerCall } from './api.ts';
import { canonical } from './compact.ts';
import type { Engine } from './engine.ts';
import { isAnonymousName } from './mounts.ts';
import { withoutLabels } from './network-capture.ts';

/** What makes an equal volume elsewhere, and how its content gets there. */
export interface VolumeCapture {
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** On the server it was captured on. */
  readonly mountpoint: string;
  readonly anonymous: boolean;
  /**
   * `copy`: the bytes are moved. `reattach`: the same definition leads to the same data (NFS, CIFS). `none`: there is
   * nothing to keep (tmpfs). `unsupported`: see `reason`.
   */
  readonly copyMode: 'copy' | 'reattach' | 'none' | 'unsupported';
  readonly reason?: string;
}

export interface RawVolume {
  readonly Name: string;
  readonly Driver: string;
  readonly Mountpoint: string;
  readonly Options?: Readonly<Record<string, string>> | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

/** Reads a volume. Throws `GF_DOCKER_NOT_FOUND`. */
export async function captureVolume(engine: Engine, name: string, signal?: AbortSignal): Promise<VolumeCapture> {
  return toVolumeCapture(await inspectVolume(engine, name, signal));
}

export function inspectVolume(engine: Engine, name: string, signal?: AbortSignal): Promise<RawVolume> {
  return dockerCall<RawVolume>(engine, {
    method: 'GET',
    path: ['volumes', name],
    doing: `describe volume ${name}`,
    ...(signal === undefined ? {} : { signal }),
  });
}

export function toVolumeCapture(raw: RawVolume): VolumeCapture {
  return {
    name: raw.Name,
    driver: raw.Driver,
    options: raw.Options ?? {},
    labels: raw.Labels ?? {},
    mountpoint: raw.Mountpoint,
    anonymous: isAnonymousName(raw.Name),
    ...copyModeOf(raw),
  };
}

const SHARED_TYPES = /^(?:nfs\d?|cifs|smb3?|glusterfs|ceph|9p)$/;

/** What the `local` driver does with its options is what mount(8) does with `-t`, `-o` and a device. */
function copyModeOf(raw: RawVolume): Pick<VolumeCapture, 'copyMode' | 'reason'> {
  if (raw.Driver !== 'local') {
    return {
      copyMode: 'unsupported',
      reason: `volume ${raw.Name} is kept by the driver ${raw.Driver}, whose data only that driver can move`,
    };
  }
  const options = raw.Options ?? {};
  const type = (options['type'] ?? '').toLowerCase();
  const flags = (options['o'] ?? '').split(',');
  if (SHARED_TYPES.test(type)) return { copyMode: 'reattach' };
  if (type === 'tmpfs' || type === 'ramfs') return { copyMode: 'none' };
  if (flags.includes('bind') || flags.includes('rbind')) return { copyMode: 'copy' };
  if (type === '' || type === 'none') return { copyMode: 'copy' };
  return {
    copyMode: 'unsupported',
    reason: `volume ${raw.Name} is a ${type} file system on ${options['device'] ?? 'a device'} of that server`,
  };
}

/** The fields in which two volumes differ, content and place aside. `ignoreLabels` names marks. */
export function diffVolumeCaptures(a: VolumeCapture, b: VolumeCapture, ignoreLabels: readonly string[] = []): string[] {
  const fields = (capture: VolumeCapture): Record<string, unknown> => ({
    name: capture.name,
    driver: capture.driver,
    options: capture.options,
    labels: withoutLabels(capture.labels, ignoreLabels),
  });
  const [left, right] = [fields(a), fields(b)];
  return Object.keys(left).filter((key) => canonical(left[key]) !== canonical(right[key]));
}

/** Body of `POST /volumes/create`. */
export function volumeBody(volume: VolumeCapture, labels: Readonly<Record<string, string>>): Record<string, unknown> {
  return {
    Name: volume.name,
    Driver: volume.driver,
    DriverOpts: volume.options,
    Labels: { ...volume.labels, ...labels },
  };
}

import { canonical, without } from './compact.ts';
import type { ContainerCapture, NetworkAttachment } from './container-capture.ts';

export interface DiffOptions {
  /** Labels that are not compared: the marks that the copy carries. */
  readonly ignoreLabels?: readonly string[];
}

/**
 * The names of the fields in which two captures differ, such as `config.Env` or `networks.web.ipv4`: empty when the
 * containers are configured alike. Values are never in it, since an environment may be. Ids, states, times and whatever
 * Docker generated are not compared.
 */
export function diffCaptures(a: ContainerCapture, b: ContainerCapture, options: DiffOptions = {}): string[] {
  const differences: string[] = [];
  if (a.name !== b.name) differences.push('name');
  if (!sameImage(a, b)) differences.push('image');
  if (canonical(a.env) !== canonical(b.env)) differences.push('env');
  differences.push(...diffFields('config', configOf(a, options), configOf(b, options)));
  differences.push(...diffFields('hostConfig', hostConfigOf(a), hostConfigOf(b)));
  if (canonical(a.restartPolicy) !== canonical(b.restartPolicy)) differences.push('restartPolicy');
  if (a.networkMode !== b.networkMode) differences.push('networkMode');
  differences.push(...diffMounts(a, b));
  differences.push(...diffNetworks(a.networks, b.networks));
  return differences;
}

/** Ids can be compared within one kind of image store only: containerd's are digests of something else. */
function sameImage(a: ContainerCapture, b: ContainerCapture): boolean {
  if (a.image.id === b.image.id) return true;
  const comparable = (a.image.store === 'containerd') === (b.image.store === 'containerd');
  return !comparable && a.image.reference === b.image.reference;
}

function diffFields(
  prefix: string,
  a: Readonly<Record<string, unknown>>,
  b: Readonly<Record<string, unknown>>,
): string[] {
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return keys.filter((key) => canonical(a[key]) !== canonical(b[key])).map((key) => `${prefix}.${key}`);
}

function configOf(capture: ContainerCapture, options: DiffOptions): Record<string, unknown> {
  // Whether a client attached is no property of the container that anybody can observe once it is detached.
  const config = without(capture.config, ['AttachStdin', 'AttachStdout', 'AttachStderr', 'Labels']);
  const labels = Object.entries((capture.config['Labels'] ?? {}) as Record<string, string>);
  const kept = labels.filter(([key]) => options.ignoreLabels?.includes(key) !== true);
  return kept.length === 0 ? config : { ...config, Labels: Object.fromEntries(kept) };
}

/** Lists that Docker reads as sets. */
const SETS: readonly string[] = ['CapAdd', 'CapDrop', 'SecurityOpt', 'GroupAdd', 'Links', 'Ulimits', 'Sysctls'];

function hostConfigOf(capture: ContainerCapture): Record<string, unknown> {
  const config: Record<string, unknown> = { ...capture.hostConfig };
  for (const key of SETS) {
    const value = config[key];
    if (Array.isArray(value)) config[key] = value.map((entry) => normalEntry(key, entry)).sort();
  }
  return config;
}

/** Docker takes NET_ADMIN and CAP_NET_ADMIN for one; newer engines write the long form. */
function normalEntry(key: string, entry: unknown): string {
  const text = typeof entry === 'string' ? entry : canonical(entry);
  return key.startsWith('Cap') ? text.toUpperCase().replace(/^CAP_/, '') : text;
}

function diffMounts(a: ContainerCapture, b: ContainerCapture): string[] {
  const left = new Map(a.mounts.map((mount) => [mount.destination, mount]));
  const right = new Map(b.mounts.map((mount) => [mount.destination, mount]));
  const destinations = [...new Set([...left.keys(), ...right.keys()])].sort();
  return destinations
    .filter((destination) => canonical(effect(left.get(destination))) !== canonical(effect(right.get(destination))))
    .map((destination) => `mounts.${destination}`);
}

/** The form a mount was written in is not what it does. */
function effect(mount: ContainerCapture['mounts'][number] | undefined): unknown {
  if (mount === undefined) return null;
  const rest = without({ ...mount }, ['form']);
  return mount.kind === 'volume' || mount.kind === 'bind' ? { ...rest, options: [...mount.options].sort() } : rest;
}

function diffNetworks(a: readonly NetworkAttachment[], b: readonly NetworkAttachment[]): string[] {
  const left = new Map(a.map((attachment) => [attachment.network, attachment]));
  const right = new Map(b.map((attachment) => [attachment.network, attachment]));
  const networks = [...new Set([...left.keys(), ...right.keys()])].sort();
  return networks.flatMap((network) => {
    const one = left.get(network);
    const other = right.get(network);
    if (one === undefined || other === undefined) return [`networks.${network}`];
    return diffFields(`networks.${network}`, { ...one }, { ...other });
  });
}

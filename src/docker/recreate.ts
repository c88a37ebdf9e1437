import { GridferryError } from '../errors.ts';
import { dockerCall } from './api.ts';
import { captureImage } from './image-capture.ts';
import { createRequest, endpoint } from './container-body.ts';
import { captureContainer, inspectContainer } from './container-capture.ts';
import type { ContainerCapture, NetworkAttachment } from './container-capture.ts';
import { diffCaptures } from './container-diff.ts';
import type { Engine } from './engine.ts';
import { isDockerStatus, orUndefined } from './engine-error.ts';
import { carries, nameTaken, requireMarks } from './marks.ts';
import type { Marks } from './marks.ts';
import { diffNetworkCaptures, inspectNetwork, networkBody, toNetworkCapture } from './network-capture.ts';
import type { NetworkCapture } from './network-capture.ts';
import { diffVolumeCaptures, inspectVolume, toVolumeCapture, volumeBody } from './volume-capture.ts';
import type { VolumeCapture } from './volume-capture.ts';

/** What an ensure found or did. */
export interface Ensured {
  readonly id: string;
  /** `Adopted`: it was there, not marked, and equal; nothing of ours, never removed with the marks. */
  readonly how: 'Builtin' | 'Present' | 'Adopted' | 'Created' | 'Recreated';
}

export interface EnsureOptions {
  readonly signal?: AbortSignal;
  /**
   * Take an object that somebody else made when it is equal to the captured one: right for a shared network, never for
   * a volume or a container. Default false.
   */
  readonly adopt?: boolean;
}

/**
 * Makes sure that the network exists under its name. Throws `GF_DOCKER_NAME_TAKEN`, `GF_DOCKER_SUBNET_TAKEN`.
 *
 * @param options.subnets `keep` (default) asks for the captured address ranges; `any` lets the engine choose, for
 *   services in which no container has a fixed address.
 */
export async function ensureNetwork(
  engine: Engine,
  network: NetworkCapture,
  marks: Marks,
  options: EnsureOptions & { readonly subnets?: 'keep' | 'any' } = {},
): Promise<Ensured> {
  requireMarks(marks);
  if (network.builtin) return { id: network.name, how: 'Builtin' };
  const keep = options.subnets !== 'any';
  const existing = await orUndefined(inspectNetwork(engine, network.name, options.signal));
  // The endpoint also finds by id prefix: a network called "ab" must not be taken for one whose id begins with it.
  if (existing !== undefined && existing.Name === network.name) {
    const found = toNetworkCapture(existing);
    const differences = diffNetworkCaptures(network, found, Object.keys(marks)).filter(
      (field) => keep || field !== 'ipam',
    );
    const ours = carries(existing.Labels, marks);
    if (!ours && !(options.adopt === true && differences.length === 0)) {
      throw nameTaken('network', network.name, engine.host.name);
    }
    if (differences.length === 0) return { id: existing.Id, how: ours ? 'Present' : 'Adopted' };
    await dockerCall(engine, {
      method: 'DELETE',
      path: ['networks', existing.Id],
      doing: `remove network ${network.name}`,
      ...signalOf(options),
    });
  }
  const created = await dockerCall<{ Id: string }>(engine, {
    method: 'POST',
    path: ['networks', 'create'],
    body: networkBody(network, marks, keep),
    doing: `create network ${network.name}`,
    ...signalOf(options),
  });
  return { id: created.Id, how: existing === undefined ? 'Created' : 'Recreated' };
}

/**
 * Makes sure that the volume exists under its name, empty when it is new. Throws `GF_DOCKER_NAME_TAKEN`, and
 * `GF_DOCKER_CONFLICT` when one of ours differs and is in use.
 */
export async function ensureVolume(
  engine: Engine,
  volume: VolumeCapture,
  marks: Marks,
  options: Pick<EnsureOptions, 'signal'> = {},
): Promise<Ensured> {
  requireMarks(marks);
  const existing = await orUndefined(inspectVolume(engine, volume.name, options.signal));
  if (existing !== undefined) {
    if (!carries(existing.Labels, marks)) throw nameTaken('volume', volume.name, engine.host.name);
    const differences = diffVolumeCaptures(volume, toVolumeCapture(existing), Object.keys(marks));
    if (differences.length === 0) return { id: volume.name, how: 'Present' };
    await dockerCall(engine, {
      method: 'DELETE',
      path: ['volumes', volume.name],
      doing: `remove volume ${volume.name}`,
      ...signalOf(options),
    });
  }
  // A create of an existing name answers the existing volume, whoever made it in the meantime: so it is looked at.
  const created = await dockerCall<{ Name: string; Labels?: Record<string, string> | null }>(engine, {
    method: 'POST',
    path: ['volumes', 'create'],
    body: volumeBody(volume, marks),
    doing: `create volume ${volume.name}`,
    ...signalOf(options),
  });
  if (!carries(created.Labels, marks)) throw nameTaken('volume', volume.name, engine.host.name);
  return { id: volume.name, how: existing === undefined ? 'Created' : 'Recreated' };
}

/**
 * Makes sure that a container equal to the capture exists, with all its networks, not started. One of ours that equals
 * the capture is reused, whether it runs or not; one of ours that differs is replaced; somebody else's is refused.
 *
 * Throws `GF_DOCKER_NAME_TAKEN`; `GF_DOCKER_RECREATE_DIFFERS` names the fields that the engine did not take over.
 *
 * @param options.image the image's id at the target, where it may differ from the captured one. The captured reference is
 *   used to create the container when it leads to that id, else the id.
 * @param options.accept differences that are known and accepted, as {@link diffCaptures} names them (from
 *   `unsupportedBy`).
 */
export async function ensureContainer(
  engine: Engine,
  capture: ContainerCapture,
  marks: Marks,
  options: Pick<EnsureOptions, 'signal'> & { readonly image?: string; readonly accept?: readonly string[] } = {},
): Promise<Ensured> {
  requireMarks(marks);
  const ignoreLabels = Object.keys(marks);
  const accept = new Set(options.accept);
  const wanted =
    options.image === undefined
      ? capture
      : { ...capture, image: { ...capture.image, id: options.image, store: engine.info.imageStore } };
  const remaining = async (idOrName: string): Promise<string[]> => {
    const found = await captureContainer(engine, idOrName, options.signal);
    return diffCaptures(wanted, found, { ignoreLabels }).filter((field) => !accept.has(field));
  };
  const existing = await orUndefined(inspectContainer(engine, capture.name, options.signal));
  if (existing !== undefined && existing.Name === `/${capture.name}`) {
    if (!carries(existing.Config.Labels, marks)) throw nameTaken('container', capture.name, engine.host.name);
    if ((await remaining(existing.Id)).length === 0) return { id: existing.Id, how: 'Present' };
    await removeContainer(engine, existing.Id, options.signal);
  }
  const id = await createContainer(engine, wanted, marks, options);
  const differences = await remaining(id);
  if (differences.length > 0) {
    throw new GridferryError(
      'GF_DOCKER_RECREATE_DIFFERS',
      `Docker on ${engine.host.name} made container ${capture.name} differently: ${differences.join(', ')}; change these settings at the source, or accept the difference.`,
    );
  }
  return { id, how: existing === undefined ? 'Created' : 'Recreated' };
}

async function createContainer(
  engine: Engine,
  capture: ContainerCapture,
  marks: Marks,
  options: { readonly signal?: AbortSignal },
): Promise<string> {
  const image = await imageFor(engine, capture, options.signal);
  const { body, connectAfter } = createRequest(capture, engine.info.apiVersion, { image, labels: marks });
  const { Id: id } = await dockerCall<{ Id: string }>(engine, {
    method: 'POST',
    path: ['containers', 'create'],
    query: { name: capture.name },
    body,
    doing: `create container ${capture.name}`,
    ...signalOf(options),
  });
  for (const attachment of connectAfter) await connectNetwork(engine, id, capture.name, attachment, options.signal);
  return id;
}

/** The reference reads better in `docker ps` and compose looks at it; but a tag that has moved on would start another image. */
async function imageFor(engine: Engine, capture: ContainerCapture, signal?: AbortSignal): Promise<string> {
  const { id, reference } = capture.image;
  const tagged = await orUndefined(captureImage(engine, reference, signal));
  if (tagged?.id === id) return reference;
  const byId = await orUndefined(captureImage(engine, id, signal));
  if (byId !== undefined) return id;
  // With another kind of image store there the ids differ, and whoever sent the image has compared its content.
  return reference;
}

async function connectNetwork(
  engine: Engine,
  id: string,
  name: string,
  attachment: NetworkAttachment,
  signal: AbortSignal | undefined,
): Promise<void> {
  await dockerCall(engine, {
    method: 'POST',
    path: ['networks', attachment.network, 'connect'],
    body: { Container: id, EndpointConfig: endpoint(attachment, engine.info.apiVersion) },
    doing: `connect container ${name} to network ${attachment.network}`,
    ...(signal === undefined ? {} : { signal }),
  });
}

export type MarkedKind = 'containers' | 'networks' | 'volumes';

/**
 * Removes exactly what carries all the marks, containers first (stopped with their own signal and timeout). Answers the
 * names of what it removed; what is already gone counts as done.
 */
export async function removeMarked(
  engine: Engine,
  marks: Marks,
  kinds: readonly MarkedKind[],
  options: Pick<EnsureOptions, 'signal'> & {
    /** Containers with this label stay. */
    readonly exceptLabel?: string;
  } = {},
): Promise<Record<MarkedKind, string[]>> {
  requireMarks(marks);
  const removed: Record<MarkedKind, string[]> = { containers: [], networks: [], volumes: [] };
  if (kinds.includes('containers')) {
    for (const { Id, Names, Labels } of await listMarked<readonly RawListed[]>(
      engine,
      ['containers', 'json'],
      marks,
      options,
    )) {
      if (!carries(Labels, marks)) continue;
      if (options.exceptLabel !== undefined && Labels?.[options.exceptLabel] !== undefined) continue;
      await gracefully(engine, Id, options.signal);
      await removeContainer(engine, Id, options.signal);
      removed.containers.push((Names?.[0] ?? Id).replace(/^\//, ''));
    }
  }
  if (kinds.includes('networks')) {
    for (const { Id, Name, Labels } of await listMarked<readonly RawListed[]>(engine, ['networks'], marks, options)) {
      if (!carries(Labels, marks)) continue;
      await remove(engine, ['networks', Id], `remove network ${Name ?? Id}`, options.signal);
      removed.networks.push(Name ?? Id);
    }
  }
  if (kinds.includes('volumes')) {
    const list = await listMarked<{ Volumes?: readonly RawListed[] | null }>(engine, ['volumes'], marks, options);
    for (const { Name = '', Labels } of list.Volumes ?? []) {
      if (!carries(Labels, marks)) continue;
      await remove(engine, ['volumes', Name], `remove volume ${Name}`, options.signal);
      removed.volumes.push(Name);
    }
  }
  return removed;
}

interface RawListed {
  readonly Id: string;
  readonly Name?: string;
  readonly Names?: readonly string[];
  readonly Labels?: Readonly<Record<string, string>> | null;
}

function listMarked<T>(
  engine: Engine,
  path: readonly string[],
  marks: Marks,
  options: Pick<EnsureOptions, 'signal'>,
): Promise<T> {
  const label = Object.entries(marks).map(([key, value]) => `${key}=${value}`);
  return dockerCall<T>(engine, {
    method: 'GET',
    path,
    query: { ...(path[0] === 'containers' ? { all: true } : {}), filters: JSON.stringify({ label }) },
    doing: `list what this transfer made (${path[0] ?? ''})`,
    ...signalOf(options),
  });
}

async function gracefully(engine: Engine, id: string, signal: AbortSignal | undefined): Promise<void> {
  await orUndefined(
    dockerCall(engine, {
      method: 'POST',
      path: ['containers', id, 'stop'],
      doing: `stop container ${id.slice(0, 12)}`,
      ...(signal === undefined ? {} : { signal }),
    }),
  );
}

/** Its volumes stay: they are the data. */
async function removeContainer(engine: Engine, id: string, signal: AbortSignal | undefined): Promise<void> {
  await remove(engine, ['containers', id], `remove container ${id.slice(0, 12)}`, signal, { force: true, v: false });
}

async function remove(
  engine: Engine,
  path: readonly string[],
  doing: string,
  signal: AbortSignal | undefined,
  query: Readonly<Record<string, boolean>> = {},
): Promise<void> {
  try {
    await dockerCall(engine, { method: 'DELETE', path, query, doing, ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    // 404: an earlier try did it. 409 "removal in progress" is the same try, still under way.
    if (isDockerStatus(error, 404)) return;
    if (isDockerStatus(error, 409) && error instanceof Error && error.message.includes('already in progress')) return;
    throw error;
  }
}

function signalOf(options: { readonly signal?: AbortSignal }): { readonly signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal };
}

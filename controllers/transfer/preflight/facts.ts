import { dockerCall, filters } from '../../../src/docker/api.ts';
import { carries } from '../../../src/docker/marks.ts';
import type { Marks } from '../../../src/docker/marks.ts';
import type { NetworkCapture } from '../../../src/docker/network-capture.ts';
import { captureNetwork } from '../../../src/docker/network-capture.ts';
import type { ServiceCapture } from '../../../src/docker/service-capture.ts';
import { readFilesystem } from '../../../src/ssh/filesystem.ts';
import type { Filesystem } from '../../../src/ssh/filesystem.ts';
import { readHostFacts } from '../../../src/ssh/host-facts.ts';
import type { HostFacts } from '../../../src/ssh/host-facts.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import type { RawVolume } from '../../../src/docker/volume-capture.ts';
import { isEmptyTree } from '../../../src/volumes/measure.ts';
import type { DataLocation, Workbench } from '../../../src/volumes/workbench.ts';
import type { TransferStatus } from '../../../src/api/resources.ts';
import { planCutover } from '../../../src/dns/cutover.ts';
import { classOf } from '../../../src/errors.ts';
import { benchName } from '../copying/benches.ts';
import type { TransferContext } from '../context.ts';
import { marksOf } from '../context.ts';
import type { DataItem } from '../copying/data-set.ts';
import { dnsTargetOf } from '../cutover/dns-target.ts';
import { blockerOf } from './blocker.ts';
import type { Blocker } from './blocker.ts';
import { checkPaths, readPathDisks } from './paths.ts';
import type { OccupiedPath } from './paths.ts';

/** A container as the list of an engine shows it. */
export interface ListedContainer {
  readonly name: string;
  readonly running: boolean;
  /** Made by this very transfer, by an earlier process. */
  readonly own: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly address: string; readonly port: number; readonly protocol: string }[];
  readonly volumes: readonly { readonly name: string; readonly writable: boolean }[];
}

/** Everything the checks look at, read once; the checks themselves are pure. */
export interface PreflightFacts {
  readonly capture: ServiceCapture;
  readonly data: readonly DataItem[];
  readonly volumes: NonNullable<TransferStatus['volumes']>;
  readonly sourceName: string;
  readonly targetName: string;
  readonly sourceEngine: Engine['info'];
  readonly targetEngine: Engine['info'];
  readonly sourceContainers: readonly ListedContainer[];
  readonly targetContainers: readonly ListedContainer[];
  readonly targetNetworks: readonly NetworkCapture[];
  /** Names of networks at the target that this transfer made. */
  readonly ownNetworks: ReadonlySet<string>;
  /** Volumes at the target with a name of ours; `own` when made by this transfer. */
  readonly targetVolumes: readonly { readonly name: string; readonly own: boolean; readonly empty: boolean }[];
  readonly targetPaths: readonly OccupiedPath[];
  readonly targetHost: HostFacts;
  readonly targetDisk: Filesystem;
  /** By the name of a data item that is a path: what it will lie on. */
  readonly targetPathDisks: ReadonlyMap<string, Filesystem>;
  /** IDs and layers of images that the target has. */
  readonly targetLayers: ReadonlySet<string>;
  /** Why the public name could not be pointed to the target. */
  readonly dnsBlocker: Blocker | undefined;
}

export async function gatherFacts(context: TransferContext): Promise<PreflightFacts> {
  const [source, target, capture, data] = await Promise.all([
    context.session.source(context),
    context.session.target(context),
    context.session.capture(context),
    context.session.data(context),
  ]);
  const marks = marksOf(context.transfer);
  const { signal } = context;
  const [
    sourceContainers,
    targetContainers,
    networks,
    targetVolumes,
    targetPaths,
    targetHost,
    targetDisk,
    targetPathDisks,
    targetLayers,
    dnsBlocker,
  ] = await Promise.all([
    listContainers(source.engine, marks, signal),
    listContainers(target.engine, marks, signal),
    listNetworks(target.engine, marks, signal),
    listVolumes(context, target.engine, capture, marks),
    checkPaths(context, target.host, data),
    readHostFacts(target.host, { signal, clock: context.clock }),
    readFilesystem(target.host, target.engine.info.rootDir, { signal }),
    readPathDisks(target.host, data, signal),
    listLayers(target.engine, signal),
    findDnsBlocker(context),
  ]);
  return {
    capture,
    data,
    volumes: context.status.volumes ?? [],
    sourceName: context.sourceServer.metadata.name,
    targetName: context.targetServer.metadata.name,
    sourceEngine: source.engine.info,
    targetEngine: target.engine.info,
    sourceContainers,
    targetContainers,
    targetNetworks: networks.all,
    ownNetworks: networks.own,
    targetVolumes,
    targetPaths,
    targetHost,
    targetDisk,
    targetPathDisks,
    targetLayers,
    dnsBlocker,
  };
}

/** A failure that may pass is one of this look, and not a reason to refuse the move. */
async function findDnsBlocker(context: TransferContext): Promise<Blocker | undefined> {
  try {
    const target = await dnsTargetOf(context);
    if (!target.skip) planCutover(target.input);
    return undefined;
  } catch (error) {
    if (classOf(error) !== 'terminal') throw error;
    return blockerOf(error);
  }
}

interface RawListed {
  readonly Names: readonly string[];
  readonly State: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly Ports?: readonly { readonly IP?: string; readonly PublicPort?: number; readonly Type: string }[] | null;
  readonly Mounts?: readonly { readonly Type: string; readonly Name?: string; readonly RW: boolean }[] | null;
}

async function listContainers(engine: Engine, marks: Marks, signal: AbortSignal): Promise<ListedContainer[]> {
  const list = await dockerCall<readonly RawListed[]>(engine, {
    method: 'GET',
    path: ['containers', 'json'],
    query: { all: true },
    doing: 'list its containers',
    signal,
  });
  return list.map((raw) => ({
    name: (raw.Names[0] ?? '').replace(/^\//, ''),
    running: raw.State === 'running' || raw.State === 'restarting' || raw.State === 'paused',
    own: carries(raw.Labels, marks),
    labels: raw.Labels ?? {},
    ports: (raw.Ports ?? []).flatMap(({ IP = '', PublicPort, Type }) =>
      PublicPort === undefined ? [] : [{ address: IP, port: PublicPort, protocol: Type }],
    ),
    volumes: (raw.Mounts ?? []).flatMap(({ Type, Name, RW }) =>
      Type === 'volume' && Name !== undefined ? [{ name: Name, writable: RW }] : [],
    ),
  }));
}

async function listNetworks(
  engine: Engine,
  marks: Marks,
  signal: AbortSignal,
): Promise<{ readonly all: NetworkCapture[]; readonly own: ReadonlySet<string> }> {
  const list = await dockerCall<readonly { Name: string; Labels?: Record<string, string> | null }[]>(engine, {
    method: 'GET',
    path: ['networks'],
    doing: 'list its networks',
    signal,
  });
  const all = await Promise.all(list.map(({ Name }) => captureNetwork(engine, Name, signal)));
  return { all, own: new Set(list.filter(({ Labels }) => carries(Labels, marks)).map(({ Name }) => Name)) };
}

async function listVolumes(
  context: TransferContext,
  engine: Engine,
  capture: ServiceCapture,
  marks: Marks,
): Promise<PreflightFacts['targetVolumes']> {
  const wanted = new Set(capture.volumes.map(({ name }) => name));
  const { Volumes } = await dockerCall<{ readonly Volumes?: readonly RawVolume[] | null }>(engine, {
    method: 'GET',
    path: ['volumes'],
    query: { filters: filters({ driver: ['local'] }) },
    doing: 'list its volumes',
    signal: context.signal,
  });
  const found = (Volumes ?? []).filter(({ Name }) => wanted.has(Name));
  if (found.length === 0) return [];
  const own = (labels: Labels): boolean => carries(labels, marks);
  if (engine.host.isRoot && found.every(isPlainVolume)) {
    // As root its folder can be looked into, and nothing has to be made for that.
    const looks = found.map(async ({ Name, Labels, Mountpoint }) => {
      const exec: Workbench['exec'] = (argv, options) => engine.host.exec(argv, { ...options, root: true });
      return { name: Name, own: own(Labels), empty: await isEmptyTree({ exec }, Mountpoint, context.signal) };
    });
    return Promise.all(looks);
  }
  const locations: DataLocation[] = found.map(({ Name }) => ({ kind: 'volume', name: Name }));
  const bench = await context.dataPlane.openWorkbench({
    host: engine.host,
    docker: engine.docker,
    locations,
    name: benchName(context, 'look-'),
    labels: marks,
    readOnly: true,
    signal: context.signal,
  });
  try {
    const result: { name: string; own: boolean; empty: boolean }[] = [];
    for (const { Name, Labels } of found) {
      const empty = await isEmptyTree(bench, bench.pathOf({ kind: 'volume', name: Name }), context.signal);
      result.push({ name: Name, own: own(Labels), empty });
    }
    return result;
  } finally {
    await bench.close();
  }
}

type Labels = RawVolume['Labels'];

/** Just a folder: nothing has to be mounted first. */
function isPlainVolume({ Driver, Options }: RawVolume): boolean {
  return Driver === 'local' && Object.keys(Options ?? {}).length === 0;
}

async function listLayers(engine: Engine, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const images = await dockerCall<readonly { Id: string }[]>(engine, {
    method: 'GET',
    path: ['images', 'json'],
    query: { all: true },
    doing: 'list its images',
    signal,
  });
  return new Set(images.map(({ Id }) => Id));
}

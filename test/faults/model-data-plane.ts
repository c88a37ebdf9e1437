import { posix } from 'node:path';
import type { DataPlane } from '../../controllers/transfer/copying/data-plane.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { GridferryError } from '../../src/errors.ts';
import type { Host } from '../../src/ssh/host.ts';
import { sleep } from '../../src/runtime/clock.ts';
import { plainCopy } from '../../src/runtime/structural.ts';
import type { CopyOptions, CopyPass } from '../../src/volumes/copy.ts';
import { goOr } from '../../src/volumes/standby.ts';
import type { Standby } from '../../src/volumes/standby.ts';
import type { Difference, Verification } from '../../src/volumes/verify.ts';
import type { Workbench, WorkbenchOptions } from '../../src/volumes/workbench.ts';
import type { ControllerProcess } from './controller-process.ts';
import { findImage } from './engine-api.ts';
import { EngineFailure, Unmodelled } from './engine-failure.ts';
import { bytesOf, removeFile, writeFile } from './file-tree.ts';
import type { FileTree, ModelFile } from './file-tree.ts';
import type { Link } from './link.ts';
import { lazyStream, linkOf } from './model-host.ts';
import { copyDirectly, modelDirect, passOf, stopJobs, WEIGHT } from './model-direct.ts';
import { modelForward } from './model-forward.ts';
import { modelBench, sweep } from './model-bench.ts';
import type { World } from './world.ts';

type Handle = ReturnType<typeof handleOf>;

interface ModelManifest {
  readonly bench: Workbench;
  readonly records: ReadonlyMap<string, ModelFile>;
}

/** What moves and compares bytes, on the model's files. A function that is not here makes the schedule fail. */
export function modelDataPlane(world: World, process: ControllerProcess): DataPlane {
  const plane = {
    openWorkbench: (options: WorkbenchOptions) => modelBench(world, options),
    sweepBenches: (options: { host: Host; labels: Record<string, string>; names: readonly string[] }) =>
      sweep(linkOf(options.host), options.labels, options.names),
    copyTree: (options: CopyOptions) => copyByRoute(world, options),
    standbyCopy: (options: CopyOptions) =>
      Promise.resolve({
        go: (signal?: AbortSignal) => copyByRoute(world, { ...options, ...(signal === undefined ? {} : { signal }) }),
        cancel: () => undefined,
      }),
    standbyManifests: (options: Parameters<DataPlane['standbyManifests']>[0]) => {
      const { source, sourcePath, target, targetPath, name = 'verify' } = options;
      const side = (which: string, bench: Workbench, path: string) => ({
        go: (signal?: AbortSignal) => manifest(bench, path, `${name}-${which}`, signal),
        cancel: () => undefined,
      });
      return Promise.resolve({
        source: side('source', source, sourcePath),
        target: side('target', target, targetPath),
      });
    },
    sampleCompression: () => Promise.resolve({ bytes: 1 << 22, compressedBytes: 1 << 22, milliseconds: 10 }),
    countConnections: ({ host }: Engine) => linkOf(host).call('count connections', () => 0),
    ...modelDirect(world),
    ...modelForward(world),
    measureTree: async (bench: Workbench, path: string, signal?: AbortSignal) => {
      const { files, bytes } = await reading(bench, 'measure', path, signal, (tree) => ({
        files: tree.files.size,
        bytes: bytesOf(tree),
      }));
      return { bytes, allocatedBytes: bytes, files, inodes: files };
    },
    buildManifest: (bench: Workbench, path: string, { name, signal }: { name: string; signal?: AbortSignal }) =>
      manifest(bench, path, name, signal),
    findManifest: async (bench: Workbench, name: string) => {
      const kept = await linkOf(bench).call(`find manifest ${name}`, () => manifestsOf(bench).get(name));
      return kept === undefined ? undefined : handleOf(bench, kept);
    },
    verifyTrees: verify,
    sendImage: (options: Parameters<DataPlane['sendImage']>[0]) => sendImage(world, options),
    moveTag,
    readWritableChanges: async (engine: Engine, id: string) => {
      const added = await linkOf(engine.host).call(`changes of container`, () => [
        ...linkOf(engine.host).server.find(id).layer.files.keys(),
      ]);
      return { added, changed: [], deleted: [], excluded: [] };
    },
    copyWritableLayer: async (source: Engine, from: string, target: Engine, to: string) => {
      const files = await linkOf(source.host).call('read layer', () => [
        ...linkOf(source.host).server.find(from).layer.files,
      ]);
      await linkOf(target.host).call('write layer', () => {
        const { layer } = linkOf(target.host).server.find(to);
        for (const [path, file] of files) writeFile(layer, path, file.content, file);
      });
    },
    /** A name server that answers what the provider has. */
    queryRecord: async ({ name }: { name: string }) => {
      await sleep(world.clock, 20);
      await process.life.go();
      const content = world.dns.addressOf(name);
      return [{ server: '192.0.2.53', ok: true, records: content === undefined ? [] : [{ content }] }];
    },
    /** From the controller to a public address. */
    openTcp: (address: string, port: number) =>
      lazyStream(async () => {
        const server = world.servers.find((one) => one.address === address);
        await world.network.travel('controller', server?.name as 'alpha' | 'beta');
        await process.life.go();
        if (server === undefined || (server === world.beta && world.scenario.unheardAtTarget === true)) return false;
        return world.application.serves(server, port);
      }),
  };
  return new Proxy(plane as unknown as DataPlane, {
    get(target, name) {
      const known = Reflect.get(target, name) as unknown;
      if (known !== undefined) return known;
      world.violate(`not modelled: DataPlane.${String(name)}`);
      throw new Unmodelled(`DataPlane.${String(name)}`);
    },
  });
}

function treeAt(link: Link, path: string): FileTree {
  const { server } = link;
  if (!server.folders.has(path)) throw new GridferryError('GF_VOLUME_MANIFEST_FAILED', `${path} is not there`);
  return server.folder(path);
}

function reading<T>(
  bench: Workbench,
  what: string,
  path: string,
  signal: AbortSignal | undefined,
  read: (tree: FileTree) => T,
): Promise<T> {
  const link = linkOf(bench);
  return link.call(`${what} ${path}`, () => read(treeAt(link, path)), signal);
}

/** From server to server where that is the way, and through the controller where it breaks. */
async function copyByRoute(world: World, options: CopyOptions): Promise<CopyPass> {
  const { route, signal } = options;
  if (route?.mode !== 'Direct') return copy(world, options);
  try {
    return await copyDirectly(world, options);
  } catch (error) {
    signal?.throwIfAborted();
    const isBroken = error instanceof GridferryError && error.code === 'GF_LINK_FAILED';
    if (!isBroken || route.otherwise === 'Fail') throw error;
    // Nothing of it may write beside what goes through here.
    for (const host of [route.link.dialler, route.link.other]) {
      await linkOf(host).call('stop programs', () => stopJobs(linkOf(host).server, route.link.id), signal);
    }
    route.onFallback?.(error.message);
    return copy(world, options);
  }
}

/**
 * As rsync copies: first the list with sizes and times, then file by file what is there by now. A file that changed in
 * between is at the target with the newer content and the older time, so that the next pass takes it again.
 */
async function copy(world: World, options: CopyOptions): Promise<CopyPass> {
  const { source, sourcePath, target, targetPath, signal, running } = options;
  const startedAt = world.clock.now();
  const begin = world.clock.monotonic();
  const list = await reading(source, 'list', sourcePath, signal, (tree) => [...tree.files]);
  const there = await reading(target, 'compare', targetPath, signal, (tree) => new Map(tree.files));
  const result = { bytesOnWire: 0, filesTransferred: 0, vanished: 0 };
  for (const [path, listed] of list) {
    const known = there.get(path);
    const alike = known?.size === listed.size && known.mtime === listed.mtime;
    if (alike && (options.compare !== 'content' || known.content === listed.content)) continue;
    await sleep(world.clock, world.network.durationOf(listed.size * WEIGHT), signal);
    const content = await reading(source, 'read', sourcePath, signal, (tree) => tree.files.get(path)?.content);
    if (content === undefined) {
      if (!running) throw new GridferryError('GF_VOLUME_VANISHED', `${path} vanished while it was copied`);
      result.vanished++;
      continue;
    }
    await reading(target, 'write', targetPath, signal, (tree) => {
      try {
        linkOf(target).server.requireSpace(content.length);
      } catch (error) {
        if (!(error instanceof EngineFailure)) throw error;
        throw new GridferryError('GF_VOLUME_NO_SPACE', `server ${target.name} has no space left`);
      }
      writeFile(tree, path, content, { mtime: listed.mtime });
    });
    result.filesTransferred++;
    result.bytesOnWire += content.length * WEIGHT;
    options.onProgress?.(result.bytesOnWire, result.bytesOnWire);
  }
  const names = new Set(list.map(([path]) => path));
  const extra = [...there.keys()].filter((path) => !names.has(path));
  if (extra.length > 0) {
    await reading(target, 'delete', targetPath, signal, (tree) => {
      for (const path of extra) removeFile(tree, path);
    });
  }
  return passOf(world, result, list, startedAt, begin);
}

async function manifest(bench: Workbench, path: string, name: string, signal?: AbortSignal) {
  const records = await reading(bench, 'manifest', path, signal, (tree) => {
    const found = new Map(tree.files);
    manifestsOf(bench).set(name, found);
    return found;
  });
  return handleOf(bench, records);
}

/** What a bench keeps until it is closed, also for the next process. */
function manifestsOf(bench: Workbench): Map<string, ReadonlyMap<string, ModelFile>> {
  const { manifests } = linkOf(bench).server;
  const folder = posix.basename(bench.workFolder);
  let kept = manifests.get(folder);
  if (kept === undefined) manifests.set(folder, (kept = new Map()));
  return kept;
}

function handleOf(bench: Workbench, records: ReadonlyMap<string, ModelFile>) {
  const bytes = [...records.values()].reduce((sum, { size }) => sum + size, 0);
  const counts = { entries: records.size, inodes: records.size, files: records.size, bytes, allocatedBytes: bytes };
  return { bench, records, ...counts, skippedMounts: 0, unreadable: 0, durationMs: 1, notVerified: [] };
}

async function verify(options: Parameters<DataPlane['verifyTrees']>[0]): Promise<Verification> {
  const { source, sourcePath, target, targetPath, mode, name = 'verify', signal, limit = 10 } = options;
  const standing = options.standby as { source?: Standby<Handle>; target?: Standby<Handle> } | undefined;
  const [left, right] = await Promise.all([
    goOr(standing?.source, () => manifest(source, sourcePath, `${name}-source`, signal), signal),
    goOr(standing?.target, () => manifest(target, targetPath, `${name}-target`, signal), signal),
  ]);
  const paths = [...new Set([...left.records.keys(), ...right.records.keys()])].sort();
  const known = (previous: unknown): ReadonlyMap<string, ModelFile> | undefined =>
    mode === 'Changed' ? (previous as ModelManifest | undefined)?.records : undefined;
  const differences = paths.flatMap((path): Difference[] => {
    const a = left.records.get(path);
    const b = right.records.get(path);
    if (a === undefined || b === undefined) return [{ path, what: [a === undefined ? 'extra' : 'missing'] }];
    const what = [
      ...(a.size === b.size ? [] : ['size']),
      ...(a.mtime === b.mtime ? [] : ['mtime']),
      ...(mode === 'Metadata' ||
      hashOf(a, known(options.previousSource)?.get(path)) === hashOf(b, known(options.previousTarget)?.get(path))
        ? []
        : ['content']),
    ];
    return what.length === 0 ? [] : [{ path, what }];
  });
  const result =
    differences.length === 0
      ? { equal: true }
      : { equal: false, differences: differences.slice(0, limit), total: differences.length };
  return { result, source: left, target: right, durationMs: 1 } as unknown as Verification;
}

/** The content, read now, or remembered where size and times say that nothing changed since. */
function hashOf(file: ModelFile, earlier: ModelFile | undefined): string {
  const same = earlier?.size === file.size && earlier.mtime === file.mtime && earlier.ctime === file.ctime;
  return same ? earlier.content : file.content;
}

async function sendImage(world: World, options: Parameters<DataPlane['sendImage']>[0]) {
  const [from, to] = [linkOf(options.source.host), linkOf(options.target.host)];
  const image = await from.call('save image', () => plainCopy(findImage(from.server, options.imageId)), options.signal);
  const present = await to.call('look for image', () => to.server.images.has(image.Id), options.signal);
  if (!present) {
    await sleep(world.clock, world.network.durationOf(image.Size), options.signal);
    options.onProgress?.({ phase: 'Sending', bytesDone: image.Size, bytesTotal: image.Size });
    await to.call(
      'load image',
      () => {
        to.server.requireSpace(image.Size);
        to.server.images.set(image.Id, { ...image, RepoTags: [] });
      },
      options.signal,
    );
  }
  const retagged: { reference: string; previousId: string }[] = [];
  for (const reference of options.references ?? image.RepoTags) {
    const before = [...to.server.images.values()].find(({ RepoTags }) => RepoTags.includes(reference));
    if (before?.Id === image.Id) continue;
    await to.call(`tag ${reference}`, () => tag(to, reference, image.Id), options.signal);
    if (before !== undefined) retagged.push({ reference, previousId: before.Id });
  }
  const sent = present ? 0 : image.Size;
  return {
    ...{ how: present ? 'Present' : 'Whole', targetId: image.Id, layersTotal: 1, layersSent: present ? 0 : 1 },
    ...{ bytesSent: sent, bytesSkipped: image.Size - sent, retagged, fellThrough: [] },
  } as Awaited<ReturnType<DataPlane['sendImage']>>;
}

function tag(link: Link, reference: string, id: string): void {
  for (const image of link.server.images.values()) {
    image.RepoTags = image.RepoTags.filter((one) => one !== reference);
    if (image.Id === id) image.RepoTags.push(reference);
  }
}

const moveTag: DataPlane['moveTag'] = async (engine, reference, { from, to }) => {
  const link = linkOf(engine.host);
  await link.call(`tag ${reference} back`, () => {
    const holder = [...link.server.images.values()].find(({ RepoTags }) => RepoTags.includes(reference));
    if (holder?.Id === from) tag(link, reference, to);
  });
};

import type { DataPlane } from '../../controllers/transfer/copying/data-plane.ts';
import { GridferryError } from '../../src/errors.ts';
import { sleep } from '../../src/runtime/clock.ts';
import type { CopyOptions, CopyPass } from '../../src/volumes/copy.ts';
import { EngineFailure } from './engine-failure.ts';
import { removeFile, writeFile } from './file-tree.ts';
import { linkOf } from './model-host.ts';
import type { ModelServer } from './model-server.ts';
import type { World } from './world.ts';

/** How many bytes on the wire stand for one of the model's. */
export const WEIGHT = 10_000;

/** A copy that runs on a server by itself, whoever started it. */
export interface ModelJob {
  readonly what: string;
  readonly outcome: Promise<CopyPass | Error>;
  stopped: boolean;
}

/** How long a job goes on without an answer of the other server, in ms. */
const JOB_PATIENCE_MS = 60_000;

/** Connections from server to server, their credentials, and the jobs that run over them. */
export function modelDirect(world: World) {
  const isCut = (): boolean => world.network.isCut('alpha', 'beta') || !world.alpha.up || !world.beta.up;

  const openServerLink: DataPlane['openServerLink'] = async ({ id, dialler, other, signal }) => {
    const [from, to] = [linkOf(dialler.host), linkOf(other.host)];
    await from.call('prepare the dialling server', () => void from.server.transferFolders.add(id), signal);
    await to.call('prepare the dialled server', () => void to.server.transferFolders.add(id), signal);
    await to.call('stop programs', () => stopJobs(to.server, id), signal);
    await to.call('authorize a key', () => void to.server.authorizedKeys.add(id), signal);
    try {
      await from.call(
        'dial',
        () => {
          if (isCut()) throw failed('no way to the other server');
          from.server.warmLinks.add(id);
        },
        signal,
      );
    } finally {
      await to.call('revoke the key', () => void to.server.authorizedKeys.delete(id));
    }
    return { link: { id, dialler: dialler.host, other: other.host }, credential: 'Agent' };
  };

  return {
    openServerLink,
    isLinkOpen: ({ dialler, id }: Parameters<DataPlane['isLinkOpen']>[0], signal?: AbortSignal) =>
      linkOf(dialler).call('is the link open', () => linkOf(dialler).server.warmLinks.has(id), signal),
    measureRoundTrip: (host: Parameters<DataPlane['measureRoundTrip']>[0], signal?: AbortSignal) =>
      linkOf(host).call('measure the round trip', () => 0.4, signal),
    measureServerLink: ({ dialler }: Parameters<DataPlane['measureServerLink']>[0], signal?: AbortSignal) =>
      linkOf(dialler).call(
        'measure the link',
        () => {
          if (isCut()) throw failed('nothing comes back');
          return { roundTripMs: 0.4, bytesPerSecond: 100 << 20 };
        },
        signal,
      ),
    stopPrograms: (host: object, id: string, _which: object, signal?: AbortSignal) =>
      linkOf(host).call('stop programs', () => stopJobs(linkOf(host).server, id), signal),
    scrubServer: async (host: object, id: string, signal?: AbortSignal) => {
      const link = linkOf(host);
      await link.call('revoke the key', () => void link.server.authorizedKeys.delete(id), signal);
      await link.call(
        'remove the transfer folder',
        () => {
          stopJobs(link.server, id);
          link.server.warmLinks.delete(id);
          link.server.transferFolders.delete(id);
        },
        signal,
      );
    },
  };
}

/** Starts a copy as a job of the dialling server, or finds the one that an earlier process started, and waits for it. */
export async function copyDirectly(world: World, options: CopyOptions): Promise<CopyPass> {
  const { route, source, target, sourcePath, targetPath, running, compare, signal } = options;
  if (route?.mode !== 'Direct') throw new Error('not a direct route');
  const { id } = route.link;
  const dialler = linkOf(route.link.dialler);
  const what = [source.name, sourcePath, running, compare ?? 'times'].join(' ');
  const job = await dialler.call(
    `start job ${sourcePath}`,
    () => {
      if (!dialler.server.warmLinks.has(id)) throw failed('the connection is closed');
      const jobs = jobsOf(dialler.server, id);
      const known = jobs.get(what);
      if (known !== undefined && !known.stopped) return known;
      for (const other of jobs.values()) if (other.what.includes(sourcePath)) other.stopped = true;
      const started: ModelJob = {
        what,
        stopped: false,
        outcome: runJob(
          world,
          { from: linkOf(source).server, to: linkOf(target).server, sourcePath, targetPath, running, compare },
          () => started.stopped,
        ),
      };
      jobs.set(what, started);
      void started.outcome.then(() => {
        if (jobs.get(what) === started) jobs.delete(what);
        if (jobs.size === 0 && dialler.server.jobs.get(id) === jobs) dialler.server.jobs.delete(id);
      });
      return started;
    },
    signal,
  );
  const outcome = await dialler.call(`wait for job ${sourcePath}`, () => job.outcome, signal);
  if (outcome instanceof Error) throw outcome;
  return outcome;
}

interface JobSpec {
  readonly from: ModelServer;
  readonly to: ModelServer;
  readonly sourcePath: string;
  readonly targetPath: string;
  readonly running: boolean;
  readonly compare: CopyOptions['compare'];
}

/** The same order of looks and writes as a copy through the controller; every look happens on the servers themselves. */
async function runJob(world: World, spec: JobSpec, isStopped: () => boolean): Promise<CopyPass | Error> {
  const { from, to, sourcePath, targetPath, running, compare } = spec;
  const begin = world.clock.monotonic();
  const startedAt = world.clock.now();
  const result = { bytesOnWire: 0, filesTransferred: 0, vanished: 0 };
  const pause = async (ms: number): Promise<void> => {
    await sleep(world.clock, ms);
    for (let waited = 0; world.network.isCut('alpha', 'beta'); waited += 1_000) {
      if (waited >= JOB_PATIENCE_MS) throw failed('the other server does not answer');
      await sleep(world.clock, 1_000);
    }
    if (isStopped() || !from.up || !to.up) throw failed('the job was ended');
    if (!from.folders.has(sourcePath) || !to.folders.has(targetPath)) throw failed('a folder is gone');
  };
  try {
    await pause(4);
    const list = [...from.folder(sourcePath).files];
    const there = new Map(to.folder(targetPath).files);
    for (const [path, listed] of list) {
      const known = there.get(path);
      const alike = known?.size === listed.size && known.mtime === listed.mtime;
      if (alike && (compare !== 'content' || known.content === listed.content)) continue;
      await pause(2 + world.network.durationOf(listed.size * WEIGHT));
      const content = from.folder(sourcePath).files.get(path)?.content;
      if (content === undefined) {
        if (!running) throw new GridferryError('GF_VOLUME_VANISHED', `${path} vanished while it was copied`);
        result.vanished++;
        continue;
      }
      to.requireSpace(content.length);
      writeFile(to.folder(targetPath), path, content, { mtime: listed.mtime });
      world.event();
      result.filesTransferred++;
      result.bytesOnWire += content.length * WEIGHT;
    }
    await pause(2);
    const names = new Set(list.map(([path]) => path));
    for (const path of there.keys()) if (!names.has(path)) removeFile(to.folder(targetPath), path);
    return passOf(world, result, list, startedAt, begin);
  } catch (error) {
    if (error instanceof EngineFailure) return new GridferryError('GF_VOLUME_NO_SPACE', `server ${to.name} is full`);
    return error as Error;
  }
}

export function passOf(
  world: World,
  result: { readonly bytesOnWire: number; readonly filesTransferred: number; readonly vanished: number },
  list: readonly (readonly [string, { readonly size: number }])[],
  startedAt: number,
  begin: number,
): CopyPass {
  const totalBytes = list.reduce((sum, [, { size }]) => sum + size, 0);
  const durationMs = world.clock.monotonic() - begin;
  return { tool: 'rsync', ...result, totalFiles: list.length, totalBytes, startedAt, durationMs, limitations: [] };
}

function jobsOf(server: ModelServer, id: string): Map<string, ModelJob> {
  let jobs = server.jobs.get(id);
  if (jobs === undefined) server.jobs.set(id, (jobs = new Map()));
  return jobs;
}

export function stopJobs(server: ModelServer, id: string): void {
  for (const job of server.jobs.get(id)?.values() ?? []) job.stopped = true;
  server.jobs.delete(id);
}

function failed(why: string): GridferryError {
  return new GridferryError('GF_LINK_FAILED', `The direct way cannot be used: ${why}.`, { class: 'retryable' });
}

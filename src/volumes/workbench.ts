import { posix } from 'node:path';
import type Docker from 'dockerode';
import { GridferryError } from '../errors.ts';
import type { ExecOptions, ExecResult, Host, HostProcess, SpawnOptions } from '../ssh/host.ts';
import type { BenchTools } from './bench-tools.ts';
import { openContainerWorkbench } from './container-workbench.ts';
import { openDirectWorkbench } from './direct-workbench.ts';
import { isNotFound } from './docker-status.ts';

/** Where data live on a server. A bind of a single file is marked, because a file cannot be told from a missing folder. */
export type DataLocation =
  | { readonly kind: 'volume'; readonly name: string }
  | { readonly kind: 'bind'; readonly path: string; readonly file?: boolean };

/** A place on one server where programs run as root and see the given data. */
export interface Workbench {
  /** For messages: the server's name. */
  readonly name: string;
  readonly mode: 'direct' | 'container';
  readonly tools: BenchTools;
  /** A folder for our own files (scripts, lists, manifests) that outlives this process, until `close`. */
  readonly workFolder: string;
  /** The path of a location as the bench's programs see it. */
  pathOf(location: DataLocation): string;
  spawn(argv: readonly string[], options?: Omit<SpawnOptions, 'root'>): Promise<HostProcess>;
  exec(argv: readonly string[], options?: Omit<ExecOptions, 'root'>): Promise<ExecResult>;
  /** Removes the helper container and the work folder. Not calling it leaves both for the next process to take over. */
  close(): Promise<void>;
}

export interface WorkbenchOptions {
  readonly host: Host;
  readonly docker: Docker;
  readonly locations: readonly DataLocation[];
  /** Unique per transfer and server; a bench with the same name left by an earlier process is taken over. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Default: direct where the host gives root and every volume is a plain folder. */
  readonly prefer?: 'direct' | 'container';
  /** Data are mounted read-only (in container mode), so that not even access times change. */
  readonly readOnly?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Opens a workbench: directly on the host when programs run as root there, else in a helper container that anybody in
 * the `docker` group may start.
 *
 * Rejects with `GF_VOLUME_NOT_FOUND`, `GF_VOLUME_BENCH_INVALID` and `GF_VOLUME_BENCH_FAILED`.
 */
export async function openWorkbench(options: WorkbenchOptions): Promise<Workbench> {
  checkOptions(options);
  const mountpoints = new Map<string, string | undefined>();
  for (const location of options.locations) {
    if (location.kind === 'volume') mountpoints.set(location.name, await plainMountpoint(options, location.name));
  }
  const allPlain = [...mountpoints.values()].every((mountpoint) => mountpoint !== undefined);
  if (options.host.isRoot && options.prefer !== 'container' && allPlain) {
    return openDirectWorkbench(options, mountpoints as ReadonlyMap<string, string>);
  }
  return openContainerWorkbench(options);
}

/** One key per location, for maps. */
export function locationKey(location: DataLocation): string {
  return location.kind === 'volume' ? `volume:${location.name}` : `bind:${location.path}`;
}

function checkOptions({ name, locations }: WorkbenchOptions): void {
  if (!/^[a-z0-9][a-z0-9_.-]{0,100}$/i.test(name)) {
    throw new GridferryError(
      'GF_VOLUME_BENCH_INVALID',
      `'${name}' cannot name a workbench: use letters, digits, '-', '_', '.'.`,
    );
  }
  for (const location of locations) {
    if (location.kind === 'volume' ? /^[a-z0-9][a-z0-9_.-]*$/i.test(location.name) : isUsablePath(location.path))
      continue;
    const what = location.kind === 'volume' ? location.name : location.path;
    throw new GridferryError(
      'GF_VOLUME_BENCH_INVALID',
      `'${what}' is neither a volume's name nor an absolute path below '/'.`,
    );
  }
}

function isUsablePath(path: string): boolean {
  return path.startsWith('/') && path !== '/' && posix.normalize(path) === path && !path.includes('\0');
}

/** The folder of a volume that is just a folder; undefined for one that Docker has to mount first. */
async function plainMountpoint({ docker, host }: WorkbenchOptions, name: string): Promise<string | undefined> {
  try {
    const volume = await docker.getVolume(name).inspect();
    const needsMount = volume.Driver !== 'local' || Object.keys(volume.Options ?? {}).length > 0;
    return needsMount ? undefined : volume.Mountpoint;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new GridferryError(
      'GF_VOLUME_NOT_FOUND',
      `Server ${host.name} has no volume '${name}'; create it before copying.`,
      {
        cause: error,
      },
    );
  }
}

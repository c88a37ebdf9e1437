import { posix } from 'node:path';
import { GridferryError } from '../errors.ts';
import { openContainerWorkbench } from './container-workbench.ts';
import { openDirectWorkbench } from './direct-workbench.ts';
import { isNotFound } from './docker-status.ts';
import type { Workbench, WorkbenchOptions } from './workbench.ts';

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

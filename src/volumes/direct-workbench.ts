import { envCommand, sudoCommand } from '../ssh/command-line.ts';
import type { ExecOptions, SpawnOptions } from '../ssh/host.ts';
import { findTools } from './bench-tools.ts';
import { locationKey, type Workbench, type WorkbenchOptions } from './workbench.ts';

export const WORK_FOLDERS = '/var/lib/gridferry';

/** The work folder of the bench of this name. */
export function folderOf(name: string): string {
  return `${WORK_FOLDERS}/${name}`;
}

/** Programs run as root on the host itself; volumes are their folders. */
export async function openDirectWorkbench(
  { host, locations, name, signal }: WorkbenchOptions,
  mountpoints: ReadonlyMap<string, string>,
): Promise<Workbench> {
  const paths = new Map(
    locations.map((location) => [
      locationKey(location),
      location.kind === 'volume' ? (mountpoints.get(location.name) as string) : location.path,
    ]),
  );
  const workFolder = folderOf(name);
  const exec: Workbench['exec'] = (argv, options: ExecOptions = {}) => host.exec(argv, { ...options, root: true });
  const cancellable = signal ? { signal } : {};
  // Root's own umask decides otherwise, and the parent folder may be shared by transfers.
  const making = exec(['mkdir', '-p', '-m', '700', workFolder], cancellable);
  const finding = findTools((argv, options) => exec(argv, { ...options, ...cancellable }));
  const [, tools] = await Promise.all([making, finding]);

  return {
    name: host.name,
    mode: 'direct',
    tools,
    workFolder,
    pathOf(location) {
      const path = paths.get(locationKey(location));
      if (path === undefined) throw new Error(`${locationKey(location)} is not on this workbench`);
      return path;
    },
    spawn: (argv, options: SpawnOptions = {}) => host.spawn(argv, { ...options, root: true }),
    exec,
    hostCommand(argv, env) {
      const command = envCommand(argv, env);
      return host.user === 'root' ? command : sudoCommand(command);
    },
    async close() {
      await exec(['rm', '-rf', '--', workFolder]);
    },
  };
}

import { GridferryError } from '../../src/errors.ts';
import type { ExecOptions, ExecResult } from '../../src/ssh/host.ts';
import { workbenchLabel } from '../../src/volumes/container-workbench.ts';
import type { Workbench, WorkbenchOptions } from '../../src/volumes/workbench.ts';
import { Unmodelled } from './engine-failure.ts';
import { newTree, removeFile } from './file-tree.ts';
import type { Link } from './link.ts';
import { linkOf, remember, removeEmptyFolders, runProgram } from './model-host.ts';
import { labelsOf } from './model-server.ts';
import type { ModelServer } from './model-server.ts';
import type { World } from './world.ts';

type Programs = NonNullable<Parameters<typeof runProgram>[3]>;

/** The programs that steps run on a bench. */
const programs: Programs = [
  removeEmptyFolders,
  (server, [program, test, path = '']) =>
    program === 'test' && test === '-e' ? { exitCode: server.folders.has(path) ? 0 : 1 } : undefined,
  (_server, [, , script = '']) => (script.includes('sync -f') ? {} : undefined),
  (server, [program, ...rest]) => {
    if (program !== 'mkdir') return undefined;
    for (const path of rest.filter((one) => one.startsWith('/'))) server.folder(path);
    return {};
  },
  // Whether a folder is empty.
  (server, [, , script = '', path = '']) =>
    script.includes('lost+found')
      ? { stdout: [...(server.folders.get(path)?.files.keys() ?? [])][0] ?? '' }
      : undefined,
  // Emptying a folder that the transfer filled.
  (server, [, , script = '', path = '', ...argv]) => {
    if (!script.includes('exec "$@"') || !argv.includes('-delete')) return undefined;
    const tree = server.folders.get(path);
    for (const file of [...(tree?.files.keys() ?? [])]) removeFile(tree!, file);
    return {};
  },
];

/** A place to work on data: as root a folder, else a helper container. */
export async function modelBench(world: World, options: WorkbenchOptions): Promise<Workbench> {
  const { host, name, labels, locations } = options;
  const link = linkOf(host);
  const { server } = link;
  await link.call(
    `open bench ${name}`,
    () => {
      for (const location of locations) {
        if (location.kind === 'bind' || server.volumes.has(location.name)) continue;
        throw new GridferryError('GF_VOLUME_NOT_FOUND', `Server ${server.name} has no volume '${location.name}'`);
      }
      if (host.isRoot) server.workFolders.add(name);
      else addHelper(server, name, labels, locations);
    },
    options.signal,
  );
  async function exec(argv: readonly string[], more: Omit<ExecOptions, 'root'> = {}): Promise<ExecResult> {
    const op = `bench ${argv.join(' ').replaceAll(/\s+/g, ' ').slice(0, 80)}`;
    const { stdout = '', exitCode = 0 } = await link.call(
      op,
      () => runProgram(server, argv, world, programs),
      more.signal,
    );
    if (exitCode !== 0 && more.allowFailure !== true) {
      throw new GridferryError(
        'GF_COMMAND_FAILED',
        `${argv[0] ?? ''} on ${server.name} ended with ${String(exitCode)}`,
      );
    }
    return { stdout, stderr: '', exitCode };
  }
  const bench: Workbench = {
    name: server.name,
    mode: host.isRoot ? 'direct' : 'container',
    tools: {
      ...{ rsync: { version: '3.2.7', acls: true, xattrs: true }, gnuTar: true, gnuFind: true, python3: true },
      ...{ perl: true, b2sum: true, sha256sum: true, getfattr: true, setfattr: true, getfacl: true, cpus: 2 },
    },
    workFolder: `/var/lib/gridferry/${name}`,
    pathOf: (location) => (location.kind === 'bind' ? location.path : `/var/lib/docker/volumes/${location.name}/_data`),
    exec,
    spawn: (argv) => {
      world.violate(`not modelled: bench program ${argv.join(' ').slice(0, 100)}`);
      throw new Unmodelled(argv.join(' '));
    },
    close: async () => {
      await link.call(`close bench ${name}`, () => removeBench(server, name));
    },
  };
  remember(bench, link);
  return bench;
}

function addHelper(
  server: ModelServer,
  name: string,
  labels: WorkbenchOptions['labels'],
  locations: WorkbenchOptions['locations'],
): void {
  if (server.byName(name) !== undefined) return;
  const mounts = locations.flatMap((location) =>
    location.kind === 'volume'
      ? [
          {
            Type: 'volume',
            Name: location.name,
            Source: '',
            Destination: `/${location.name}`,
            Mode: '',
            RW: true,
            Propagation: '',
          },
        ]
      : [],
  );
  server.addContainer({
    ...{ id: server.newId(), name, image: 'gridferry/workbench:empty', hostConfig: {}, networks: {}, mounts },
    config: { Labels: { ...labels, [workbenchLabel]: name } },
    ...{ layer: newTree(), state: 'running', pid: 1, exitCode: 0, stopping: undefined },
    ...{ stoppedByHand: false, startedBefore: true, startedAt: '' },
  });
}

function removeBench(server: ModelServer, name: string): void {
  server.workFolders.delete(name);
  server.manifests.delete(name);
  const helper = server.byName(name);
  if (helper !== undefined) server.remove(helper);
}

/** What benches of an earlier process may have left. */
export async function sweep(
  link: Link,
  labels: Readonly<Record<string, string>>,
  names: readonly string[],
): Promise<void> {
  const { server } = link;
  await link.call('sweep benches', () => {
    for (const name of names) {
      server.workFolders.delete(name);
      server.manifests.delete(name);
    }
    for (const container of [...server.containers.values()]) {
      const has = labelsOf(container);
      const ours = Object.entries(labels).every(([key, value]) => has[key] === value);
      if (ours && has[workbenchLabel] !== undefined) server.remove(container);
    }
  });
}

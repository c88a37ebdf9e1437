import type Docker from 'dockerode';
import type { Host } from '../ssh/host.ts';
import { sweepWorkbenches, workbenchLabel } from './container-workbench.ts';
import { folderOf, WORK_FOLDERS } from './direct-workbench.ts';

/**
 * Removes what benches of an earlier process may have left on a server: helper containers that carry all the labels, and
 * the work folders of these names. Nothing to remove is fine.
 */
export async function sweepBenches({
  host,
  docker,
  labels,
  names,
}: {
  readonly host: Host;
  readonly docker: Docker;
  readonly labels: Readonly<Record<string, string>>;
  readonly names: readonly string[];
}): Promise<void> {
  await sweepWorkbenches(docker, labels);
  // Without root there never was a bench on the host itself.
  if (!host.isRoot) return;
  // Another transfer may be using the folder around them: then it stays.
  const script = 'around=$1; shift; rm -rf -- "$@" || exit; rmdir -- "$around" 2>/dev/null; exit 0';
  await host.exec(['sh', '-c', script, 'sh', WORK_FOLDERS, ...names.map(folderOf)], { root: true });
}

/** The names of the benches that are on a server, whoever opened them. */
export async function benchesOn({ host, docker }: { readonly host: Host; readonly docker: Docker }): Promise<string[]> {
  const helpers = await docker.listContainers({ all: true, filters: { label: [workbenchLabel] } });
  const names = helpers.map(({ Labels }) => Labels[workbenchLabel] ?? '');
  if (host.isRoot) {
    const script = 'for folder in "$1"/*/; do [ ! -d "$folder" ] || basename "$folder"; done';
    const { stdout } = await host.exec(['sh', '-c', script, 'sh', WORK_FOLDERS], { root: true });
    names.push(...stdout.split('\n'));
  }
  return [...new Set(names)].filter((name) => name !== '');
}

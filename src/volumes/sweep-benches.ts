import type Docker from 'dockerode';
import type { Host } from '../ssh/host.ts';
import { sweepWorkbenches } from './container-workbench.ts';
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
  await host.exec(['rm', '-rf', '--', ...names.map(folderOf)], { root: true });
  // Another transfer may be using it: then it stays.
  await host.exec(['rmdir', '--', WORK_FOLDERS], { root: true, allowFailure: true });
}

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const crds = join(import.meta.dirname, '../../crds');

/** Has the cluster of a kubeconfig serve the CRDs of crds/, unless it does so already. */
export function installCrds(kubeconfig: string, kubectl: string): void {
  const run = (args: readonly string[]): { readonly status: number | null; readonly stderr: string } =>
    spawnSync(kubectl, [...args, `--kubeconfig=${kubeconfig}`, `--filename=${crds}`], { encoding: 'utf8' });
  if (run(['get']).status === 0) return;
  for (const args of [
    ['apply', '--server-side', '--force-conflicts'],
    ['wait', '--for=condition=Established', '--timeout=60s'],
  ]) {
    const { status, stderr } = run(args);
    if (status !== 0) throw new Error(`kubectl ${args.join(' ')} of the CRDs failed: ${stderr}`);
  }
}

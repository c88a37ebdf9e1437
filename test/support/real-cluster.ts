import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { delimiter, join } from 'node:path';
import type { Test } from 'tap';
import { Transfers } from '../../src/api/resources.ts';
import { connectCluster } from '../../src/home/cluster/cluster-client.ts';
import type { ClusterClient } from '../../src/home/cluster/cluster-client.ts';
import { kubectlOnPath } from './kubectl-on-path.ts';

const ROOT = join(import.meta.dirname, '../..');

/** A namespace of a real API server, with our CRDs, and kubectl as a user of it has it. */
export interface RealCluster {
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly client: ClusterClient;
  /** Runs kubectl in the namespace; rejects with what it said when it fails. */
  kubectl(...args: string[]): Promise<string>;
  /** `kubectl apply -f -` of that YAML, in the namespace unless it names others. */
  apply(yaml: string): Promise<string>;
}

/**
 * A namespace of its own each time, so that what another run left there does no harm.
 *
 * Resolves with nothing when GRIDFERRY_TEST_KUBECONFIG names no API server; the test says then that it did not
 * run.
 */
export async function openRealCluster(t: Test, name: string): Promise<RealCluster | undefined> {
  const kubeconfig = process.env['GRIDFERRY_TEST_KUBECONFIG'] ?? '';
  if (kubeconfig === '') return undefined;
  // The newest of those that were named: the last.
  const named = process.env['GRIDFERRY_TEST_KUBECTLS']?.split(delimiter).at(-1);
  const program = named ?? kubectlOnPath() ?? 'kubectl';

  function run(args: readonly string[], input?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(program, ['--kubeconfig', kubeconfig, ...args], (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`kubectl ${args.join(' ')}: ${stderr === '' ? error.message : stderr}`));
      });
      child.stdin?.end(input);
    });
  }
  await run(['apply', '--server-side', '--force-conflicts', '-f', join(ROOT, 'crds')]);
  const namespace = `${name}-${randomBytes(3).toString('hex')}`;
  await run(['create', 'namespace', namespace]);
  const client = await connectCluster({ kubeconfig });
  t.teardown(async () => {
    // Nobody is left to let go of the transfers of a test that failed.
    for (const { metadata } of (await client.list(Transfers, { namespace })).items) {
      const key = { namespace, name: metadata.name };
      await client.patch(Transfers, key, { type: 'merge', body: { metadata: { finalizers: null } } });
    }
    client.close();
    await run(['delete', 'namespace', namespace, '--wait=false']);
  });
  return {
    kubeconfig,
    namespace,
    client,
    kubectl: (...args) => run(['--namespace', namespace, ...args]),
    apply: (yaml) =>
      run(['apply', '-f', '-', ...(/^ +namespace: /m.test(yaml) ? [] : ['--namespace', namespace])], yaml),
  };
}

import { Command } from 'commander';
import t from 'tap';
import { addClusterOptions, checkHome, clusterRunOptions } from '../../src/cli/cluster-options.ts';
import type { ClusterFlags } from '../../src/cli/cluster-options.ts';
import { runProgram } from '../support/run-program.ts';

function flags(...args: string[]): ClusterFlags {
  return addClusterOptions(new Command())
    .parse(['node', 'gridferry', ...args])
    .opts<ClusterFlags>();
}

const usage = (message: RegExp): { code: string; message: RegExp } => ({ code: 'GF_CLI_USAGE', message });

void t.test('either a directory or a cluster, each with its own options', (t) => {
  checkHome('fleet', {});
  checkHome(undefined, { cluster: true, kubeconfig: 'k' });
  t.throws(() => checkHome(undefined, {}), usage(/a directory of manifests/));
  t.throws(() => checkHome('fleet', { cluster: true }), usage(/no directory: .*kubectl apply -f fleet/));
  t.throws(() => checkHome('fleet', { allNamespaces: true }), usage(/--all-namespaces is for run --cluster only/));
  t.throws(() => checkHome(undefined, { cluster: true, once: true }), usage(/--once is for run with a directory only/));
  t.throws(() => checkHome(undefined, { cluster: true, secretsDir: 's' }), usage(/--secrets-dir is for/));
  t.throws(
    () => checkHome(undefined, { cluster: true, allNamespaces: true, namespace: 'a' }),
    usage(/either --namespace or --all-namespaces/),
  );
  t.end();
});

void t.test('the times of an election are those of Kubernetes, and must leave room for a second try', (t) => {
  t.same(clusterRunOptions(flags('--cluster')), {
    times: { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 },
    allNamespaces: false,
  });
  const short = flags(
    ...['--leader-elect-lease-duration', '3s', '--leader-elect-renew-deadline', '1.5s'],
    ...['--leader-elect-retry-period', '250ms', '-A', '--leader-namespace', 'ops'],
  );
  t.same(clusterRunOptions(short), {
    times: { leaseDurationMs: 3_000, renewDeadlineMs: 1_500, retryMs: 250 },
    allNamespaces: true,
    leaderNamespace: 'ops',
  });
  for (const [option, value] of [
    ['--leader-elect-lease-duration', '10s'],
    ['--leader-elect-lease-duration', '15500ms'],
    ['--leader-elect-renew-deadline', '2s'],
    ['--leader-elect-retry-period', '0s'],
    ['--leader-elect-retry-period', 'often'],
  ] as const) {
    t.throws(() => clusterRunOptions(flags(option, value)), { code: 'GF_CLI_USAGE' }, `${option} ${value}`);
  }
  t.end();
});

void t.test('the program says how to use it, and what is missing', async (t) => {
  const both = await runProgram(['run', 'fleet', '--cluster']);
  t.equal(both.code, 2);
  t.match(both.stderr, /^error GF_CLI_USAGE: run --cluster takes no directory/);
  const nowhere = await runProgram(['run', '--cluster', '--kubeconfig', '/nonexistent/kubeconfig']);
  t.not(nowhere.code, 0);
  t.match(nowhere.stderr, /^error GF_KUBECONFIG_NOT_FOUND: /);
});

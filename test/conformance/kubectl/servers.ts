import { execFileSync } from 'node:child_process';
import { delimiter } from 'node:path';
import { kubectlOnPath } from '../../support/kubectl-on-path.ts';

/** A server to point kubectl at. */
export interface ApiServer {
  readonly name: 'embedded' | 'real';
  readonly url: string;
  /** The contents of a kubeconfig whose names are the same for every server, with this namespace as the current one. */
  readonly kubeconfig: (namespace: string) => unknown;
}

interface Kubeconfig {
  readonly clusters: readonly [{ readonly cluster: { readonly server: string } }];
  readonly users: readonly [{ readonly user: unknown }];
}

/** The server that a kubeconfig's current context names, as kubectl itself reads the file. */
export function serverFrom(name: ApiServer['name'], kubeconfig: string, kubectl: string): ApiServer {
  const view = ['config', 'view', '--raw', '--minify', '--flatten', '--output=json', `--kubeconfig=${kubeconfig}`];
  const { clusters, users } = JSON.parse(execFileSync(kubectl, view, { encoding: 'utf8' })) as Kubeconfig;
  const [{ cluster }] = clusters;
  const [{ user }] = users;
  return {
    name,
    url: cluster.server,
    kubeconfig: (namespace) => ({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'server', cluster }],
      users: [{ name: 'tester', user }],
      contexts: [{ name: 'test', context: { cluster: 'server', user: 'tester', namespace } }],
      'current-context': 'test',
    }),
  };
}

/**
 * The binaries to try, the newest first: what GRIDFERRY_TEST_KUBECTLS lists, or the one on PATH; none when there is none.
 */
export function findKubectls(): string[] {
  const listed = process.env['GRIDFERRY_TEST_KUBECTLS'] ?? '';
  if (listed !== '') {
    const found = listed.split(delimiter).map((binary) => ({ binary, minor: minorVersionOf(binary) }));
    return found.toSorted((a, b) => b.minor - a.minor).map(({ binary }) => binary);
  }
  const onPath = kubectlOnPath();
  return onPath === undefined ? [] : [onPath];
}

/** Of Kubernetes 1, with a sign behind it in some distributions. */
function minorVersionOf(kubectl: string): number {
  const said = execFileSync(kubectl, ['version', '--client', '--output=json'], { encoding: 'utf8' });
  const { clientVersion } = JSON.parse(said) as { readonly clientVersion: { readonly minor: string } };
  return Number.parseInt(clientVersion.minor, 10);
}

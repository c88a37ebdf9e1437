import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Services, Transfers } from '../../src/api/resources.ts';
import type { Service, Transfer } from '../../src/api/resources.ts';
import { openApiServer } from '../support/api-server.ts';
import type { OpenedApi } from '../support/api-server.ts';
import { ended, runProgram, startProgram } from '../support/run-program.ts';

// Each test starts the program a few times.
t.setTimeout(120_000);

const service = (name: string, namespace = 'default'): Service => ({
  ...{ apiVersion: 'gridferry.io/v1alpha1', kind: 'Service', metadata: { name, namespace } },
  spec: { container: name, serverRef: { name: 'alpha' } },
});

/** An empty home directory, and the program in it. */
function somewhere(t: Test) {
  const root = mkdtempSync(join(tmpdir(), 'gridferry-homes-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const env = { PATH: process.env['PATH'], HOME: root, XDG_STATE_HOME: join(root, 'state') };
  const options = (more: NodeJS.ProcessEnv) => ({ cwd: root, env: { ...env, ...more } });
  return {
    root,
    run: (args: readonly string[], more: NodeJS.ProcessEnv = {}) => runProgram(args, options(more)),
    start: (args: readonly string[], more: NodeJS.ProcessEnv = {}) => startProgram(args, options(more)),
  };
}

/** A home with one service, which is read from its state directory or over HTTPS. */
async function homeWith(t: Test, name: string, stateDir?: string): Promise<OpenedApi> {
  if (stateDir !== undefined) mkdirSync(stateDir, { recursive: true });
  const opened = await openApiServer(stateDir === undefined ? {} : { stateDir });
  t.teardown(() => opened.close());
  await opened.home.create(Services, service(name));
  return opened;
}

const list = ['get', 'gsvc', '-o', 'name'];
const named = (name: string): string => `service.gridferry.io/${name}\n`;

void t.test('every reading command answers the same from a state and from an API server', async (t) => {
  const { run } = somewhere(t);
  const home = await homeWith(t, 'web');
  const one: Transfer = {
    ...{ apiVersion: 'gridferry.io/v1alpha1', kind: 'Transfer', metadata: { name: 'move', namespace: 'default' } },
    spec: { container: 'web', sourceServerRef: { name: 'alpha' }, targetServerRef: { name: 'beta' } } as never,
  };
  const created = await home.home.create(Transfers, one);
  const status = { phase: 'Completed', observedGeneration: 1, logs: ['one', 'two'] } as const;
  await home.home.updateStatus(Transfers, { ...created, status: { ...status, logs: [...status.logs] } });
  for (const command of [
    list,
    ['get', 'all', '-o', 'wide'],
    ['get', 'gsvc/web', '-o', 'yaml'],
    ['get', 'gsvc', '-A', '-l', 'none=such'],
    ['get', 'gsvc', 'nope'],
    ['describe', 'gsvc', 'web'],
    ['logs', 'move'],
    ['watch', 'move'],
    ['events', '-A'],
    ['__complete', '--', 'get', 'gsvc', 'w'],
  ]) {
    const local = await run([...command, '--state', home.stateDir]);
    const remote = await run([...command, '--kubeconfig', home.kubeconfigPath]);
    t.same(withoutAges(remote), withoutAges(local), command.join(' '));
  }
});

function withoutAges<T extends { readonly stdout: string }>(ran: T): T {
  return { ...ran, stdout: ran.stdout.replaceAll(/\b\d+s( ago)?/g, 'AGE') };
}

void t.test('which home is meant: flags, GRIDFERRY_STATE, the local one, and at last the cluster', async (t) => {
  const { root, run } = somewhere(t);
  const cluster = await homeWith(t, 'in-cluster');
  const KUBECONFIG = cluster.kubeconfigPath;

  t.match(await run(list), { code: 2, stderr: /^error GF_CLI_NO_STATE: .*--kubeconfig/ });
  const fallback = await run(list, { KUBECONFIG });
  t.equal(fallback.stdout, named('in-cluster'));
  t.equal(fallback.stderr, `There is no local home here: this is the cluster at ${cluster.url}.\n`);
  t.match(await run(list, { KUBECONFIG: join(root, 'gone') }), { code: 2, stderr: /^error GF_CLI_NO_STATE/ });
  t.match(await run([...list, '--state', 'nowhere'], { KUBECONFIG }), { code: 2, stderr: /nowhere holds no state/ });
  t.match(await run(list, { KUBECONFIG, GRIDFERRY_STATE: 'nowhere' }), { code: 2, stderr: /nowhere holds no state/ });

  await homeWith(t, 'last-used', join(root, 'state/gridferry/one'));
  const local = await run(list, { KUBECONFIG });
  t.equal(local.stdout, named('last-used'), 'any local home comes before the cluster');
  t.match(local.stderr, /^This is the local home .*; --kubeconfig .* shows the cluster\.\n$/);
  t.same(await run(list), { code: 0, stdout: named('last-used'), stderr: '' });

  const third = await homeWith(t, 'named');
  t.equal((await run(list, { KUBECONFIG, GRIDFERRY_STATE: third.stateDir })).stdout, named('named'));
  t.equal((await run([...list, '--state', third.stateDir], { GRIDFERRY_STATE: root })).stdout, named('named'));
  const flagged = await run([...list, '--kubeconfig', KUBECONFIG], { GRIDFERRY_STATE: third.stateDir });
  t.same(flagged, { code: 0, stdout: named('in-cluster'), stderr: '' });
  t.match(await run([...list, '--kubeconfig', KUBECONFIG, '--state', third.stateDir]), {
    code: 2,
    stderr: /^error GF_CLI_USAGE/,
  });
  t.match(await run([...list, '--context', 'nope'], { KUBECONFIG }), {
    code: 2,
    stderr: /^error GF_KUBECONFIG_INVALID: .*nope/,
  });
});

void t.test('get -w goes on when the API server is away for a while', async (t) => {
  const { start } = somewhere(t);
  const stateDir = mkdtempSync(join(tmpdir(), 'gridferry-homes-'));
  t.teardown(() => rmSync(stateDir, { recursive: true, force: true }));
  const before = await openApiServer({ stateDir });
  await before.home.create(Services, service('one'));
  const child = start(['get', 'gsvc', '-w', '-o', 'name', '--kubeconfig', before.kubeconfigPath]);
  const end = ended(child);
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const until = async (text: string): Promise<void> => {
    while (!printed.includes(text)) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await until('one');
  await before.home.create(Services, service('two'));
  await until('two');
  const { port } = new URL(before.url);
  await before.close();
  const after = await openApiServer({ stateDir, port: Number(port) });
  t.teardown(() => after.close());
  await after.home.create(Services, service('three'));
  await until('three');
  child.kill('SIGINT');
  const { code, stdout } = await end;
  t.equal(code, 0);
  t.equal(stdout, ['one', 'two', 'three'].map(named).join(''));
});

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import t from 'tap';
import { fleetDown, fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';

/** Gridferry running on one of the two servers itself, which it manages without SSH: `local: true`. */

const NAME = 't-local';
const root = join(import.meta.dirname, '../..');

t.setTimeout(180_000);
t.teardown(() => fleetDown(NAME));
await fleetDown(NAME);
const fleet = await fleetUp({ name: NAME, subnet: '10.99.53.0/24', servers: ['alpha', 'beta'] });
const shell = fleetShell(NAME);
const disk = join(fleet.dir, 'servers/alpha/root/root');

/** Puts this checkout, with what it needs to run and the Node it runs on, onto the server's disk. */
function install(): void {
  const listed = spawnSync('npm', ['ls', '--all', '--omit=dev', '--parseable'], { cwd: root, encoding: 'utf8' });
  const modules = listed.stdout.split('\n').filter((path) => path.includes('node_modules'));
  for (const path of modules) {
    // Its types for every Kubernetes object are most of the bytes, and nothing here loads it.
    if (path.endsWith('@kubernetes/client-node')) continue;
    cpSync(path, join(disk, 'gridferry', relative(root, path)), { recursive: true, filter: outside(path) });
  }
  for (const part of ['src', 'controllers', 'bin', 'package.json']) {
    cpSync(join(root, part), join(disk, 'gridferry', part), { recursive: true });
  }
  cpSync(process.execPath, join(disk, 'node'));
}

/** Packages inside packages are in the list themselves. */
function outside(path: string): (source: string) => boolean {
  return (source) => !source.slice(path.length).includes('/node_modules');
}

async function run(...objects: readonly object[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const documents = objects.map((object) => JSON.stringify({ apiVersion: 'gridferry.io/v1alpha1', ...object }));
  writeFileSync(join(disk, 'fleet/all.yaml'), documents.join('\n---\n'));
  const args = ['run', '/root/fleet', '--once', '--state', '/root/state', '--secrets-dir', '/root/secrets'];
  // The test runner's own options for Node name files that are not on that server.
  const node = ['env', '-u', 'NODE_OPTIONS', '/root/node'];
  return fleetExec(NAME, 'alpha', [...node, '/root/gridferry/bin/gridferry.js', ...args]);
}

const servers = [
  { kind: 'ManagedServer', metadata: { name: 'alpha' }, spec: { local: true, publicAddress: '10.99.53.11' } },
  {
    kind: 'ManagedServer',
    metadata: { name: 'beta' },
    spec: { address: '10.99.53.12', ssh: { credentialsRef: { name: 'fleet-ssh' }, hostKeyPolicy: 'AcceptNew' } },
  },
];

function move(name: string, from: string, to: string): object {
  return {
    kind: 'Transfer',
    metadata: { name },
    spec: {
      container: 'web',
      sourceServerRef: { name: from },
      targetServerRef: { name: to },
      soak: { duration: '1s' },
      forwardFor: '0s',
    },
  };
}

await t.test('a service moves from this machine to another server, and back', async (t) => {
  install();
  mkdirSync(join(disk, 'fleet'));
  const secret = join(disk, 'secrets/default/fleet-ssh');
  mkdirSync(secret, { recursive: true, mode: 0o700 });
  writeFileSync(join(secret, 'ssh-privatekey'), readFileSync(fleet.privateKeyPath), { mode: 0o600 });
  await importTinyImage(NAME, 'alpha', 'web:1', webImage);
  await shell.docker('alpha', 'run', '-d', '--name', 'web', '-p', '8080:80', '-v', 'data:/data', 'web:1');
  await shell.sh(
    'alpha',
    'cd /var/lib/docker/volumes/data/_data; head -c 3000000 /dev/urandom >a; chown 70:70 a; ln a b',
  );
  const listing = 'cd /var/lib/docker/volumes/data/_data; stat -c "%n %u %g %a %h %Y" *; sha256sum *';
  const before = await shell.sh('alpha', listing);

  const there = await run(...servers, move('there', 'alpha', 'beta'));
  t.match(there.stdout, /transfer\/default\/there\s+Completed/);
  t.equal(await shell.sh('beta', listing), before);
  t.match(await shell.field('alpha', 'web', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'), /^false no/);
  t.match(await shell.field('beta', 'web', '{{.State.Running}}'), /^true/);

  await shell.docker('alpha', 'rm', 'web');
  await shell.docker('alpha', 'volume', 'rm', 'data');
  const back = await run(...servers, move('back', 'beta', 'alpha'));
  t.match(back.stdout, /transfer\/default\/back\s+Completed/);
  t.equal(await shell.sh('alpha', listing), before);
  t.match(await shell.field('beta', 'web', '{{.State.Running}}'), /^false/);
  for (const server of ['alpha', 'beta'] as const) {
    // What was moved keeps the labels of its transfer; helpers and locks are gone.
    const helpers = (await shell.leftovers(server)).filter((line) => /^workbench|gridferry/.test(line));
    t.same(helpers, [], `nothing left on ${server}`);
  }
});

import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Leases } from '../../src/api/core.ts';
import { Transfers } from '../../src/api/resources.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import { fleetDown, fleetUp } from '../../src/sandbox/fleet.ts';
import { startWritingClient } from '../../scripts/demo/client.ts';
import { fingerprint, PORT, recordedWrites, startSampleService } from '../../scripts/demo/sample-service.ts';
import { openRealCluster } from '../support/real-cluster.ts';
import type { RealCluster } from '../support/real-cluster.ts';
import { ended, runProgram, startProgram } from '../support/run-program.ts';

/** The quick start, with its own YAML, through a real Kubernetes API server and kubectl. */

const FLEET = 't-cluster';
const SUBNET = '10.99.61';
const SYSTEM = 'gridferry-system';
const EXAMPLE = join(import.meta.dirname, '../../examples/quickstart');
t.setTimeout(180_000);

const cluster = await openRealCluster(t, 'quickstart');
if (cluster === undefined) {
  t.pass('the quick start in a cluster did not run: GRIDFERRY_TEST_KUBECONFIG names no API server', { skip: true });
} else {
  await t.test('the quick start', { timeout: 170_000 }, (t) => quickstart(t, cluster));
}

async function quickstart(t: Test, { kubeconfig, namespace, client, kubectl, apply }: RealCluster): Promise<void> {
  /** A kubeconfig of the service account that `gridferry install` makes: with its rights, and not one more. */
  async function leastPrivilege(): Promise<string> {
    const { stdout } = await runProgram(['install']);
    const rights = /^kind: (Namespace|ServiceAccount|(Cluster)?Role(Binding)?)$/m;
    await apply(
      stdout
        .split(/^---$/m)
        .filter((document) => rights.test(document))
        .join('---\n'),
    );
    const token = (await kubectl('create', 'token', 'gridferry', '-n', SYSTEM)).trim();
    const own = (await readFile(kubeconfig, 'utf8')).replace(/user: *\{.*?\}/, `user: {token: "${token}"}`);
    const path = join(t.testdir({}), 'kubeconfig');
    await writeFile(path, own.replace(/context: *\{/, `$&namespace: ${SYSTEM}, `), { mode: 0o600 });
    const asItself = (...args: string[]): Promise<string> => kubectl(...args, '--kubeconfig', path);
    t.match(await asItself('auth', 'whoami'), `system:serviceaccount:${SYSTEM}:gridferry`);
    await t.rejects(asItself('auth', 'can-i', 'list', 'secrets'), 'a Secret is only read by its name');
    return path;
  }

  const cloudflare = await startCloudflareStandIn({
    token: 'demo-token',
    zones: [
      { name: 'ferry.example', records: [{ type: 'A', name: 'web.ferry.example', content: `${SUBNET}.11`, ttl: 300 }] },
    ],
  });
  t.teardown(() => cloudflare.close());
  t.teardown(() => fleetDown(FLEET));
  await fleetDown(FLEET);
  const fleet = await fleetUp({ name: FLEET, subnet: `${SUBNET}.0/24`, servers: ['alpha', 'beta'] });
  await startSampleService(FLEET, 'alpha');
  const before = await fingerprint(FLEET, 'alpha');
  const writer = startWritingClient({ name: 'web.ferry.example', nameServer: cloudflare.dnsAddress, port: PORT });
  t.teardown(() => writer.stop());

  await kubectl('create', 'secret', 'generic', 'fleet-ssh', `--from-file=ssh-privatekey=${fleet.privateKeyPath}`);
  await kubectl('create', 'secret', 'generic', 'cloudflare', '--from-literal=token=demo-token');
  const program = startProgram(['run', '--cluster', '--kubeconfig', await leastPrivilege(), '--namespace', namespace], {
    env: { ...process.env, HOME: '/nonexistent' },
  });
  t.teardown(() => program.kill('SIGKILL'));
  const end = ended(program);

  await t.test('kubectl apply moves the service, and kubectl wait sees the end of it', async (t) => {
    for (const file of globSync('*.yaml', { cwd: EXAMPLE }).sort().reverse()) {
      // Another fleet than the demo's, and the stand-in on ports of its own; nothing else is changed.
      const yaml = (await readFile(join(EXAMPLE, file), 'utf8'))
        .replaceAll('10.99.0.', `${SUBNET}.`)
        .replace('http://127.0.0.1:9953/client/v4', cloudflare.baseUrl)
        .replace('127.0.0.1:9954', cloudflare.dnsAddress);
      await apply(yaml);
    }
    await kubectl('wait', '--for=condition=Ready', 'managedserver', '--all', '--timeout=30s');
    await kubectl('wait', '--for=condition=Succeeded', 'transfer/move-web', '--timeout=90s').catch(
      async (error: unknown) => t.fail(`${String(error)}\n${await kubectl('describe', 'transfer', 'move-web')}`),
    );
    t.match(await kubectl('get', 'xfer'), /move-web +.*Completed/);
    t.match(await kubectl('describe', 'transfer', 'move-web'), /step start-target done/, 'with its events');
  });

  await t.test('all data and every acknowledged write are at the new place, and the name points there', async (t) => {
    const acknowledged = writer.acknowledged.length;
    for (const deadline = Date.now() + 10_000; writer.acknowledged.length < acknowledged + 20;) {
      if (Date.now() > deadline) throw new Error('the service does not answer any more');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await writer.stop();
    t.equal((await fingerprint(FLEET, 'beta')).digest, before.digest);
    const written = await recordedWrites(FLEET, 'beta');
    t.same(
      writer.acknowledged.filter((number) => !written.has(number)),
      [],
    );
    const [record] = cloudflare.records('ferry.example').filter(({ name }) => name === 'web.ferry.example');
    t.equal(record?.content, `${SUBNET}.12`);
  });

  await t.test('this machine is no server of a cluster, and that is said', async (t) => {
    await apply(
      'apiVersion: gridferry.io/v1alpha1\nkind: ManagedServer\nmetadata: {name: here}\nspec: {local: true}\n',
    );
    await kubectl('wait', '--for=condition=Ready=False', 'managedserver/here', '--timeout=20s');
    t.match(await kubectl('get', 'ms', 'here', '-o', 'yaml'), /GF_SERVER_LOCAL_IN_CLUSTER/);
  });

  await t.test('a deleted Transfer goes, and at SIGTERM the lease is handed over', async (t) => {
    await kubectl('delete', 'transfer', 'move-web', '--timeout=20s');
    t.same((await client.list(Transfers, { namespace })).items, []);
    program.kill('SIGTERM');
    const { code, stderr } = await end;
    t.equal(code, 0, stderr.slice(-2000));
    t.equal((await client.get(Leases, { namespace: SYSTEM, name: 'gridferry' })).spec?.holderIdentity, '');
    t.notMatch(stderr, /demo-token|BEGIN OPENSSH/, 'no secret was logged');
    if (program.exitCode === null) await once(program, 'exit');
  });
}

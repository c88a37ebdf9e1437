import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import type { ControllerDependencies } from '../../controllers/dependencies.ts';
import { managedServerController } from '../../controllers/managed-server/controller.ts';
import { platformConfigController } from '../../controllers/platform-config/controller.ts';
import { serviceController } from '../../controllers/service/controller.ts';
import { transferController } from '../../controllers/transfer/controller.ts';
import { ConfigMaps, Events, Leases, Namespaces, Secrets } from '../../src/api/core.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import { ManagedServers, PlatformConfigs, Services, Transfers } from '../../src/api/resources.ts';
import type { ManagedServer, PlatformConfig, Service, TransferStatus } from '../../src/api/resources.ts';
import { GridferryError } from '../../src/errors.ts';
import { isReason } from '../../src/home/api-error.ts';
import { connectCluster } from '../../src/home/cluster/cluster-client.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createEventRecorder } from '../../src/runtime/event-recorder.ts';
import { createLeaderElection } from '../../src/runtime/leader-election.ts';
import { createManager } from '../../src/runtime/manager.ts';
import type { ControllerDefinition } from '../../src/runtime/reconciler.ts';
import { workload } from '../../src/install/manifests.ts';
import { controllerPermissions, LEADER_LEASE, leaderPermissions } from '../../src/install/permissions.ts';
import type { Permission } from '../../src/install/permissions.ts';
import { createRedactor } from '../../src/security/redact.ts';
import { createSecretResolver } from '../../src/security/secrets.ts';
import { openRealCluster } from '../support/real-cluster.ts';
import type { RealCluster } from '../support/real-cluster.ts';
import { recordedClient } from '../support/recorded-client.ts';
import { ended, runProgram, startProgram } from '../support/run-program.ts';
import { modelPlan, newModel, transferOf } from '../support/transfer-world.ts';

/** What `gridferry install` allows, at a real API server: all that the program does, and nothing else. */

const run = promisify(execFile);
const log = pino({ level: 'silent' });
t.setTimeout(180_000);

interface Installed {
  readonly system: string;
  readonly folder: string;
  /** A kubeconfig with the token of the ServiceAccount. */
  readonly kubeconfig: string;
}

/** Installs Gridferry beside the test's namespace, for that one or for all. */
async function install(t: Test, cluster: RealCluster, scope: readonly string[]): Promise<Installed> {
  const system = `${cluster.namespace}-system`;
  const folder = mkdtempSync(join(tmpdir(), 'gridferry-install-'));
  const kubectl = async (...args: string[]): Promise<string> =>
    (await run('kubectl', ['--kubeconfig', cluster.kubeconfig, ...args])).stdout;
  const file = join(folder, 'install.yaml');
  const printed = await runProgram(['install', '--namespace', system, ...scope]);
  t.equal(printed.code, 0);
  writeFileSync(file, printed.stdout);
  t.teardown(async () => {
    rmSync(folder, { recursive: true });
    await kubectl('delete', 'namespace', system, '--wait=false');
    await kubectl('delete', 'clusterrole,clusterrolebinding', 'gridferry', '--ignore-not-found');
  });
  await kubectl('apply', '--server-side', '--force-conflicts', '-f', file);
  const token = (await kubectl('create', 'token', 'gridferry', '-n', system)).trim();
  const config = JSON.parse(await kubectl('config', 'view', '--raw', '--minify', '-o', 'json')) as {
    users: { user: unknown }[];
  };
  config.users[0]!.user = { token };
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 });
  return { system, folder, kubeconfig };
}

const server = (name: string): ManagedServer =>
  ({
    apiVersion: API_VERSION,
    kind: 'ManagedServer',
    metadata: { name },
    spec: {
      // TEST-NET-1: nobody answers.
      address: '192.0.2.1',
      ssh: { user: 'root', credentialsRef: { name: 'login' }, hostKeyPolicy: 'AcceptNew' },
      allowUserWorkloads: true,
    },
  }) as unknown as ManagedServer;

const service = { spec: { container: 'web', serverRef: { name: 'alpha' } } };
const platform: PlatformConfig['spec'] = {
  domain: 'example.test',
  cloudflare: { apiTokenRef: { name: 'login', key: 'password' }, apiBaseURL: 'http://127.0.0.1:1' },
};

/** The objects of a small platform, made by its user. */
async function populate({ client, namespace }: RealCluster): Promise<void> {
  const make = (kind: string, name: string, rest: object): never =>
    ({ apiVersion: API_VERSION, kind, metadata: { name, namespace }, ...rest }) as never;
  await client.create(Secrets, {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'login', namespace } },
    stringData: { password: 'correct-horse-battery' },
  });
  for (const name of ['alpha', 'beta']) {
    const { metadata, ...rest } = server(name);
    await client.create(ManagedServers, { ...rest, metadata: { ...metadata, namespace } });
  }
  await client.create(Services, make('Service', 'web', service));
  await client.create(PlatformConfigs, make('PlatformConfig', 'default', { spec: platform }));
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 300; turn++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} was not reached`);
}

/** Lets everything that speaks to the API do all it ever does, with the rights of the ServiceAccount. */
async function doEverything(t: Test, cluster: RealCluster, { system, kubeconfig }: Installed) {
  const { namespace } = cluster;
  const access = await connectCluster({ kubeconfig });
  t.teardown(() => access.close());
  const controllers = recordedClient(access);
  const { client } = controllers;
  const redactor = createRedactor();
  const secrets = createSecretResolver({ client });
  let busy = true;
  const plan = modelPlan(newModel(), (point) => {
    if (busy && point === 'create-containers/apply/before') {
      throw new GridferryError('GF_TEST_BUSY', 'try again later.', { class: 'retryable' });
    }
  });
  const dependencies = {
    ...{ client, clock: systemClock, random: () => 0, log, redactor, secrets, watchSecrets: false },
    // Reading its Secret is all that is of interest here of a server; who has one is online.
    servers: {
      login: async ({ metadata, spec }: ManagedServer) => {
        await secrets.read({ namespace: metadata.namespace ?? '', name: spec.ssh?.credentialsRef.name ?? '' });
        throw new GridferryError('GF_TEST_AWAY', 'nobody answers.', { class: 'retryable' });
      },
      forget: async () => undefined,
    },
    dns: { cloudflare: () => ({ findZone: async () => undefined }) },
  } as unknown as ControllerDependencies;
  const others = [managedServerController, serviceController, platformConfigController].map((make) =>
    make(dependencies),
  ) as unknown as ControllerDefinition[];
  const managerOf = (...definitions: unknown[]) =>
    createManager({ client, clock: systemClock, log, controllers: definitions as ControllerDefinition[], namespace });

  const first = managerOf(...others);
  await first.start();
  await until('that all are looked at', async () => {
    const { items } = await cluster.client.list(ManagedServers, { namespace });
    const web = await cluster.client.get(Services, { namespace, name: 'web' });
    return items.every(({ status }) => status?.phase === 'Offline') && web.status?.server === 'alpha';
  });
  await first.stop();
  for (const name of ['alpha', 'beta']) {
    const found = await cluster.client.get(ManagedServers, { namespace, name });
    await cluster.client.updateStatus(ManagedServers, { ...found, status: { ...found.status, phase: 'Online' } });
  }
  const { spec } = transferOf('move', { serviceRef: { name: 'web' } });
  const { container: _, ...moved } = spec;
  await cluster.client.create(Transfers, {
    ...{ apiVersion: API_VERSION, kind: 'Transfer', metadata: { name: 'move', namespace }, spec: moved },
  });
  /** As a process that ends when the transfer has come so far. */
  const moveUntil = async (what: string, reached: (status: TransferStatus) => boolean): Promise<void> => {
    const transfers = transferController(dependencies, { planOf: () => plan });
    const manager = managerOf(transfers.definition);
    await manager.start();
    await until(what, async () => {
      const { status } = await cluster.client.get(Transfers, { namespace, name: 'move' });
      return status !== undefined && reached(status);
    });
    await manager.flushEvents();
    await manager.stop();
    await transfers.close();
  };
  // The same failure twice: one Event, counted up.
  await moveUntil('a failure', ({ steps = [] }) => steps.some(({ attempts }) => attempts > 1));
  busy = false;
  // Another process takes back the locks that the first one left.
  await moveUntil('the end of the transfer', ({ phase }) => phase === 'Completed');
  const recorder = createEventRecorder({ client, clock: systemClock, random: Math.random, log, instance: 'test' });
  const object = await client.get(Transfers, { namespace, name: 'move' });
  for (let time = 0; time < 2; time++) {
    recorder.record({ object, component: 'test', type: 'Normal', reason: 'Twice', message: 'the same' });
  }
  await recorder.flush();
  t.same(recorder.stats, { posted: 2, dropped: 0, failed: 0 });

  const leader = recordedClient(access);
  const election = createLeaderElection({
    client: leader.client,
    ...{ clock: systemClock, random: Math.random, log, identity: 'test' },
    lease: { namespace: system, name: LEADER_LEASE },
  });
  election.start();
  await election.elected;
  t.ok(await election.confirm());
  await election.release();
  await leader.client.get(Namespaces, { namespace: '', name: system });
  return { controllers: controllers.requests, leader: leader.requests };
}

function requestsOf(permissions: readonly Permission[]): string[] {
  const all = permissions.flatMap(({ resources, verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)),
  );
  return [...new Set(all)].sort();
}

for (const [what, scope] of [
  ['for all namespaces', () => []],
  ['for one namespace', (namespace: string) => ['--watch-namespace', namespace]],
] as const) {
  await t.test(`installed ${what}`, async (t) => {
    const cluster = await openRealCluster(t, 'install');
    if (cluster === undefined) {
      t.pass('did not run: GRIDFERRY_TEST_KUBECONFIG names no API server', { skip: true });
      return;
    }
    const { namespace } = cluster;
    const installed = await install(t, cluster, scope(namespace));
    await populate(cluster);

    await t.test('every permission is needed, and no other', async (t) => {
      const requests = await doEverything(t, cluster, installed);
      t.same([...requests.controllers].sort(), requestsOf(controllerPermissions));
      t.same([...requests.leader].sort(), requestsOf(leaderPermissions));
    });

    await t.test('everything else is refused', async (t) => {
      const client = await connectCluster({ kubeconfig: installed.kubeconfig });
      t.teardown(() => client.close());
      const move = { namespace, name: 'move' };
      const transfer = await client.get(Transfers, move);
      const lease = await client.get(Leases, { namespace: installed.system, name: LEADER_LEASE });
      const attempts: Record<string, () => Promise<unknown>> = {
        'list secrets': () => client.list(Secrets, { namespace }),
        'list secrets everywhere': () => client.list(Secrets),
        'change a secret': () =>
          client.patch(Secrets, { namespace, name: 'login' }, { type: 'merge', body: { data: {} } }),
        'delete a secret': () => client.delete(Secrets, { namespace, name: 'login' }),
        'delete a transfer': () => client.delete(Transfers, move),
        'replace a transfer': () => client.update(Transfers, transfer),
        'make a transfer': () => client.create(Transfers, { ...transferOf('x'), metadata: { name: 'x', namespace } }),
        'patch a server': () =>
          client.patch(ManagedServers, { namespace, name: 'alpha' }, { type: 'merge', body: { metadata: {} } }),
        'list events': () => client.list(Events, { namespace }),
        'list config maps': () => client.list(ConfigMaps, { namespace }),
        'list namespaces': () => client.list(Namespaces),
        'read another namespace': () => client.get(Namespaces, { namespace: '', name: namespace }),
        ...(scope(namespace).length === 0
          ? {}
          : {
              'change a Lease of its own namespace': () =>
                client.update(Leases, { ...lease, metadata: { ...lease.metadata, name: 'other' } }),
              'list leases everywhere': () => client.list(Leases),
              'list transfers everywhere': () => client.list(Transfers),
              'list transfers of another namespace': () => client.list(Transfers, { namespace: 'default' }),
              'read a secret of another namespace': () => client.get(Secrets, { namespace: 'default', name: 'x' }),
              'read a secret of its own namespace': () =>
                client.get(Secrets, { namespace: installed.system, name: 'x' }),
            }),
      };
      for (const [attempt, call] of Object.entries(attempts)) {
        const outcome = await call().catch((error: unknown) => error);
        t.ok(isReason(outcome, 'Forbidden'), attempt);
      }
    });

    await t.test('the Pods are let in by the "restricted" security standard', async (t) => {
      const objects = workload({ namespace: installed.system, image: 'gridferry:test', replicas: 2 });
      const { template } = objects.find(({ kind }) => kind === 'Deployment')?.spec as { template: { spec: object } };
      const attempt = async (change: object): Promise<unknown> => {
        const metadata = { name: 'attempt', namespace: installed.system };
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...template.spec, ...change } };
        const file = join(installed.folder, 'pod.json');
        writeFileSync(file, JSON.stringify(pod));
        return run('kubectl', ['--kubeconfig', cluster.kubeconfig, 'create', '--dry-run=server', '-f', file]);
      };
      await t.resolves(attempt({}));
      await t.rejects(attempt({ hostNetwork: true }), /violates PodSecurity "restricted/, 'it is enforced');
    });

    await t.test('a replica runs with it, and "kubectl wait" reads what it writes', async (t) => {
      const late = { kind: 'Service', metadata: { name: 'late', namespace } };
      await cluster.client.create(Services, {
        ...{ apiVersion: API_VERSION, ...late, spec: { ...service.spec, serverRef: { name: 'gamma' } } },
      } as Service);
      const child = startProgram([
        ...['run', '--cluster', '--kubeconfig', installed.kubeconfig, '--namespace', namespace],
        ...['--leader-namespace', installed.system],
      ]);
      const end = ended(child);
      t.teardown(() => child.kill('SIGKILL'));
      const wait = (name: string, seconds: number): Promise<string> =>
        cluster.kubectl(
          ...['wait', '--for=condition=Ready', `service.gridferry.io/${name}`, `--timeout=${String(seconds)}s`],
        );
      t.match(await wait('web', 30), /condition met/);
      await until('a word about the late one', async () => {
        const { status } = await cluster.client.get(Services, { namespace, name: 'late' });
        return status?.observedGeneration === 1;
      });
      await t.rejects(wait('late', 1), /timed out waiting for the condition/);
      const waiting = wait('late', 30);
      const { metadata, ...rest } = server('gamma');
      await cluster.client.create(ManagedServers, { ...rest, metadata: { ...metadata, namespace } });
      t.match(await waiting, /condition met/);
      t.match(await cluster.kubectl('wait', '--for=condition=Reconciling=False', 'gsvc/late', '--timeout=10s'), /met/);
      t.match(await cluster.kubectl('get', 'gsvc', 'late'), /late +gamma +True +web/);
      child.kill('SIGTERM');
      const { code, stdout, stderr } = await end;
      t.equal(code, 0);
      t.notMatch(stdout + stderr, /orbidden/);
    });
  });
}

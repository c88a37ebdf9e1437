import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { Leases } from '../../src/api/core.ts';
import { Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { fleetDown, fleetUp, shapeLink } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { appendImage, startAppending } from '../support/append-service.ts';
import { fleetShell } from '../support/fleet-shell.ts';
import { openRealCluster } from '../support/real-cluster.ts';
import type { RealCluster } from '../support/real-cluster.ts';
import { ended, startProgram } from '../support/run-program.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { watchContainers } from '../support/sightings.ts';
import { startStallableProxy } from '../support/stallable-proxy.ts';
import type { StallableProxy } from '../support/stallable-proxy.ts';

/**
 * Three replicas over a real API server and real servers. While transfers run, whoever leads is killed, frozen for longer
 * than its lease and thawed, or cut off from the API, at instants that a seed chooses.
 */

const FLEET = 't-ha';
const SUBNET = '10.99.63';
const SEED = Number(process.env['GRIDFERRY_TEST_SEED'] ?? Date.now() % 1_000_000);
/** Shorter than the default, so that there is time for many changes of leader. */
const LEASE_MS = 3_000;
const TIMES = [
  ...['--leader-elect-lease-duration', '3s', '--leader-elect-renew-deadline', '2s'],
  ...['--leader-elect-retry-period', '500ms'],
];
/** Longer than the lease: another one leads when it is over. */
const FAULT_MS = LEASE_MS + 2_500;
/** All of the first three; of the others as many as there is time for. */
const faults = ['freeze', 'kill', 'cut off', 'freeze', 'kill', 'freeze', 'cut off'] as const;
const MUST = 3;
const ENOUGH_MS = 75_000;

t.setTimeout(240_000);
t.comment(`seed ${String(SEED)}: GRIDFERRY_TEST_SEED repeats it`);
const cluster = await openRealCluster(t, 'high-availability');
if (cluster === undefined) {
  t.pass('several replicas did not run: GRIDFERRY_TEST_KUBECONFIG names no API server', { skip: true });
} else {
  await t.test('three replicas, whose leader is struck in the middle of a transfer', { timeout: 230_000 }, (t) =>
    highAvailability(t, cluster),
  );
}

/** One process, with a way of its own to the API server. */
interface Replica {
  readonly child: ChildProcess;
  readonly proxy: StallableProxy;
  readonly exit: Promise<{ readonly code: number | null }>;
  readonly said: () => string;
}

async function highAvailability(
  t: Test,
  { kubeconfig, namespace, client, apply, kubectl }: RealCluster,
): Promise<void> {
  const random = seededRandom(SEED);
  t.teardown(() => fleetDown(FLEET));
  await fleetDown(FLEET);
  const fleet = await fleetUp({ name: FLEET, subnet: `${SUBNET}.0/24`, servers: ['alpha', 'beta'] });
  const { docker, sh, leftovers } = fleetShell(FLEET);
  const sightings = await watchContainers(t, FLEET);
  await Promise.all((['alpha', 'beta'] as const).map((server) => importTinyImage(FLEET, server, 'ha:1', appendImage)));
  // So that a copy takes seconds, and can be caught in the middle.
  await shapeLink(FLEET, 'beta', { rateMbit: 80 });

  const replicas = new Set<Replica>();
  let over = false;
  t.teardown(async () => {
    over = true;
    for (const { child, proxy } of replicas) {
      child.kill('SIGKILL');
      await proxy.close();
    }
  });
  const folder = t.testdir({});
  let started = 0;

  /** As a Deployment has it: what ends is started again, under another name. */
  async function startReplica(): Promise<void> {
    const text = await readFile(kubeconfig, 'utf8');
    const port = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1]);
    const proxy = await startStallableProxy(port);
    const own = join(folder, `kubeconfig-${String(++started)}`);
    await writeFile(own, text.replace(`127.0.0.1:${String(port)}`, `127.0.0.1:${String(proxy.port)}`));
    const scope = ['--kubeconfig', own, '--namespace', namespace, '--leader-namespace', namespace];
    const child = startProgram(['run', '--cluster', ...scope, ...TIMES]);
    let text2 = '';
    child.stderr.on('data', (chunk: Buffer) => (text2 += chunk.toString()));
    const replica: Replica = { child, proxy, exit: ended(child), said: () => text2 };
    replicas.add(replica);
    void replica.exit.then(async () => {
      replicas.delete(replica);
      await proxy.close();
      if (!over) await startReplica();
    });
  }
  await Promise.all([startReplica(), startReplica(), startReplica()]);

  async function leader(): Promise<Replica> {
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; await delay(50)) {
      const lease = await client.get(Leases, { namespace, name: 'gridferry' }).catch(() => undefined);
      const holder = lease?.spec?.holderIdentity ?? '';
      const found = [...replicas].find(({ said }) => said().includes(`"identity":"${holder}"`));
      if (holder !== '' && found !== undefined) return found;
    }
    throw new Error(`nobody leads: ${[...replicas].map(({ said }) => said().slice(-500)).join('\n')}`);
  }

  await kubectl('create', 'secret', 'generic', 'fleet-ssh', `--from-file=ssh-privatekey=${fleet.privateKeyPath}`);
  for (const { name, address } of fleet.servers) {
    await apply(`apiVersion: gridferry.io/v1alpha1
kind: ManagedServer
metadata: {name: ${name}}
spec: {address: ${address}, ssh: {user: root, credentialsRef: {name: fleet-ssh}, hostKeyPolicy: AcceptNew}}
`);
  }
  await kubectl('wait', '--for=condition=Ready', 'managedserver', '--all', '--timeout=30s');

  /** Does it to whoever leads, and answers what has to come of it. */
  async function strike(fault: (typeof faults)[number]): Promise<() => Promise<void>> {
    const victim = await leader();
    switch (fault) {
      case 'kill':
        victim.child.kill('SIGKILL');
        return async () => {
          await victim.exit;
        };
      case 'freeze':
        victim.child.kill('SIGSTOP');
        await delay(FAULT_MS);
        victim.child.kill('SIGCONT');
        break;
      case 'cut off':
        victim.proxy.stall();
        await delay(FAULT_MS);
        victim.proxy.resume();
    }
    return async () => {
      const { code } = await victim.exit;
      t.equal(code, 1, `who was ${fault === 'freeze' ? 'frozen' : 'cut off'} ends, and says so with its exit code`);
      t.match(victim.said(), /GF_LEADERSHIP_LOST/);
    };
  }

  const begun = Date.now();
  let rounds = 0;
  for (const [round, fault] of faults.entries()) {
    if (round >= MUST && Date.now() - begun > ENOUGH_MS) break;
    rounds++;
    const name = `web-${String(round)}`;
    const port = 8100 + round;
    await docker('alpha', 'volume', 'create', name);
    await sh('alpha', 'head -c 12M /dev/urandom >"/var/lib/docker/volumes/$1/_data/big"', name);
    await docker(
      'alpha',
      ...['run', '-d', '--name', name, '--restart', 'always', '-v', `${name}:/data`, '-p', `${String(port)}:80`],
      'ha:1',
    );
    const writer = startAppending([`${SUBNET}.11`, `${SUBNET}.12`], port);
    await apply(`apiVersion: gridferry.io/v1alpha1
kind: Transfer
metadata: {name: ${name}}
spec:
  container: ${name}
  sourceServerRef: {name: alpha}
  targetServerRef: {name: beta}
  healthCheck: {http: {path: /health, port: 80}}
  soak: { duration: 500ms }
  forwardFor: 0s
`);
    const from = Date.now();
    const since = (): string => `${((Date.now() - from) / 1000).toFixed(1)} s`;
    const struck = await moment(name);
    t.comment(`${fault} at ${since()}`);
    const verdict = await strike(fault);
    t.comment(`over at ${since()}`);
    const transfer = await endOf(name);
    t.comment(`completed at ${since()}`);
    await verdict();
    await writer.stop();

    await t.test(`${fault}, ${struck}`, async (t) => {
      t.equal(
        transfer.status?.phase,
        'Completed',
        JSON.stringify(transfer.status?.failure ?? transfer.status?.message),
      );
      t.equal(sightings.overlaps(name), 0, 'never did both run');
      for (const [server, action] of [
        ['alpha', 'die'],
        ['beta', 'create'],
        ['beta', 'start'],
      ] as const) {
        t.equal(sightings.count(server, name, action), 1, `${action} on ${server} once`);
      }
      t.equal(sightings.count('alpha', name, 'start'), 1, 'by docker run, and never again');
      const state = await docker(
        'alpha',
        'inspect',
        '-f',
        '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}',
        name,
      );
      t.equal(state, 'false no');
      const hash = 'cd "/var/lib/docker/volumes/$1/_data" && sha256sum big';
      t.equal(await sh('beta', hash, name), await sh('alpha', hash, name));
      const written = new Set((await sh('beta', 'cat "/var/lib/docker/volumes/$1/_data/writes"', name)).split('\n'));
      t.same(
        writer.acknowledged.filter((number) => !written.has(String(number))),
        [],
        'every acknowledged write is there',
      );
      t.ok(writer.acknowledged.length > 50);
    });
  }

  /** Waits until so many steps are over as chance will have it, and a little longer. */
  async function moment(name: string): Promise<string> {
    const [steps, more] = [Math.floor(random() * 26), Math.floor(random() * 400)];
    for (const deadline = Date.now() + 60_000; ; await delay(25)) {
      const { status } = await client.get(Transfers, { namespace, name });
      const done = status?.steps?.filter(({ state }) => state === 'Done' || state === 'Skipped').length ?? 0;
      if (done < steps && status?.completionTime === undefined && Date.now() < deadline) continue;
      await delay(more);
      return `${String(more)} ms after step ${String(done)}, ${status?.currentStep ?? 'before the first'}`;
    }
  }

  async function endOf(name: string): Promise<Transfer> {
    for (const deadline = Date.now() + 60_000; ; await delay(100)) {
      const transfer = await client.get(Transfers, { namespace, name });
      if (transfer.status?.completionTime !== undefined || Date.now() > deadline) return transfer;
    }
  }

  await t.test('both servers follow the last leader, and nothing is left over', async (t) => {
    await leader();
    const lease = await client.get(Leases, { namespace, name: 'gridferry' });
    const { creationTimestamp = '' } = lease.metadata;
    const transitions = lease.spec?.leaseTransitions ?? 0;
    t.ok(transitions >= rounds, `${String(transitions)} changes of leader`);
    const epoch = String((Date.parse(creationTimestamp) / 1000) * 1_000_000 + transitions);
    const moved = Array.from({ length: rounds }).flatMap((_, round) => [
      `container web-${String(round)}`,
      `volume web-${String(round)}`,
    ]);
    for (const server of ['alpha', 'beta'] as const) {
      const follows = async (): Promise<string> => sh(server, 'head -qn 1 ~/.local/state/gridferry/fence/*-*');
      for (const deadline = Date.now() + 15_000; (await follows()) !== epoch && Date.now() < deadline;)
        await delay(200);
      t.equal(await follows(), epoch, server);
      t.same(
        (await leftovers(server)).filter((line) => !moved.includes(line)),
        [],
      );
    }
  });
}

import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { Leases, Secrets } from '../../src/api/core.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import { localTypes, ManagedServers, Transfers } from '../../src/api/resources.ts';
import type { ManagedServer, Transfer } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { fleetDown, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import type { ServerName } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';
import { runProgram } from '../support/run-program.ts';

/** A move that is planned before it is made; and moves that wait for each other. */

const FLEET = 't-plan';
const namespace = 'default';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.86.0/24' });
const { docker, sh, everything } = fleetShell(FLEET);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
const { client } = gridferry;
const machines = ['alpha', 'beta'] as const;
const byUser = (user: string): ManagedServer[] =>
  fleet.servers.map(({ name, address }) => {
    const ssh = { user, credentialsRef: { name: 'fleet-ssh' }, hostKeyPolicy: 'AcceptNew' };
    const metadata = { name: user === 'root' ? name : `${name}-${user}`, namespace };
    return {
      apiVersion: API_VERSION,
      kind: 'ManagedServer',
      metadata,
      spec: { address, ssh },
    } as unknown as ManagedServer;
  });
await Promise.all([gridferry.addServers(fleet), importTinyImage(FLEET, 'alpha', 'web:1', webImage)]);
for (const server of byUser('deploy')) await client.create(ManagedServers, server);

await sh(
  'alpha',
  'mkdir -p /srv/site /srv/secret && head -c 3000000 /dev/urandom >/srv/site/page && chmod 700 /srv/secret',
);
await docker(
  'alpha',
  ...['run', '-d', '--name', 'web', '--restart', 'always', '-p', '8080:80', '-v', 'web-data:/data'],
  ...['-v', '/srv/site:/site', 'web:1'],
);
await docker('alpha', 'exec', 'web', 'sh', '-c', 'head -c 40000000 /dev/urandom >/data/big; echo 12345 >/outside');

interface Seen {
  readonly things: string[];
  /** What the engine did meanwhile. */
  readonly events: string[];
}

/** What happens on both servers while something is done; the engines' own health checks aside. */
async function changes<R>(work: () => Promise<R>): Promise<{ before: Seen; after: Seen; result: R }> {
  const since = await Promise.all(machines.map((machine) => sh(machine, 'date +%s.%N')));
  const look = async (): Promise<Seen> => ({
    things: (await Promise.all(machines.map((machine) => everything(machine, '/srv')))).flat(),
    events: (
      await Promise.all(
        machines.map(async (machine, index) =>
          (await sh(machine, 'docker events --since "$1" --until "$(date +%s.%N)"', since[index]!)).split('\n'),
        ),
      )
    )
      .flat()
      .filter((line) => line !== ''),
  });
  const before = await look();
  const result = await work();
  return { before, after: await look(), result };
}

const planned = (name: string): Promise<Transfer> =>
  gridferry.until(name, ({ status }) => status?.phase === 'Planned', 30_000);

for (const login of ['root', 'deploy']) {
  void t.test(`as ${login}, planning touches nothing`, async (t) => {
    const at = (name: ServerName): { name: string } => ({ name: login === 'root' ? name : `${name}-${login}` });
    const { before, after, result } = await changes(async () => {
      await gridferry.transfer(`plan-${login}`, {
        container: 'web',
        mode: 'Plan',
        sourceServerRef: at('alpha'),
        targetServerRef: at('beta'),
      });
      return planned(`plan-${login}`);
    });
    t.same(after, before);
    const { status, metadata } = result;
    t.notOk(metadata.finalizers?.length, 'so it can be deleted at any time');
    t.equal((await client.list(Leases)).items.length, 0, 'no lock is taken');
    t.match(findCondition(status?.conditions, 'Succeeded'), { status: 'True', reason: 'Planned' });
    t.match(findCondition(status?.conditions, 'Ready'), { status: 'True' });
    t.match(status?.plan, { blockers: [], strategy: /^StopFirst: / });
    t.same(
      status?.plan?.parts.map(({ name, kind }) => `${kind} ${name}`),
      ['Image web:1', 'Volume web-data', 'Path /srv/site', 'WritableLayer web'],
    );
    t.ok((status?.plan?.steps.length ?? 0) > 15);
    t.ok((status?.plan?.bytesPerSecond ?? 0) > 0);
    await client.delete(Transfers, { namespace, name: `plan-${login}` });
  });
}

void t.test('what only root may read is measured from a helper container, which leaves nothing', async (t) => {
  await sh('alpha', 'head -c 5000000 /dev/urandom >/srv/secret/page');
  await docker('alpha', 'run', '-d', '--name', 'hidden', '-v', '/srv/secret:/data', 'web:1');
  const before = (await Promise.all(machines.map((machine) => everything(machine)))).flat();
  await gridferry.transfer('hidden', {
    container: 'hidden',
    mode: 'Plan',
    sourceServerRef: { name: 'alpha-deploy' },
    targetServerRef: { name: 'beta-deploy' },
  });
  const { status } = await planned('hidden');
  t.match(
    status?.plan?.parts.filter(({ kind }) => kind === 'Path'),
    [{ name: '/srv/secret', bytes: 5_000_006 }],
  );
  t.same((await Promise.all(machines.map((machine) => everything(machine)))).flat(), before);
  await docker('alpha', 'rm', '-f', 'hidden');
});

void t.test('every blocker is named, with its code, and goes with its cause', async (t) => {
  await docker('beta', 'volume', 'create', 'web-data');
  await sh('beta', 'mkdir -p /srv/site && echo theirs >/srv/site/page');
  await client.patch(
    ManagedServers,
    { namespace, name: 'beta' },
    { type: 'merge', body: { spec: { unschedulable: true } } },
  );
  await gridferry.transfer('blocked', { container: 'web', mode: 'Plan' });
  const { status } = await planned('blocked');
  t.same(status?.plan?.blockers.map(({ code }) => code).sort(), [
    'GF_PREFLIGHT_PATH_OCCUPIED',
    'GF_PREFLIGHT_VOLUME_NOT_EMPTY',
    'GF_SERVER_CORDONED',
  ]);
  t.match(findCondition(status?.conditions, 'Succeeded'), { status: 'False', reason: 'Blocked' });
  t.equal(status?.phase, 'Planned');

  await client.patch(
    ManagedServers,
    { namespace, name: 'beta' },
    { type: 'merge', body: { spec: { unschedulable: false } } },
  );
  const open = await gridferry.until('blocked', (one) => one.status?.plan?.blockers.length === 2, 20_000);
  t.equal(findCondition(open.status?.conditions, 'Accepted')?.status, 'True', 'noticed by itself');
  await docker('beta', 'volume', 'rm', 'web-data');
  await sh('beta', 'rm -r /srv/site');
  await gridferry.change('blocked', { retryToken: 'look again' });
  await gridferry.until('blocked', (one) => one.status?.plan?.blockers.length === 0, 20_000);

  await gridferry.transfer('typo', { container: 'wbe', mode: 'Plan' });
  t.match((await planned('typo')).status?.plan?.blockers, [
    { code: 'GF_DOCKER_NOT_FOUND', message: /no container named wbe; did you mean web/ },
  ]);
  await gridferry.transfer('nowhere', { container: 'web', mode: 'Plan', targetServerRef: { name: 'gamma' } });
  t.match((await planned('nowhere')).status?.plan?.blockers, [{ code: 'GF_SERVER_NOT_FOUND' }]);
});

void t.test('the command plans a file without any home, and beside one, and leaves nothing in it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gridferry-plan-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const key = await readFile(fleet.privateKeyPath, 'utf8');
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'fleet-ssh', namespace },
    stringData: { 'ssh-privatekey': key },
  };
  const transfer = {
    apiVersion: API_VERSION,
    kind: 'Transfer',
    metadata: { name: 'move-web' },
    spec: { container: 'web', sourceServerRef: { name: 'alpha' }, targetServerRef: { name: 'beta' } },
  };
  const yaml = (...objects: unknown[]): string => objects.map((object) => stringify(object)).join('---\n');
  await writeFile(join(folder, 'all.yaml'), yaml(secret, ...byUser('root'), transfer));
  await writeFile(join(folder, 'transfer.yaml'), yaml(transfer));
  await writeFile(
    join(folder, 'invalid.yaml'),
    yaml({ ...transfer, spec: { ...transfer.spec, targetServer: 'beta' } }),
  );
  const env = { ...process.env, HOME: folder, XDG_STATE_HOME: join(folder, 'xdg'), TMPDIR: folder };
  const plan = (...args: string[]) => runProgram(['plan', ...args], { cwd: folder, env });

  const alone = await plan('-f', 'all.yaml');
  t.equal(alone.code, 0, alone.stderr);
  t.match(alone.stdout, /^Transfer: +move-web to server beta\n/);
  for (const part of [
    /^Downtime: +about 1\.\d s$/m,
    /web-data +Volume +38\.1 MiB/,
    /quiesce-source +Restoring +stops the service/,
  ]) {
    t.match(alone.stdout, part);
  }

  const state = join(folder, 'state');
  const home = openLocalHome({ stateDir: state, types: localTypes, admission: createSchemaAdmission() });
  await home.create(Secrets, secret as never);
  for (const server of byUser('root')) await home.create(ManagedServers, server);
  const contents = async (): Promise<unknown[]> =>
    (await Promise.all(localTypes.map((type) => home.list(type)))).map(({ items }) => items);
  const before = await contents();
  const beside = await plan('-f', 'transfer.yaml', '--state', state, '-o', 'json');
  t.equal(beside.code, 0, beside.stderr);
  t.match(JSON.parse(beside.stdout), { blockers: [], parts: [{ kind: 'Image' }, { bytes: 40_000_006 }, {}, {}] });
  t.same(await contents(), before);
  home.close();

  await docker('beta', 'volume', 'create', 'web-data');
  const blocked = await plan('-f', 'all.yaml');
  await docker('beta', 'volume', 'rm', 'web-data');
  t.equal(blocked.code, 1);
  t.match(blocked.stdout, /^Blockers: +1$/m);
  t.match(blocked.stdout, /GF_PREFLIGHT_VOLUME_NOT_EMPTY +server beta already has a volume named web-data/);

  const invalid = await plan('-f', 'invalid.yaml');
  t.equal(invalid.code, 2);
  t.match(invalid.stderr, /GF_CLI_MANIFESTS_INVALID: .*\n.*invalid\.yaml:\d+:\d+: .*targetServer/);
  t.equal(await sh('alpha', 'ls /var/lib/gridferry 2>/dev/null || :'), '', 'nor on the servers');
  t.same(
    readdirSync(folder).filter((name) => name.startsWith('gridferry-plan-')),
    [],
  );
});

void t.test('another Gridferry’s mark on a server is respected until it runs out, and then taken over', async (t) => {
  const soon = Number(await sh('beta', 'date +%s')) + 8;
  const volume = `gridferry-lock-web.${String(soon)}.abcdef012345`;
  const labels = {
    lock: 'web',
    'lock-holder': 'another-uid',
    'lock-holder-name': 'theirs/move',
    'lock-until': String(soon),
  };
  await docker(
    'beta',
    ...['volume', 'create', '--name', volume],
    ...Object.entries(labels).flatMap(([key, value]) => ['--label', `gridferry.io/${key}=${value}`]),
  );
  // Changing a plan into a move is how it is begun.
  await gridferry.change('blocked', { mode: 'Apply' });
  const waiting = await gridferry.until(
    'blocked',
    ({ status }) => status?.steps?.find(({ name }) => name === 'lock-servers')?.reason === 'Holding',
    20_000,
  );
  t.match(
    waiting.status?.steps?.find(({ name }) => name === 'lock-servers'),
    {
      reason: 'Holding',
      message:
        /^GF_TRANSFER_SERVER_LOCKED: server beta says that web is being moved by Transfer theirs\/move of another Gridferry/,
    },
  );
  const moved = await gridferry.ended('blocked');
  t.equal(moved.status?.phase, 'Completed', JSON.stringify(moved.status?.failure));
  const locked = moved.status?.steps?.find(({ name }) => name === 'lock-servers');
  t.ok(Date.parse(locked?.endTime ?? '') / 1000 >= soon - 1, 'not before it had run out');
  for (const machine of machines) {
    t.equal(
      await docker(machine, 'volume', 'ls', '-q', '--filter', 'label=gridferry.io/lock'),
      '',
      `no mark left on ${machine}`,
    );
  }

  const { plan, images = [], volumes = [] } = moved.status ?? {};
  const sent =
    images.reduce((sum, { bytesSent }) => sum + bytesSent, 0) +
    volumes.flatMap(({ passes = [] }) => passes).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  const told = plan?.bytesTotal ?? 0;
  t.ok(told > sent * 0.8 && told < sent * 1.2, `${String(told)} bytes were planned, ${String(sent)} were sent`);
});

void t.test('a server takes so many at a time, the oldest first', async (t) => {
  const names = ['one', 'two', 'three'];
  for (const name of names) await docker('alpha', 'run', '-d', '--name', name, 'web:1');
  await client.patch(
    ManagedServers,
    { namespace, name: 'alpha' },
    { type: 'merge', body: { spec: { maxTransfers: 1 } } },
  );
  for (const name of names) {
    await gridferry.transfer(name, { container: name, soak: { duration: '1s', failureThreshold: 3 } });
    // Ages are whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
  }
  const third = await gridferry.until('three', ({ status }) => status?.queuePosition !== undefined, 20_000);
  t.match(third.status, {
    phase: 'Pending',
    message: /waits for Transfer \w+, which holds a place on server alpha; place \d/,
  });
  const ended = await Promise.all(names.map((name) => gridferry.ended(name)));
  t.same(
    ended.map(({ status }) => status?.phase),
    ['Completed', 'Completed', 'Completed'],
  );
  for (const [index, { status }] of ended.entries()) {
    const earlier = ended[index - 1]?.status?.completionTime ?? '';
    t.ok((status?.startTime ?? '') >= earlier, `${names[index]!} began after the one before it was over`);
  }
  t.same((await client.list(Leases)).items, [], 'all places are free again');
});

import t from 'tap';
import { ManagedServers, Transfers } from '../../src/api/resources.ts';
import type { ManagedServer, Transfer, TransferSpec } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { fleetDown, fleetUp, stopService, startService } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';

const FLEET = 't-refuse';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.47.0/24' });
const { docker, sh, python, everything } = fleetShell(FLEET);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
await Promise.all([
  gridferry.addServers(fleet),
  ...(['alpha', 'beta'] as const).map((server) => importTinyImage(FLEET, server, 'web:1', webImage)),
]);

/** Loads a copy of an image that says it is for another processor. Arguments: image, name of the copy, architecture. */
const foreignImage = String.raw`
import hashlib, io, json, subprocess, sys, tarfile
image, name, architecture = sys.argv[1:]
old = tarfile.open(fileobj=io.BytesIO(subprocess.run(['docker', 'save', image], check=True, capture_output=True).stdout))
manifest = json.load(old.extractfile('manifest.json'))[0]
config = json.load(old.extractfile(manifest['Config']))
config['architecture'] = architecture
text = json.dumps(config).encode()
new_name = hashlib.sha256(text).hexdigest() + '.json'
out = io.BytesIO()
new = tarfile.open(fileobj=out, mode='w')
def put(path, content):
    info = tarfile.TarInfo(path); info.size = len(content); new.addfile(info, io.BytesIO(content))
put(new_name, text)
for layer in manifest['Layers']:
    put(layer, old.extractfile(layer).read())
put('manifest.json', json.dumps([{'Config': new_name, 'RepoTags': [name], 'Layers': manifest['Layers']}]).encode())
new.close()
subprocess.run(['docker', 'load'], input=out.getvalue(), check=True, stdout=subprocess.DEVNULL)
`;

/** The folders that the transfers below could write to. */
const PATHS = ['/srv', '/mnt'];

async function bothServers(): Promise<Record<string, string[]>> {
  return { alpha: await everything('alpha', ...PATHS), beta: await everything('beta', ...PATHS) };
}

interface Refusal {
  readonly what: string;
  readonly spec?: Partial<TransferSpec>;
  readonly code: string;
  /** What happened, and what to do. */
  readonly says: RegExp;
  arrange?(): Promise<unknown>;
  restore?(): Promise<unknown>;
}

/** The container that is to be moved: a published port, a volume, a bind mount. */
await sh('alpha', 'mkdir -p /srv/site && echo hi >/srv/site/page');
await docker(
  'alpha',
  'run',
  '-d',
  '--name',
  'web',
  '--restart',
  'always',
  '-p',
  '8080:80',
  '-v',
  'web-data:/data',
  '-v',
  '/srv/site:/site',
  'web:1',
);
await docker('alpha', 'run', '-d', '--name', 'removed', '--rm', 'web:1');
await docker('alpha', 'run', '-d', '--name', 'sharer', '-v', 'shared:/data', 'web:1');
await docker('alpha', 'run', '-d', '--name', 'partner', '-v', 'shared:/data', 'web:1');
await docker('alpha', 'create', '--name', 'stopped', 'web:1');
await docker('alpha', 'volume', 'create', '-o', 'type=mqueue', '-o', 'device=mqueue', 'strange');
await docker('alpha', 'run', '-d', '--name', 'stranger', '-v', 'strange:/strange', 'web:1');
// An image for another processor runs as long as nothing in it asks which one it is.
await python('alpha', foreignImage, 'web:1', 'foreign:1', 'arm64');
await docker('alpha', 'run', '-d', '--name', 'foreign', 'foreign:1');
await docker('alpha', 'run', '-d', '--name', 'big', '-v', 'big:/big', 'web:1');

const listener = 'import socket, time; s = socket.create_server(("", 8080)); time.sleep(600)';
const inTheWay = (...args: string[]): Promise<string> => docker('beta', 'run', '-d', '--name', 'other', ...args);
const removeOther = (): Promise<string> => docker('beta', 'rm', '-fv', 'other');

const refusals: readonly Refusal[] = [
  {
    what: 'a container that is not there',
    spec: { container: 'wbe' },
    code: 'GF_DOCKER_NOT_FOUND',
    says: /server alpha has no container named wbe; did you mean web\?/,
  },
  {
    what: 'a compose project that is not there',
    spec: { container: undefined, composeProject: 'blog' } as never,
    code: 'GF_DOCKER_PROJECT_EMPTY',
    says: /no container of a compose project named blog on alpha; check the name and the server/,
  },
  {
    what: 'a container that does not run',
    spec: { container: 'stopped' },
    code: 'GF_PREFLIGHT_NOT_RUNNING',
    says: /stopped does not run on server alpha: start it/,
  },
  {
    what: 'a port that a container at the target has',
    code: 'GF_PREFLIGHT_PORT_TAKEN',
    says: /port 8080\/tcp of container web is taken on server beta by container other: free it/,
    arrange: () => inTheWay('-p', '8080:80', 'web:1'),
    restore: removeOther,
  },
  {
    what: 'a port that another program at the target has',
    code: 'GF_PREFLIGHT_PORT_TAKEN',
    says: /port 8080\/tcp of container web is taken on server beta by another program: free it/,
    arrange: () =>
      sh('beta', `setsid python3 -c '${listener}' >/dev/null 2>&1 </dev/null & echo $! >/run/listener; sleep 1`),
    restore: () => sh('beta', 'kill "$(cat /run/listener)"; rm /run/listener'),
  },
  {
    what: 'a volume of its name with data at the target',
    code: 'GF_PREFLIGHT_VOLUME_NOT_EMPTY',
    says: /server beta already has a volume named web-data with data in it.*move it away/,
    arrange: () => inTheWay('-v', 'web-data:/data', 'web:1'),
    restore: async () => {
      await removeOther();
      await docker('beta', 'volume', 'rm', 'web-data');
    },
  },
  {
    what: 'an empty volume of its name at the target',
    code: 'GF_PREFLIGHT_VOLUME_NOT_EMPTY',
    says: /volume named web-data; it is empty: remove it \(docker volume rm web-data\)/,
    arrange: () => docker('beta', 'volume', 'create', 'web-data'),
    restore: () => docker('beta', 'volume', 'rm', 'web-data'),
  },
  {
    what: 'a folder of its bind mount with something in it at the target',
    code: 'GF_PREFLIGHT_PATH_OCCUPIED',
    says: /server beta already has \/srv\/site, which would be overwritten: move it away/,
    arrange: () => sh('beta', 'mkdir -p /srv/site && echo theirs >/srv/site/page'),
    restore: () => sh('beta', 'rm -r /srv/site'),
  },
  {
    what: 'its name taken at the target',
    code: 'GF_PREFLIGHT_NAME_TAKEN',
    says: /server beta already has a container named web: rename or remove it/,
    arrange: () => docker('beta', 'create', '--name', 'web', 'web:1'),
    restore: () => docker('beta', 'rm', 'web'),
  },
  {
    what: 'an image of another architecture',
    spec: { container: 'foreign' },
    code: 'GF_PREFLIGHT_ARCHITECTURE',
    says: /image foreign:1 is for linux\/arm64, server beta is linux\/amd64: choose a target of the same architecture/,
  },
  {
    what: 'a disk too small',
    spec: { container: 'big' },
    code: 'GF_PREFLIGHT_DISK_FULL',
    says: /server beta has .* free at \/var\/lib\/docker, and .* are needed .*: make room/,
    // Full of holes: it takes no space here, and nobody can promise that it will take none there.
    arrange: () =>
      sh(
        'alpha',
        'truncate -s "$(( $(df -B1 --output=avail /var/lib/docker | tail -1) + 1000000000 ))" /var/lib/docker/volumes/big/_data/huge',
      ),
    restore: () => sh('alpha', 'rm /var/lib/docker/volumes/big/_data/huge'),
  },
  {
    what: 'a volume that is no folder of the server',
    spec: { container: 'stranger' },
    code: 'GF_PREFLIGHT_VOLUME_DRIVER',
    says: /volume strange is a mqueue file system on mqueue of that server: move what is in it into a plain volume first/,
  },
  {
    what: 'a container started with --rm',
    spec: { container: 'removed' },
    code: 'GF_PREFLIGHT_AUTO_REMOVE',
    says: /container removed was started with --rm: .*Start it without --rm/,
  },
  {
    what: 'a volume that a container which stays uses as well',
    spec: { container: 'sharer' },
    code: 'GF_PREFLIGHT_VOLUME_SHARED',
    says: /volume shared is also used by container partner, which is not moved: move both, or separate them/,
  },
];

for (const { what, spec, code, says, arrange, restore } of refusals) {
  void t.test(`${what} is refused, and nothing is changed`, async (t) => {
    await arrange?.();
    if (restore !== undefined) t.teardown(() => restore());
    const name = what.replaceAll(/[^a-z]+/g, '-');
    const before = await bothServers();
    await gridferry.transfer(name, { container: 'web', ...spec });
    const { status } = await gridferry.ended(name, 20_000);
    t.equal(status?.phase, 'Failed');
    t.equal(status?.failure?.code, code, status?.message ?? '');
    t.match(status?.message, says);
    t.match(findCondition(status?.conditions, 'Succeeded'), { status: 'False', reason: 'Failed', message: says });
    t.same(await bothServers(), before);
  });
}

void t.test('all that is in the way is named at once', async (t) => {
  await docker('beta', 'run', '-d', '--name', 'web', '-p', '8080:80', '-v', 'web-data:/data', 'web:1');
  t.teardown(() => docker('beta', 'rm', '-fv', 'web').then(() => docker('beta', 'volume', 'rm', 'web-data')));
  await gridferry.transfer('everything', { container: 'web' });
  const { status } = await gridferry.ended('everything');
  for (const code of ['NAME_TAKEN', 'VOLUME_NOT_EMPTY', 'PORT_TAKEN']) t.match(status?.message, `GF_PREFLIGHT_${code}`);
});

void t.test('source = target is refused before there is an object', async (t) => {
  const same = gridferry.transfer('same', { container: 'web', targetServerRef: { name: 'alpha' } });
  await t.rejects(same, { message: /name the same server: choose another target/ });
  const typo = gridferry.transfer('typo', { container: 'web', targetServer: { name: 'beta' } } as never);
  await t.rejects(typo, { message: /targetServer\b/ });
});

/** Waits until the transfer says why it cannot begin. */
function blocked(name: string, reason: string): Promise<Transfer> {
  return gridferry.until(
    name,
    ({ status }) => findCondition(status?.conditions, 'Accepted')?.reason === reason,
    20_000,
  );
}

async function setServer(name: string, spec: Partial<ManagedServer['spec']>): Promise<void> {
  await gridferry.client.patch(ManagedServers, { namespace: 'default', name }, { type: 'merge', body: { spec } });
}

void t.test('what cannot begin yet says why, touches nothing, and begins when that has changed', async (t) => {
  const before = await bothServers();
  const waiting: readonly (readonly [
    string,
    Partial<TransferSpec>,
    string,
    RegExp,
    () => Promise<unknown>,
    () => Promise<unknown>,
  ])[] = [
    [
      'closed',
      {},
      'TargetNotOpen',
      /server beta takes no services: set allowUserWorkloads/,
      () => setServer('beta', { allowUserWorkloads: false }),
      () => setServer('beta', { allowUserWorkloads: true }),
    ],
    [
      'cordoned',
      {},
      'TargetCordoned',
      /server beta is cordoned: set unschedulable to false/,
      () => setServer('beta', { unschedulable: true }),
      () => setServer('beta', { unschedulable: false }),
    ],
    [
      'nowhere',
      { targetServerRef: { name: 'gamma' } },
      'ServerNotFound',
      /ManagedServer gamma does not exist: create it/,
      () => Promise.resolve(),
      () => Promise.resolve(),
    ],
    [
      'nobody',
      { container: undefined, serviceRef: { name: 'shop' } } as never,
      'ServiceNotFound',
      /Service shop does not exist: create it/,
      () => Promise.resolve(),
      () => Promise.resolve(),
    ],
  ];
  for (const [name, spec, reason, says, arrange, restore] of waiting) {
    await arrange();
    await gridferry.transfer(name, { container: 'web', ...spec });
    const { status } = await blocked(name, reason);
    t.equal(status?.phase, 'Pending', name);
    t.match(status?.message, says);
    // So that it does not begin when the hindrance goes.
    await gridferry.change(name, { cancel: true });
    const ended = await gridferry.ended(name);
    t.equal(ended.status?.phase, 'Cancelled');
    await restore();
  }
  t.same(await bothServers(), before);
});

void t.test('a server that is offline is waited for', async (t) => {
  await stopService(FLEET, 'beta', 'sshd');
  const address = fleet.servers[1]!.address;
  // The probe interval is long; a change of the spec is what makes it look again.
  await setServer('beta', {
    address,
    ssh: { port: 2222, user: 'root', credentialsRef: { name: 'fleet-ssh' }, hostKeyPolicy: 'AcceptNew' } as never,
  });
  await gridferry.transfer('offline', { container: 'web' });
  const { status } = await blocked('offline', 'ServerNotOnline');
  t.match(status?.message, /server beta is not online: .*/);
  t.equal(status?.phase, 'Pending');
  await startService(FLEET, 'beta', 'sshd');
  await gridferry.change('offline', { cancel: true });
  await gridferry.ended('offline');
  await setServer('beta', { ssh: { port: 22 } as never });
  await gridferry.client.get(ManagedServers, { namespace: 'default', name: 'beta' });
});

void t.test('of two transfers of one container the second waits, says for which, and does no harm then', async (t) => {
  await gridferry.transfer('first', {
    container: 'web',
    suspend: false,
    soak: { duration: '3s', failureThreshold: 3 },
  });
  await gridferry.until('first', ({ status }) => status?.sourceServer !== undefined);
  await gridferry.transfer('second', { container: 'web' });
  const { status } = await gridferry.until('second', (second) => second.status?.queuePosition !== undefined, 20_000);
  t.match(status, { phase: 'Pending', queuePosition: 1 });
  t.match(status?.message, /waits for Transfer first, which holds web on server \w+; place 1 in the queue/);
  await gridferry.transfer('third', { container: 'web' });
  t.match((await gridferry.until('third', (third) => third.status?.queuePosition !== undefined)).status, {
    queuePosition: 2,
  });
  const first = await gridferry.ended('first');
  t.equal(first.status?.phase, 'Completed', JSON.stringify(first.status?.failure));
  for (const name of ['second', 'third']) {
    const late = await gridferry.ended(name);
    t.match(late.status, { phase: 'Failed', failure: { code: 'GF_PREFLIGHT_NOT_RUNNING' } });
  }
  t.equal(
    await docker('beta', 'inspect', '-f', '{{.State.Running}}', 'web'),
    'true',
    'the first one’s work is untouched',
  );
  t.equal((await gridferry.client.list(Transfers, { namespace: 'default' })).items.length > 0, true);
});

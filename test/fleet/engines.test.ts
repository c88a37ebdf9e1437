import { execFileSync } from 'node:child_process';
import t from 'tap';
import type { Test } from 'tap';
import { newerEngine } from '../../scripts/newer-engine.ts';
import { unpackedPackages } from '../../scripts/debian-packages.ts';
import { ManagedServers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { fleetDown, fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import type { EngineSpec } from '../../src/sandbox/engine.ts';
import { buildLayeredImage, importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import type { InspectedContainer } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';
import { describeTree, makeNastyTree } from '../volumes/nasty-tree.ts';

/**
 * The main moves between Debian 12's Docker 20.10 and Docker 28.5 with either of its image stores, each way and back
 * again; and the engines that are refused by name.
 */

const FLEET = 't-engines';
const servers = ['old', 'store', 'overlay', 'odd'] as const;
type Server = (typeof servers)[number];

t.setTimeout(600_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const dockerdPath = await newerEngine();
const newer = (containerd: boolean): EngineSpec => ({
  dockerdPath,
  config: { features: { 'containerd-snapshotter': containerd } },
});
const fleet = await fleetUp({
  name: FLEET,
  subnet: '10.99.91.0/24',
  servers,
  engines: { store: newer(true), overlay: newer(false) },
});
const { docker, sh, python, inspect, leftovers, clear } = fleetShell<Server>(FLEET);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
await gridferry.addServers(fleet);

const directions: readonly (readonly [Server, Server])[] = [
  ['old', 'store'],
  ['store', 'old'],
  ['old', 'overlay'],
  ['overlay', 'old'],
  ['store', 'overlay'],
  ['overlay', 'store'],
];

async function finished(name: string): Promise<Transfer> {
  return gridferry.ended(name, 120_000);
}

/** What the user gave, as Docker tells it: what each engine adds by itself is its own affair. */
function given({ Config, HostConfig, Mounts }: InspectedContainer): unknown {
  const { Env, Cmd, Entrypoint, Hostname, Healthcheck, Image, ExposedPorts, StopSignal, User, WorkingDir } = Config;
  const { Memory, CapDrop, CapAdd, Ulimits, LogConfig, PortBindings, RestartPolicy, Sysctls, Tmpfs } = HostConfig;
  const labels = Object.entries(Config.Labels).filter(([name]) => !name.startsWith('gridferry.io/'));
  return {
    ...{ Env, Cmd, Entrypoint, Hostname, Healthcheck, Image, ExposedPorts, StopSignal, User, WorkingDir },
    ...{ Memory, CapDrop, CapAdd, Ulimits, LogConfig, PortBindings, RestartPolicy, Sysctls, Tmpfs },
    labels: Object.fromEntries(labels),
    mounts: Mounts.map(({ Type, Name, Destination, RW }) => ({ Type, Name, Destination, RW })),
  };
}

async function layersOf(server: Server, image: string): Promise<unknown> {
  return JSON.parse(await docker(server, 'image', 'inspect', '--format', '{{json .RootFS.Layers}}', image));
}

async function treeOf(server: Server, volume: string): Promise<string[]> {
  const root = await docker(server, 'volume', 'inspect', '-f', '{{.Mountpoint}}', volume);
  return (await sh(server, describeTree, root)).split('\n');
}

async function startService(server: Server, base: string, image: string): Promise<void> {
  await importTinyImage(FLEET, server, base, webImage);
  await buildLayeredImage(FLEET, server, image, {
    from: base,
    layers: [{ '/one': `${image}\n` }, { '/two': 'x'.repeat(1_000_000) }],
    instructions: ['ENV MARK=yes', 'LABEL of=test', 'STOPSIGNAL SIGTERM'],
  });
  await docker(server, 'network', 'create', '--subnet', '172.30.7.0/24', '--label', 'net=label', 'backend');
  await docker(server, 'volume', 'create', '--label', 'vol=label', 'data');
  const flags = '--network backend --network-alias www --ip 172.30.7.9 --hostname host-name --restart always';
  const limits = '--memory 64m --cap-drop NET_RAW --ulimit nofile=1000:2000 --sysctl net.core.somaxconn=321';
  const more = '--log-opt max-size=1m --tmpfs /scratch:size=1m --label of=container --health-interval 500ms';
  await docker(
    server,
    ...['run', '-d', '--name', 'web', '-p', '8080:80', '-v', 'data:/data', '-e', 'ODD=a b "c"'],
    ...`${flags} ${limits} ${more}`.split(' '),
    ...['--health-cmd', 'test -e /data/index.html', image],
  );
  await python(
    server,
    makeNastyTree,
    `${await docker(server, 'volume', 'inspect', '-f', '{{.Mountpoint}}', 'data')}/tree`,
  );
}

async function there(t: Test, transfer: Transfer, from: Server, to: Server, image: string, before: InspectedContainer) {
  t.equal(transfer.status?.phase, 'Completed', JSON.stringify(transfer.status?.failure));
  const after = await inspect(to, 'web');
  t.same(given(after), given(before), 'the configuration is as it was given');
  t.same(await layersOf(to, image), await layersOf(from, image), 'the layers are the same ones');
  t.same(await treeOf(to, 'data'), await treeOf(from, 'data'), 'so are the data, with all that files can have');
  const [network] = JSON.parse(await docker(to, 'network', 'inspect', 'backend')) as [
    { readonly Labels: Record<string, string>; readonly IPAM: { readonly Config: readonly { Subnet: string }[] } },
  ];
  t.match(network, { Labels: { net: 'label' }, IPAM: { Config: [{ Subnet: '172.30.7.0/24' }] } });
  t.match(after.NetworkSettings.Networks['backend'], { IPAddress: '172.30.7.9' });
  t.ok(after.NetworkSettings.Networks['backend']?.Aliases?.includes('www'));
  t.match(await docker(to, 'volume', 'inspect', '-f', '{{json .Labels}}', 'data'), /"vol":"label"/);
  t.equal((await inspect(from, 'web')).State.Running, false);
}

for (const [from, to] of directions) {
  await t.test(`from ${from} to ${to}, and back`, async (t) => {
    const name = `${from}-${to}`;
    const image = `app-${name}:1`;
    await startService(from, `base-${from}:1`, image);
    const before = await inspect(from, 'web');
    await gridferry.transfer(name, {
      container: 'web',
      sourceServerRef: { name: from },
      targetServerRef: { name: to },
      forwardFor: '0s',
    });
    const transfer = await finished(name);
    await there(t, transfer, from, to, image, before);
    t.match(transfer.status?.volumes, [{ name: 'data', verified: 'Changed' }]);

    await sh(to, 'docker exec web sh -c "echo written at the target >/data/later"');
    await gridferry.change(name, { rollback: { data: 'Sync' } });
    const back = await gridferry.until(name, ({ status }) => status?.rollback?.outcome !== undefined, 120_000);
    t.equal(back.status?.phase, 'RolledBack', JSON.stringify(back.status?.rollback));
    t.equal(await sh(from, 'docker exec web cat /data/later'), 'written at the target');
    t.match(await inspect(from, 'web'), {
      State: { Running: true },
      HostConfig: { RestartPolicy: { Name: 'always' } },
    });
    for (const server of [from, to]) {
      t.same(await leftovers(server), [], `nothing of the transfer is left on ${server}`);
      await clear(server);
    }
  });
}

await t.test('what an older engine cannot express is named before anything is touched', async (t) => {
  await docker('store', 'volume', 'create', 'parts');
  const root = await docker('store', 'volume', 'inspect', '-f', '{{.Mountpoint}}', 'parts');
  await sh('store', 'mkdir -p "$1/part"', root);
  await docker(
    'store',
    ...[
      'run',
      '-d',
      '--name',
      'modern',
      '--health-cmd',
      'true',
      '--health-start-interval',
      '1s',
      '--health-start-period',
      '2s',
    ],
    ...['--mount', 'type=volume,src=parts,dst=/data,volume-subpath=part', 'app-store-old:1'],
  );
  await gridferry.transfer('modern', {
    container: 'modern',
    sourceServerRef: { name: 'store' },
    targetServerRef: { name: 'old' },
  });
  const { status } = await finished('modern');
  t.equal(status?.phase, 'Failed');
  t.match(status?.failure?.message, /StartInterval needs API 1\.44/);
  t.match(status?.failure?.message, /Subpath needs API 1\.45/);
  t.equal((await inspect('store', 'modern')).State.Running, true);
  t.same(await leftovers('old'), []);
});

await t.test("Podman's socket is known by name", async (t) => {
  const packages = ['podman', 'conmon', 'crun', 'containernetworking-plugins', 'golang-github-containers-common'];
  const libraries = ['golang-github-containers-image', 'libgpgme11', 'libsubid4', 'libyajl2'];
  await unpackOnto('odd', await unpackedPackages('bookworm', [...packages, ...libraries]));
  await sh('odd', 'setsid -f podman system service -t 0 unix:///run/podman.sock >/var/log/podman.log 2>&1 </dev/null');
  await refused(t, 'podman', '/run/podman.sock', /Podman/);
});

await t.test('rootless Docker is known by name', async (t) => {
  await unpackOnto(
    'odd',
    await unpackedPackages('bookworm', ['rootlesskit', 'slirp4netns', 'libslirp0', 'uidmap', 'libsubid4']),
  );
  await sh(
    'odd',
    'chmod 666 /dev/net/tun; echo deploy:200000:65536 | tee -a /etc/subuid >>/etc/subgid; mkdir -p /run/user/2001; chown deploy /run/user/2001; chmod 700 /run/user/2001',
  );
  const start =
    'export HOME=/home/deploy XDG_RUNTIME_DIR=/run/user/2001 PATH=/usr/share/docker.io/contrib:$PATH; setsid -f dockerd-rootless.sh >/tmp/rootless.log 2>&1 </dev/null';
  await fleetExec(FLEET, 'odd', ['sh', '-c', start], { user: 'deploy' });
  await sh(
    'odd',
    'for i in $(seq 300); do docker -H unix:///run/user/2001/docker.sock version >/dev/null 2>&1 && exit; sleep 0.1; done; cat /tmp/rootless.log; false',
  );
  await refused(t, 'rootless', '/run/user/2001/docker.sock', /rootless/i);
});

/** Unpacked packages appear in a server as if they were installed there. */
async function unpackOnto(server: Server, folder: string): Promise<void> {
  const input = execFileSync('tar', ['-C', folder, '--exclude=./engine', '-cf', '-', '.'], { maxBuffer: 2 ** 30 });
  await fleetExec(FLEET, server, ['tar', '-C', '/', '--keep-directory-symlink', '-xf', '-'], { input });
}

/** A move to an engine of that kind ends before anything is touched, and says what it is. */
async function refused(t: Test, name: string, socketPath: string, kind: RegExp): Promise<void> {
  const odd = await gridferry.client.get(ManagedServers, { namespace: 'default', name: 'odd' });
  await gridferry.client.create(ManagedServers, {
    ...odd,
    metadata: { namespace: 'default', name },
    spec: { ...odd.spec, docker: { socketPath } },
    status: {},
  } as never);
  await docker('old', 'run', '-d', '--name', name, await importTinyImage(FLEET, 'old', 'plain:1', webImage));
  await gridferry.transfer(name, {
    container: name,
    sourceServerRef: { name: 'old' },
    targetServerRef: { name },
  });
  const said = ({ status }: Transfer): string =>
    [status?.failure?.message, findCondition(status?.conditions, 'Accepted')?.message].join(' ');
  const transfer = await gridferry.until(name, (one) => kind.test(said(one)), 30_000);
  t.not(transfer.status?.phase, 'Completed');
  t.equal((await inspect('old', name)).State.Running, true);
}

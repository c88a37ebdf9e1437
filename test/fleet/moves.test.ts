import t from 'tap';
import { Services } from '../../src/api/resources.ts';
import type { Service, Transfer } from '../../src/api/resources.ts';
import { captureContainer } from '../../src/docker/container-capture.ts';
import { diffCaptures } from '../../src/docker/container-diff.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { fleetDown, fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import { buildLayeredImage, importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import type { InspectedContainer, ServerName } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';
import { describeTree, makeNastyTree } from '../volumes/nasty-tree.ts';
import { logIn } from '../support/log-in.ts';

const FLEET = 't-moves';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.46.0/24' });
const { docker, sh, python, inspect, field, leftovers } = fleetShell(FLEET);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
await Promise.all([gridferry.addServers(fleet), importTinyImage(FLEET, 'alpha', 'web:1', webImage)]);

async function completed(name: string): Promise<Transfer> {
  const transfer = await gridferry.ended(name);
  t.equal(transfer.status?.phase, 'Completed', JSON.stringify(transfer.status?.failure));
  return transfer;
}

async function volumeOf(server: ServerName, name: string): Promise<string> {
  return docker(server, 'volume', 'inspect', '-f', '{{.Mountpoint}}', name);
}

/** What plain tools say about a tree: names, types, modes, owners, times, sums, attributes, lists, links, holes. */
async function tree(server: ServerName, root: string): Promise<string[]> {
  return (await sh(server, describeTree, root)).split('\n');
}

/** A container's configuration as Docker tells it, without what no two containers can have in common. */
function configured({ Config, HostConfig, Mounts, Image, Name }: InspectedContainer): Record<string, unknown> {
  const labels = Object.entries(Config.Labels).filter(([key]) => !key.startsWith('gridferry.io/'));
  // Docker writes a list that nobody gave as null or as an empty one, and means one network by both names.
  const hostConfig = Object.fromEntries(
    Object.entries<unknown>({ ...HostConfig, Binds: null })
      .map(([key, value]) => [key, key === 'NetworkMode' && value === 'default' ? 'bridge' : value] as const)
      .filter(([, value]) => !(value === null || (Array.isArray(value) && value.length === 0))),
  );
  return {
    Name,
    Image,
    Config: { ...Config, Labels: Object.fromEntries(labels), AttachStdout: null, AttachStderr: null },
    HostConfig: hostConfig,
    Mounts: Mounts.toSorted((a, b) => String(a['Destination']).localeCompare(String(b['Destination']))).map(
      // The mode of a volume that came from the image has no letter for "writable" in it.
      ({ Mode: _mode, ...mount }) => mount,
    ),
  };
}

async function connect(server: ServerName): Promise<Engine> {
  const found = fleet.servers.find(({ name }) => name === server)!;
  const host = await logIn(fleet, found);
  const engine = await connectEngine(host);
  t.teardown(async () => {
    engine.close();
    await host.close();
  });
  return engine;
}

/** The labels that `docker compose up` (v2) gives the container of a service. */
function composeLabels(service: string, dependsOn: string): Record<string, string> {
  return {
    'com.docker.compose.config-hash': `${service}cafe`.padEnd(64, '0'),
    'com.docker.compose.container-number': '1',
    'com.docker.compose.depends_on': dependsOn,
    'com.docker.compose.image': 'sha256:feed',
    'com.docker.compose.oneoff': 'False',
    'com.docker.compose.project': 'blog',
    'com.docker.compose.project.config_files': '/srv/blog/compose.yaml',
    'com.docker.compose.project.working_dir': '/srv/blog',
    'com.docker.compose.service': service,
    'com.docker.compose.version': '2.29.7',
  };
}

void t.test('a compose project moves with its files, its order, its names and its labels', async (t) => {
  const composeFile = `version: "3.8"
services:
  db: {image: "web:1", volumes: ["data:/data"]}
  app: {image: "web:1", depends_on: [db]}
  web: {image: "web:1", depends_on: [app], volumes: ["./conf:/conf:ro"], ports: ["\${PORT}:80"]}
volumes: {data: {}}
`;
  await sh(
    'alpha',
    'mkdir -p /srv/blog/conf && cd /srv/blog && cat >compose.yaml && echo "PORT=8080" >.env && chmod 600 .env && echo "color=blue" >conf/site && chown -R 1000:1000 .',
  ).catch(() => undefined);
  await fleetExec(FLEET, 'alpha', ['tee', '/srv/blog/compose.yaml'], { input: composeFile });
  await docker(
    'alpha',
    'network',
    'create',
    '--label',
    'com.docker.compose.network=default',
    '--label',
    'com.docker.compose.project=blog',
    'blog_default',
  );
  await docker(
    'alpha',
    'volume',
    'create',
    '--label',
    'com.docker.compose.volume=data',
    '--label',
    'com.docker.compose.project=blog',
    'blog_data',
  );
  const run = (service: string, dependsOn: string, flags: string[], script: string): Promise<string> =>
    docker(
      'alpha',
      'run',
      '-d',
      '--name',
      `blog-${service}-1`,
      '--network',
      'blog_default',
      '--network-alias',
      service,
      '--restart',
      'unless-stopped',
      ...flags,
      ...Object.entries(composeLabels(service, dependsOn)).flatMap(([key, value]) => ['--label', `${key}=${value}`]),
      '--entrypoint',
      'sh',
      'web:1',
      '-c',
      `trap 'exit 0' TERM; ${script}; while :; do sleep 0.1; done`,
    );
  // Slow to become ready: an app that did not wait would be refused.
  await run(
    'db',
    '',
    ['-v', 'blog_data:/data', '--health-cmd', 'test -f /tmp/ready/now', '--health-interval', '300ms'],
    'rm -rf /tmp/ready; mkdir -p /tmp/ready; sleep 0.5; echo yes >/tmp/ready/now; httpd -p 80 -h /tmp/ready',
  );
  await sh(
    'alpha',
    'until docker inspect -f "{{.State.Health.Status}}" blog-db-1 | grep -q ^healthy; do sleep 0.1; done',
  );
  await run('app', 'db:service_healthy:false', [], 'echo "ready: $(wget -qO- http://db/now)"; httpd -p 80 -h /');
  await run(
    'web',
    'app:service_started:true',
    ['-p', '8080:80', '-v', '/srv/blog/conf:/conf:ro'],
    'until wget -qO- http://app/start >/dev/null; do sleep 0.1; done; echo "conf: $(cat /conf/site)"; httpd -p 80 -h /conf',
  );
  await python('alpha', makeNastyTree, await volumeOf('alpha', 'blog_data'));
  const labels = new Map<string, unknown>();
  for (const service of ['db', 'app', 'web'])
    labels.set(service, (await inspect('alpha', `blog-${service}-1`)).Config.Labels);

  await gridferry.transfer('blog', {
    composeProject: 'blog',
    forwardFor: '0s',
    healthCheck: { http: { path: '/site', port: 80 } } as never,
  });
  const transfer = await completed('blog');

  const started: string[] = [];
  for (const service of ['db', 'app', 'web']) {
    const { State, Config, NetworkSettings } = await inspect('beta', `blog-${service}-1`);
    t.equal(State.Running, true, `${service} runs`);
    started.push(State.StartedAt);
    const { 'gridferry.io/transfer': uid, 'gridferry.io/transfer-name': name, ...kept } = Config.Labels;
    t.same([uid, name], [transfer.metadata.uid, 'default.blog']);
    t.same(kept, labels.get(service), `the labels of ${service}`);
    t.ok(NetworkSettings.Networks['blog_default']?.Aliases?.includes(service));
  }
  t.same(started.toSorted(), started, 'started in order');
  t.match(await docker('beta', 'logs', 'blog-app-1'), /^ready: yes$/m, 'db was healthy when app started');
  t.match(await docker('beta', 'logs', 'blog-web-1'), /^conf: color=blue$/m);
  t.equal(await docker('beta', 'exec', 'blog-web-1', 'wget', '-qO-', 'http://db/now'), 'yes', 'aliases resolve');
  t.equal(
    await docker('beta', 'network', 'inspect', '-f', '{{index .Labels "com.docker.compose.network"}}', 'blog_default'),
    'default',
  );
  t.equal(
    await docker('beta', 'volume', 'inspect', '-f', '{{index .Labels "com.docker.compose.volume"}}', 'blog_data'),
    'data',
  );
  t.same(
    await tree('beta', await volumeOf('beta', 'blog_data')),
    await tree('alpha', await volumeOf('alpha', 'blog_data')),
  );
  const files =
    'cd /srv/blog && stat -c "%n %a %u:%g %Y" compose.yaml .env conf/site && md5sum compose.yaml .env conf/site';
  t.equal(await sh('beta', files), await sh('alpha', files), 'its compose file, .env and bind mount are there');
  for (const { name } of transfer.status?.volumes ?? []) t.notOk(name.includes('override'));
  // Debian's docker-compose reads the same labels: it must know the project as its own.
  const ps = await fleetExec(FLEET, 'beta', ['sh', '-c', 'cd /srv/blog && docker-compose -f compose.yaml ps'], {
    reject: false,
  });
  if (ps.exitCode === 127) t.comment('docker-compose is not installed: labels alone were compared');
  else for (const service of ['db', 'app', 'web']) t.match(ps.stdout, new RegExp(`blog-${service}-1 .* Up`), ps.stderr);
});

void t.test('a container with everything that moves tend to lose is the same afterwards', async (t) => {
  await sh('alpha', 'mkdir -p /srv/odd');
  await docker(
    'alpha',
    'run',
    '-d',
    '--name',
    'odd',
    '--hostname',
    'odd.example',
    '--restart',
    'on-failure:3',
    '-v',
    '/anonymous',
    '-v',
    '/srv/odd:/bound',
    '-v',
    'odd-data:/data',
    '--mount',
    'type=volume,src=odd-ro,dst=/ro,readonly',
    '-e',
    'PLAIN=1',
    '-e',
    'ODD=a=b "c" $d',
    '-e',
    'EMPTY=',
    '--label',
    'odd.label=x y',
    '--ulimit',
    'nofile=1024:2048',
    '--sysctl',
    'net.core.somaxconn=321',
    '--cap-add',
    'NET_ADMIN',
    '--cap-drop',
    'MKNOD',
    '--tmpfs',
    '/scratch:rw,size=1m,mode=1770',
    '--add-host',
    'db.internal:10.1.2.3',
    '--log-opt',
    'max-size=1m',
    '--log-opt',
    'max-file=2',
    '--stop-signal',
    'SIGINT',
    '--stop-timeout',
    '7',
    '--memory',
    '64m',
    '--memory-swap',
    '128m',
    '--cpus',
    '0.5',
    '--pids-limit',
    '100',
    '--health-cmd',
    'test -e /data/plain',
    '--health-interval',
    '500ms',
    '--health-retries',
    '5',
    '--shm-size',
    '8m',
    '--user',
    '70:71',
    '--workdir',
    '/data',
    '--init',
    '--read-only=false',
    '--dns',
    '10.9.9.9',
    '--oom-score-adj',
    '100',
    '--device',
    '/dev/null:/dev/odd',
    '--security-opt',
    'no-new-privileges',
    '-p',
    '127.0.0.1:9123:80',
    '-p',
    '9124:80/udp',
    'web:1',
  );
  const anonymous = await field(
    'alpha',
    'odd',
    '{{range .Mounts}}{{if eq .Destination "/anonymous"}}{{.Name}}{{end}}{{end}}',
  );
  const roots: [string, string][] = [];
  for (const name of ['odd-data', anonymous]) roots.push([name, await volumeOf('alpha', name)]);
  for (const [, root] of [...roots, ['', '/srv/odd'] as const]) await python('alpha', makeNastyTree, root);
  await sh('alpha', 'printf "<html>" >"$1"', `${roots[0]![1]}/index.html`);
  await docker(
    'alpha',
    'exec',
    '-u',
    '0',
    'odd',
    'sh',
    '-c',
    `umask 077; mkdir /opt; echo kept >/opt/outside; ln -s /opt/outside /opt/link;
    echo changed >>/etc/group; echo gone >/tmp/not-carried; chmod 4755 /start`,
  );
  // By root outside: with no-new-privileges root inside may not.
  await sh('alpha', 'chown 70:70 "$(docker inspect -f "{{.GraphDriver.Data.MergedDir}}" odd)/opt/outside"');
  const look = 'stat -c "%n %a %u:%g %s %F" /opt /opt/outside /opt/link /start; tail -1 /etc/group; ls /tmp';
  const outside = await docker('alpha', 'exec', '-u', '0', 'odd', 'sh', '-c', look);
  t.match(outside, /^\/opt\/outside 600 70:70 5 regular file\n.*changed\nnot-carried$/ms);
  const before = await inspect('alpha', 'odd');
  const capturedBefore = await captureContainer(await connect('alpha'), 'odd');

  await gridferry.transfer('odd', { container: 'odd', verify: 'Full', forwardFor: '0s' });
  await completed('odd');

  const after = await inspect('beta', 'odd');
  t.same(configured(after), configured(before), 'as docker inspect tells it');
  const capturedAfter = await captureContainer(await connect('beta'), 'odd');
  const ignoreLabels = ['gridferry.io/transfer', 'gridferry.io/transfer-name'];
  t.same(diffCaptures(capturedBefore, capturedAfter, { ignoreLabels }), [], 'as the product tells it');
  for (const [name, root] of roots) {
    t.same(await tree('beta', await volumeOf('beta', name)), await tree('alpha', root), `volume ${name}`);
  }
  t.same(await tree('beta', '/srv/odd'), await tree('alpha', '/srv/odd'), 'the bind mount');
  const carried = await docker('beta', 'exec', '-u', '0', 'odd', 'sh', '-c', look);
  t.equal(`${carried}\nnot-carried`, outside, 'what was written outside volumes');
  t.equal((await inspect('alpha', 'odd')).State.Running, false, 'the source is stopped');
  t.equal(await field('alpha', 'odd', '{{.HostConfig.RestartPolicy.Name}}'), 'no');
});

void t.test('an image whose base the target has is sent without it', async (t) => {
  const noise = Buffer.alloc(12 << 20);
  for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(Math.imul(at + 7, 2654435761) >>> 0, at);
  const base = { ...webImage, files: { ...webImage.files, '/base.bin': noise } };
  await Promise.all((['alpha', 'beta'] as const).map((server) => importTinyImage(FLEET, server, 'base:1', base)));
  await buildLayeredImage(FLEET, 'alpha', 'app:1', { from: 'base:1', layers: [{ '/app': 'one' }, { '/more': 'two' }] });
  const size = Number(await docker('alpha', 'image', 'inspect', '-f', '{{.Size}}', 'app:1'));
  await docker('alpha', 'run', '-d', '--name', 'layered', 'app:1');
  await gridferry.transfer('layered', { container: 'layered' });
  const { status } = await completed('layered');
  const [image] = status?.images ?? [];
  t.match(image, { method: 'Layers', layersSent: 2, layersTotal: 3 });
  t.ok((image?.bytesSent ?? size) < size / 100, `${String(image?.bytesSent)} of ${String(size)} bytes sent`);
  t.ok((image?.bytesSkipped ?? 0) >= noise.length);
  t.equal(await docker('beta', 'exec', 'layered', 'cat', '/app', '/more'), 'onetwo');
});

void t.test('a Service moves with its addons, which start first, and says where it is now', async (t) => {
  await docker('alpha', 'network', 'create', 'shop');
  await docker('alpha', 'run', '-d', '--name', 'shop-db', '--network', 'shop', '-v', 'shop-db:/data', 'web:1');
  await docker(
    'alpha',
    'run',
    '-d',
    '--name',
    'shop',
    '--network',
    'shop',
    '-p',
    '8090:80',
    '-v',
    'shop:/data',
    'web:1',
  );
  await gridferry.client.create(Services, {
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'Service',
    metadata: { name: 'shop', namespace: 'default' },
    spec: { container: 'shop', addons: [{ name: 'db', container: 'shop-db' }], serverRef: { name: 'alpha' } },
  } as unknown as Service);
  await gridferry.transfer('shop', {
    ...{ serviceRef: { name: 'shop' }, sourceServerRef: undefined, forwardFor: '0s' },
  } as never);
  const transfer = await completed('shop');
  t.equal(transfer.status?.sourceServer, 'alpha');
  const started = [(await inspect('beta', 'shop-db')).State.StartedAt, (await inspect('beta', 'shop')).State.StartedAt];
  t.same(started.toSorted(), started, 'the addon was first');
  const service = await gridferry.client.get(Services, { namespace: 'default', name: 'shop' });
  t.match(service.status, {
    server: 'beta',
    moves: 1,
    events: [{ reason: 'Moved', migrated: true, transfer: 'shop' }],
  });
});

void t.test('where the target has no rsync, data go by tar', async (t) => {
  await sh('beta', 'mv /usr/bin/rsync /usr/bin/rsync.hidden');
  t.teardown(() => sh('beta', 'mv /usr/bin/rsync.hidden /usr/bin/rsync'));
  await docker('alpha', 'run', '-d', '--name', 'tarred', '-v', 'tarred:/data', 'web:1');
  const root = await volumeOf('alpha', 'tarred');
  await python('alpha', makeNastyTree, root);
  await gridferry.transfer('tarred', { container: 'tarred' });
  const { status } = await completed('tarred');
  t.same([...new Set(status?.volumes?.[0]?.passes?.map(({ tool }) => tool))], ['tar']);
  t.same(await tree('beta', await volumeOf('beta', 'tarred')), await tree('alpha', root));
});

void t.test('what was moved can be moved back, once the old copy is out of the way', async (t) => {
  await docker('beta', 'exec', 'layered', 'sh', '-c', 'echo "written at beta" >/data/index.html');
  const back = { container: 'layered', sourceServerRef: { name: 'beta' }, targetServerRef: { name: 'alpha' } };
  await gridferry.transfer('back', back);
  const refused = await gridferry.ended('back');
  t.match(refused.status, { phase: 'Failed', failure: { code: 'GF_PREFLIGHT_NAME_TAKEN' } });
  t.match(refused.status?.message, /server alpha already has a container named layered: .*remove it/);
  t.equal((await inspect('beta', 'layered')).State.Running, true);

  await docker('alpha', 'rm', 'layered');
  await gridferry.change('back', { retryToken: 'again' });
  await gridferry.until('back', ({ status }) => status?.attempts?.length === 1);
  await completed('back');
  t.equal(await docker('alpha', 'exec', 'layered', 'cat', '/data/index.html'), 'written at beta');
  t.equal((await inspect('beta', 'layered')).State.Running, false);
});

void t.test('after all of it nothing is left but what was moved', async (t) => {
  for (const server of ['alpha', 'beta'] as const) {
    t.same(
      (await leftovers(server)).filter(
        (line) => !/^(container|volume|network) [a-z0-9]/.test(line) || line.includes('gridferry'),
      ),
      [],
    );
  }
});

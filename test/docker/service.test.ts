import t from 'tap';
import { composeProjectOf, dependsOn, isOneOff } from '../../src/docker/compose-files.ts';
import type { ContainerCapture } from '../../src/docker/container-capture.ts';
import { isHostSpecific } from '../../src/docker/host-paths.ts';
import { startOrder, startWaves } from '../../src/docker/start-order.ts';
import { copyRoots, layerFilter, toWritableChanges } from '../../src/docker/writable-layer.ts';
import type { TarEntry } from '../../src/docker/tar-filter.ts';
import { capture } from './fixtures.ts';

function service(name: string, after: string, needs: ContainerCapture['needs'] = []): ContainerCapture {
  const Labels = { 'com.docker.compose.service': name, 'com.docker.compose.depends_on': after };
  return { ...capture('plain'), name: `shop-${name}-1`, config: { Labels }, needs };
}

const names = (containers: readonly ContainerCapture[]): string[] => containers.map(({ name }) => name);

void t.test('containers start after what they depend on', async (t) => {
  const web = service('web', 'api:service_healthy:true,cache:service_started:false');
  const api = service('api', 'db:service_healthy:false');
  const db = service('db', '');
  const cache = service('cache', '', [{ container: 'shop-db-1', why: 'network' }]);
  t.same(names(startOrder([web, api, cache, db])), ['shop-db-1', 'shop-api-1', 'shop-cache-1', 'shop-web-1']);
});

void t.test('those that do not depend on each other are of one wave', async (t) => {
  const web = service('web', 'api:service_healthy:true,cache:service_started:false');
  const api = service('api', 'db:service_healthy:false');
  const [db, cache] = [service('db', ''), service('cache', '')];
  t.same(startWaves([web, api, db, cache]).map(names), [['shop-db-1', 'shop-cache-1'], ['shop-api-1'], ['shop-web-1']]);
  t.same(startWaves([]), []);
});

void t.test('where nothing decides, the given order stays, and strangers are no obstacle', async (t) => {
  const one = service('one', 'gone:service_started:true', [{ container: 'elsewhere', why: 'link' }]);
  t.same(names(startOrder([one, service('two', '')])), ['shop-one-1', 'shop-two-1']);
});

void t.test('a circle is refused and shown', async (t) => {
  const a = service('a', 'b:service_started:true');
  const b = service('b', '', [{ container: 'shop-a-1', why: 'link' }]);
  t.throws(() => startOrder([a, b]), { code: 'GF_DOCKER_DEPENDENCY_CYCLE', message: /shop-a-1 → shop-b-1 → shop-a-1/ });
});

void t.test('compose labels tell the project and its files', async (t) => {
  const labels = {
    'com.docker.compose.project': 'shop',
    'com.docker.compose.project.working_dir': '/srv/shop',
    'com.docker.compose.project.config_files': '/srv/shop/compose.yaml,override.yaml,-',
    'com.docker.compose.project.environment_file': '/srv/shop/prod.env',
  };
  t.same(composeProjectOf([labels, { 'com.docker.compose.project': 'shop' }]), {
    project: 'shop',
    workingDir: '/srv/shop',
    configFiles: ['/srv/shop/compose.yaml', '/srv/shop/override.yaml'],
    envFiles: ['/srv/shop/prod.env'],
  });
  t.equal(composeProjectOf([labels, {}]), undefined, 'not all of one project');
  t.equal(composeProjectOf([{}]), undefined);
  t.same(dependsOn({ 'com.docker.compose.depends_on': 'a:service_started:true, b' }), ['a', 'b']);
  t.ok(isOneOff({ 'com.docker.compose.oneoff': 'True' }));
});

void t.test('mounts of the machine itself are not data', async (t) => {
  for (const path of [
    '/',
    '/proc',
    '/sys/fs/cgroup',
    '/dev/snd',
    '/var/run/docker.sock',
    '/run/user/1000/docker.sock',
    '/etc/localtime',
    '/var/run/',
  ]) {
    t.ok(isHostSpecific(path), path);
  }
  for (const path of ['/srv/data', '/etc/nginx', '/home/me/app', '/device', '/var/lib/app'])
    t.notOk(isHostSpecific(path), path);
});

void t.test('the writable layer', (t) => {
  const changes = toWritableChanges(
    [
      { Path: '/etc', Kind: 0 },
      { Path: '/etc/app.conf', Kind: 0 },
      { Path: '/etc/hosts', Kind: 0 },
      { Path: '/new', Kind: 1 },
      { Path: '/new/a', Kind: 1 },
      { Path: '/new/a/b', Kind: 1 },
      { Path: '/run', Kind: 0 },
      { Path: '/run/x.pid', Kind: 1 },
      { Path: '/data', Kind: 1 },
      { Path: '/opt', Kind: 1 },
      { Path: '/opt/keep', Kind: 1 },
      { Path: '/opt/vol', Kind: 1 },
      { Path: '/usr/share/old', Kind: 2 },
      { Path: '/usr', Kind: 0 },
      { Path: '/usr/share', Kind: 0 },
      { Path: '/only', Kind: 1 },
      { Path: '/only/mount', Kind: 1 },
    ],
    ['/data', '/opt/vol', '/only/mount'],
  );

  void t.test('is what was written outside mounts, without directories listed for their children', async (t) => {
    t.same(changes.added, ['/new', '/new/a', '/new/a/b', '/opt', '/opt/keep']);
    t.same(changes.changed, ['/etc/app.conf']);
    t.same(changes.deleted, ['/usr/share/old']);
  });

  void t.test('is fetched by the tops of its trees, but never through a mount', async (t) => {
    t.same(copyRoots(changes), [
      { path: '/etc/app.conf', shallow: true },
      { path: '/new', shallow: false },
      { path: '/opt', shallow: true },
      { path: '/opt/keep', shallow: false },
    ]);
  });

  void t.test('refuses names that lead out of the tree', async (t) => {
    const entry = (name: string, more: Partial<TarEntry> = {}): TarEntry => ({
      name,
      linkName: '',
      size: 0,
      type: 'file',
      ...more,
    });
    const skipped: string[] = [];
    const filter = layerFilter('/new', false, changes.excluded, skipped);
    t.equal(filter.decide(entry('new/', { type: 'directory' })), 'keep');
    t.equal(filter.decide(entry('./new/a')), 'keep');
    t.equal(filter.decide(entry('new/link', { type: 'symlink', linkName: '/etc/passwd' })), 'keep');
    t.equal(filter.decide(entry('new/dev', { type: 'block' })), 'drop');
    t.same(skipped, ['/new/dev']);
    for (const name of ['../x', 'new/../../x', '/new/a', 'other', 'newer/x']) {
      t.throws(() => filter.decide(entry(name)), { code: 'GF_ARCHIVE_HOSTILE' }, name);
    }
    t.throws(() => filter.decide(entry('new/h', { type: 'hardlink', linkName: '../etc/shadow' })), {
      code: 'GF_ARCHIVE_HOSTILE',
    });
    const optFilter = layerFilter('/opt', false, ['/opt/vol'], []);
    t.equal(optFilter.decide(entry('opt/vol/secret')), 'drop');
  });
  t.end();
});

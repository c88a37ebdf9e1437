import t from 'tap';
import { dataSetOf, manifestName, pathOn } from '../../../../controllers/transfer/copying/data-set.ts';
import type { ServiceCapture } from '../../../../src/docker/service-capture.ts';
import type { Workbench } from '../../../../src/volumes/workbench.ts';

const volume = (name: string, copyMode = 'copy') => ({ name, copyMode });
const bind = (path: string, more: object = {}) => ({
  path,
  type: 'directory',
  readOnly: false,
  hostSpecific: false,
  containers: ['web'],
  ...more,
});

function items(capture: object) {
  return dataSetOf({
    containers: [],
    networks: [],
    volumes: [],
    binds: [],
    images: [],
    missing: [],
    ...capture,
  } as unknown as ServiceCapture);
}

const names = (capture: object): string[] => items(capture).map(({ name }) => name);

void t.test('volumes come first, and only those that are copied', async (t) => {
  t.same(names({ volumes: [volume('a'), volume('nfs', 'unsupported'), volume('b')], binds: [bind('/srv')] }), [
    'a',
    'b',
    '/srv',
  ]);
});

void t.test('a directory brings along what lies below it, in whatever order they are named', async (t) => {
  const binds = [
    bind('/srv/app/data/deep'),
    bind('/srv/app', {}),
    bind('/srv/app/conf', { type: 'file' }),
    bind('/srv/apple'),
  ];
  t.same(names({ binds }), ['/srv/app', '/srv/apple'], 'and not what only begins alike');
});

void t.test('what belongs to the server stays there', async (t) => {
  t.same(names({ binds: [bind('/var/run/docker.sock', { type: 'other', hostSpecific: true }), bind('/data')] }), [
    '/data',
  ]);
});

void t.test('a single file is reached through its folder', async (t) => {
  const [item] = items({ binds: [bind('/etc/app/app.conf', { type: 'file', readOnly: true })] });
  t.match(item, { location: { kind: 'bind', path: '/etc/app' }, file: 'app.conf', writable: false });
  const bench = { pathOf: () => '/data/0' } as unknown as Workbench;
  t.equal(pathOn(bench, item!), '/data/0/app.conf');
  const [directory] = items({ binds: [bind('/srv')] });
  t.equal(pathOn(bench, directory!), '/data/0');
  t.equal(directory?.writable, true);
});

void t.test('the files of a compose project come along, once', async (t) => {
  const compose = {
    configFiles: ['/srv/blog/compose.yaml', '/opt/extra.yaml'],
    envFiles: ['/srv/blog/.env', '/opt/extra.yaml'],
  };
  t.same(names({ compose }), ['/srv/blog/compose.yaml', '/opt/extra.yaml', '/srv/blog/.env']);
  t.same(names({ compose, binds: [bind('/srv/blog')] }), ['/srv/blog', '/opt/extra.yaml'], 'unless a bind has them');
  t.ok(items({ compose }).every(({ writable }) => !writable));
});

void t.test('each item has a manifest of its own', async (t) => {
  t.not(manifestName(0), manifestName(1));
});

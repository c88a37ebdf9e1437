import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { ConfigMaps, Secrets } from '../../src/api/core.ts';
import { Services, servedTypes } from '../../src/api/resources.ts';
import type { Service } from '../../src/api/resources.ts';
import type { Admission } from '../../src/home/admission.ts';
import { isReason } from '../../src/home/api-error.ts';
import { invalid } from '../../src/home/api-messages.ts';
import { startDirectorySync } from '../../src/home/directory-sync.ts';
import type { DirectorySync } from '../../src/home/directory-sync.ts';
import type { LocalHome } from '../../src/home/local-client.ts';
import { formatProblem } from '../../src/home/manifest-problem.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { admitAll, serviceNamed, temporaryDirectory, temporaryHome } from '../support/local-home.ts';

interface Scene {
  readonly directory: string;
  readonly home: LocalHome;
  readonly sync: DirectorySync;
  readonly logged: string[];
  readonly write: (file: string, text: string) => void;
  readonly names: () => Promise<string[]>;
  readonly get: (name: string) => Promise<Service | undefined>;
  readonly problems: () => string[];
}

async function scene(
  t: Test,
  files: Record<string, string> = {},
  more: Partial<Scene> & { admission?: Admission } = {},
): Promise<Scene> {
  const directory = more.directory ?? temporaryDirectory(t);
  const { admission = admitAll } = more;
  const home = more.home ?? temporaryHome(t, { admission });
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), text);
  };
  for (const [file, text] of Object.entries(files)) write(file, text);
  const logged: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
  const sync = startDirectorySync({ directory, client: home, types: servedTypes, admission, clock: systemClock, log });
  t.teardown(() => sync.stop());
  await sync.ready;
  return {
    directory,
    home,
    sync,
    logged,
    write,
    names: async () => (await home.list(Services)).items.map((item) => item.metadata.name),
    get: async (name) => {
      try {
        return await home.get(Services, { namespace: 'default', name });
      } catch (error) {
        if (isReason(error, 'NotFound')) return undefined;
        throw error;
      }
    },
    problems: () => sync.problems().map(formatProblem),
  };
}

function service(name: string, container = 'c', more = ''): string {
  return `apiVersion: gridferry.io/v1alpha1
kind: Service
metadata:
  name: ${name}
spec:
  container: ${container}
  serverRef:
    name: s1
${more}`;
}

async function eventually(t: Test, what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 8000;
  while (!(await condition())) {
    if (Date.now() > deadline) {
      t.fail(`${what}: it did not come to pass`);
      return;
    }
    await delay(5);
  }
  t.pass(what);
}

void t.test('what the directory says is applied when ready, with its source', async (t) => {
  const { names, get, problems } = await scene(t, {
    'a.yaml': service('a'),
    'deep/er/b.yml': `${service('b1')}---\n${service('b2')}`,
    'c.json': JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [serviceNamed('c1'), { ...serviceNamed('c2'), metadata: { name: 'c2' } }],
    }),
    '.hidden/x.yaml': service('hidden'),
    'x.yaml~': service('backup'),
    '.#x.yaml': service('lock'),
    '#x.yaml#': service('autosave'),
    'x.yaml.swp': 'binary',
    '4913': '',
    'notes.txt': 'nothing',
  });
  t.same(await names(), ['a', 'b1', 'b2', 'c1', 'c2']);
  t.equal((await get('b2'))?.metadata.annotations?.['gridferry.io/source'], 'deep/er/b.yml');
  t.same(problems(), []);
});

void t.test('a saved file is applied, however the editor saves it', async (t) => {
  const { write, get, directory, names } = await scene(t, { 'a.yaml': service('a') });
  write('a.yaml', service('a', 'in-place'));
  await eventually(t, 'written in place', async () => (await get('a'))?.spec.container === 'in-place');
  write('a.yaml.tmp', service('a', 'renamed'));
  renameSync(join(directory, 'a.yaml.tmp'), join(directory, 'a.yaml'));
  await eventually(t, 'renamed over', async () => (await get('a'))?.spec.container === 'renamed');
  renameSync(join(directory, 'a.yaml'), join(directory, 'a.yaml~'));
  write('4913', '');
  write('a.yaml', service('a', 'vim'));
  rmSync(join(directory, '4913'));
  await eventually(t, 'moved away and written anew', async () => (await get('a'))?.spec.container === 'vim');
  write('new/deep/b.yaml', service('b'));
  await eventually(t, 'in a new directory', async () => (await names()).includes('b'));
  t.equal((await get('a'))?.metadata.generation, 4, 'and was never deleted meanwhile');
});

void t.test('of two quick writes the last one counts', async (t) => {
  const { write, get } = await scene(t, { 'a.yaml': service('a') });
  for (let i = 0; i < 10; i++) {
    write('a.yaml', service('a', `first-${String(i)}`));
    await delay(i * 5);
    write('a.yaml', service('a', `last-${String(i)}`));
    await eventually(t, `round ${String(i)}`, async () => (await get('a'))?.spec.container === `last-${String(i)}`);
  }
});

void t.test('a file written in pieces is not reported broken in between', async (t) => {
  const { write, sync, get, problems } = await scene(t, { 'a.yaml': service('a') });
  const reports: number[] = [];
  sync.onChange(() => reports.push(sync.problems().length));
  for (let i = 0; i < 5; i++) {
    write('a.yaml', '');
    await delay(30);
    write('a.yaml', 'apiVersion: gridferry.io/v1alpha1\nkind: Service\nmetadata: {');
    await delay(30);
    write('a.yaml', service('a', `c${String(i)}`));
    await eventually(t, 'applied', async () => (await get('a'))?.spec.container === `c${String(i)}`);
  }
  t.same(reports, []);
  t.same(problems(), []);
});

void t.test('a broken file freezes its objects and is reported with its place, until it is whole again', async (t) => {
  const { write, sync, get, names, problems, home } = await scene(t, {
    'a.yaml': `${service('a')}---\n${service('b')}`,
    'other.yaml': service('other'),
  });
  write('a.yaml', `${service('a', 'changed')}---\n${service('b')}  broken: [\n`);
  await eventually(t, 'reported', () => problems().length > 0);
  t.match(problems()[0], /^a\.yaml:\d+:\d+: /);
  await sync.resync();
  t.same(await names(), ['a', 'b', 'other']);
  t.equal((await get('a'))?.spec.container, 'c', 'not changed either');
  await home.patch(
    Services,
    { namespace: 'default', name: 'a' },
    { type: 'merge', body: { spec: { container: 'mine' } } },
  );
  await sync.resync();
  t.equal((await get('a'))?.spec.container, 'mine', 'frozen, not defended');
  write('a.yaml', '');
  await eventually(t, 'empty is reported', () => /empty/.test(problems()[0] ?? ''));
  await sync.resync();
  t.same(await names(), ['a', 'b', 'other'], 'an empty file deletes nothing');
  write('a.yaml', service('a', 'whole'));
  await eventually(t, 'whole again', async () => (await get('a'))?.spec.container === 'whole');
  await eventually(t, 'what is gone from it is pruned', async () => !(await names()).includes('b'));
  t.same(problems(), []);
});

void t.test('a deleted file deletes what the sync created, and nothing else', async (t) => {
  const home = temporaryHome(t);
  await home.create(Services, serviceNamed('adopted'));
  await home.create(Services, serviceNamed('foreign'));
  const { directory, names, get, write } = await scene(
    t,
    { 'a.yaml': service('a'), 'adopted.yaml': service('adopted', 'taken-over'), 'last.yaml': service('last') },
    { home },
  );
  t.equal((await get('adopted'))?.spec.container, 'taken-over');
  rmSync(join(directory, 'a.yaml'));
  rmSync(join(directory, 'adopted.yaml'));
  await eventually(t, 'pruned', async () => !(await names()).includes('a'));
  t.same(await names(), ['adopted', 'foreign', 'last']);
  rmSync(join(directory, 'last.yaml'));
  await eventually(t, 'the last file, too', async () => !(await names()).includes('last'));
  write('a.yaml', service('a'));
  await eventually(t, 'and comes back', async () => (await names()).includes('a'));
});

void t.test('finalizers are honoured, and what its file still has is created again afterwards', async (t) => {
  const { home, get, directory } = await scene(t, { 'a.yaml': service('a') });
  const key = { namespace: 'default', name: 'a' };
  const first = await get('a');
  await home.patch(Services, key, { type: 'merge', body: { metadata: { finalizers: ['gridferry.io/hold'] } } });
  await home.delete(Services, key);
  writeFileSync(join(directory, 'a.yaml'), service('a', 'again'));
  await delay(100);
  t.equal((await get('a'))?.spec.container, 'c', 'an object on its way out is left alone');
  await home.patch(Services, key, { type: 'merge', body: { metadata: { finalizers: null } } });
  await eventually(t, 'created again', async () => (await get('a'))?.spec.container === 'again');
  t.not((await get('a'))?.metadata.uid, first?.metadata.uid);
});

void t.test('a checkout that swaps 300 files deletes nothing that comes back elsewhere', async (t) => {
  const files: Record<string, string> = {};
  for (let i = 0; i < 300; i++) files[`old/${String(i)}.yaml`] = service(`s${String(i)}`);
  const { home, directory, sync, names, write } = await scene(t, files);
  const deleted: string[] = [];
  const abort = new AbortController();
  const { resourceVersion } = await home.list(Services);
  const watching = (async () => {
    for await (const event of home.watch(Services, { resourceVersion, signal: abort.signal })) {
      if (event.type === 'DELETED') deleted.push(event.object.metadata.name);
    }
  })();
  for (let i = 0; i < 300; i++) {
    rmSync(join(directory, `old/${String(i)}.yaml`));
    if (i % 20 === 0) await delay(10);
  }
  rmSync(join(directory, 'old'), { recursive: true });
  await delay(100);
  for (let i = 0; i < 299; i++) {
    write(`new/${String(i % 7)}/${String(i)}.yaml`, service(`s${String(i)}`, 'moved'));
    if (i % 20 === 0) await delay(10);
  }
  await sync.resync();
  await eventually(t, 'the one that did not come back is gone', async () => !(await names()).includes('s299'));
  await eventually(t, 'all moved', async () =>
    (await home.list(Services)).items.every((item) => item.spec.container === 'moved'),
  );
  t.equal((await names()).length, 299);
  abort.abort();
  await watching;
  t.same(deleted, ['s299']);
});

void t.test('an object that moves into a broken file is kept', async (t) => {
  const { write, sync, names } = await scene(t, { 'a.yaml': `${service('moving')}---\n${service('stays')}` });
  write('b.yaml', `${service('moving')}  : : [`);
  write('a.yaml', service('stays'));
  await delay(50);
  await sync.resync();
  t.same(await names(), ['moving', 'stays']);
});

void t.test('a directory that vanishes, or comes back empty, freezes everything', async (t) => {
  const parent = temporaryDirectory(t);
  const directory = join(parent, 'manifests');
  mkdirSync(directory);
  const home = temporaryHome(t);
  const { sync, names, problems, write, get } = await scene(t, { 'a.yaml': service('a') }, { directory, home });
  renameSync(directory, join(parent, 'away'));
  await sync.resync();
  t.match(problems()[0], /^\.:1:1: the directory cannot be listed.*GF_MANIFEST_DIRECTORY_UNREADABLE/);
  mkdirSync(directory);
  await sync.resync();
  t.match(problems()[0], /GF_MANIFEST_DIRECTORY_EMPTY/);
  t.same(await names(), ['a']);
  rmSync(directory, { recursive: true });
  renameSync(join(parent, 'away'), directory);
  await sync.resync();
  t.same(problems(), []);
  write('a.yaml', service('a', 'watched-again'));
  await eventually(t, 'and is watched again', async () => (await get('a'))?.spec.container === 'watched-again');
  await sync.stop();
  rmSync(join(directory, 'a.yaml'));
  const later = await scene(t, {}, { directory, home });
  await later.sync.resync();
  t.same(await later.names(), ['a'], 'an empty directory at the start may be an empty mount point');
  t.match(later.problems()[0], /GF_MANIFEST_DIRECTORY_EMPTY/);
});

void t.test('the same object in two files is reported at both places, and neither is applied', async (t) => {
  const { write, get, problems } = await scene(t, { 'a.yaml': service('x', 'first') });
  write('b.yaml', `# a comment\n${service('x', 'second')}`);
  await eventually(t, 'reported', () => problems().length === 2);
  t.match(problems()[0], /^a\.yaml:1:1: Service default\/x is also defined in b\.yaml:2; neither is applied/);
  t.match(problems()[1], /^b\.yaml:2:1: Service default\/x is also defined in a\.yaml:1/);
  t.equal((await get('x'))?.spec.container, 'first');
  write('a.yaml', service('z'));
  await eventually(t, 'the other one wins', async () => (await get('x'))?.spec.container === 'second');
  t.same(problems(), []);
  t.equal((await get('x'))?.metadata.generation, 2, 'without a deletion');
});

void t.test('a Kubernetes volume is seen once, by its visible paths, through its atomic swaps', async (t) => {
  const directory = temporaryDirectory(t);
  const swap = (version: string, files: Record<string, string>): void => {
    mkdirSync(join(directory, version));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, version, name), text);
    symlinkSync(version, join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
  };
  swap('..2026_01', { 'a.yaml': service('a', 'one'), 'b.yaml': service('b') });
  for (const file of ['a.yaml', 'b.yaml']) symlinkSync(`..data/${file}`, join(directory, file));
  const { get, problems, names } = await scene(t, {}, { directory });
  t.same(await names(), ['a', 'b']);
  t.same(problems(), []);
  t.equal((await get('a'))?.metadata.annotations?.['gridferry.io/source'], 'a.yaml');
  swap('..2026_02', { 'a.yaml': service('a', 'two'), 'b.yaml': service('b') });
  rmSync(join(directory, '..2026_01'), { recursive: true });
  await eventually(t, 'the swap is noticed', async () => (await get('a'))?.spec.container === 'two');
});

void t.test('links are followed inside the directory only, and loops end', async (t) => {
  const outside = temporaryDirectory(t);
  writeFileSync(join(outside, 'x.yaml'), service('outside'));
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, 'real'));
  writeFileSync(join(directory, 'real/a.yaml'), service('a'));
  symlinkSync('real', join(directory, 'linked'));
  symlinkSync('..', join(directory, 'real/loop'));
  symlinkSync('self.yaml', join(directory, 'self.yaml'));
  symlinkSync('real/a.yaml', join(directory, 'same.yaml'));
  symlinkSync(join(outside, 'x.yaml'), join(directory, 'leak.yaml'));
  const { names, problems, get } = await scene(t, {}, { directory });
  t.same(await names(), ['a']);
  t.equal((await get('a'))?.metadata.annotations?.['gridferry.io/source'], 'real/a.yaml');
  t.match(problems(), [/^leak\.yaml:1:1: .*GF_MANIFEST_SYMLINK_OUTSIDE/, /^self\.yaml:1:1: .*GF_MANIFEST_UNREADABLE/]);
});

void t.test("a field the file dropped is removed; a field it never had is the user's", async (t) => {
  const { write, home, get, sync } = await scene(t, { 'a.yaml': service('a', 'c', '  publicName: www\n') });
  await home.patch(
    Services,
    { namespace: 'default', name: 'a' },
    {
      type: 'merge',
      body: { metadata: { labels: { mine: 'yes' } }, spec: { container: 'drifted', healthCheck: { x: 1 } } },
    },
  );
  await sync.resync();
  t.equal((await get('a'))?.spec.container, 'c', 'what the file says is put back');
  write('a.yaml', service('a'));
  await eventually(t, 'dropped', async () => (await get('a'))?.spec.publicName === undefined);
  const after = await get('a');
  t.same(after?.metadata.labels, { mine: 'yes' });
  t.same(after?.spec.healthCheck, { x: 1 });
});

void t.test('a pass over unchanged files writes nothing', async (t) => {
  const { sync, home } = await scene(t, { 'a.yaml': service('a'), 'b.yaml': service('b') });
  const { resourceVersion } = await home.list(Services);
  await sync.resync();
  await sync.resync();
  t.equal((await home.list(Services)).resourceVersion, resourceVersion);
});

void t.test("a Secret's values show up nowhere but in its data", async (t) => {
  const secret = (password: string): string =>
    `apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  user: hunter\n  password: ${password}\n`;
  const { home, write, logged, problems, get } = await scene(t, { 's.yaml': secret('sesame-one') });
  const read = () => home.get(Secrets, { namespace: 'default', name: 's' });
  const text = JSON.stringify({ ...(await read()), data: undefined });
  t.notMatch(text, /sesame|hunter|c2VzYW1l/);
  t.same(Object.keys((await read()).data ?? {}), ['user', 'password']);
  write('s.yaml', secret('0777'));
  await eventually(t, 'refused', () => problems().length === 1);
  t.match(problems()[0], /^s\.yaml:6:13: this value has two readings/);
  t.notMatch(problems().join() + logged.join(), /sesame|0777|511/);
  write('s.yaml', secret('sesame-two').replace('  user: hunter\n', ''));
  await eventually(t, 'applied', async () => !('user' in ((await read()).data ?? {})));
  t.equal(Buffer.from((await read()).data?.['password'] ?? '', 'base64').toString(), 'sesame-two');
  t.equal(await get('s'), undefined);
});

void t.test(
  'what the API refuses is reported where the field stands, and tried again when the file changes',
  async (t) => {
    const admission: Admission = {
      ...admitAll,
      admit(type, object, old, operation) {
        const { container } = (object as unknown as Partial<Service>).spec ?? {};
        if (operation !== 'update' || old === undefined || container !== 'forbidden') return object;
        throw invalid(type, object.metadata.name, [
          { reason: 'FieldValueInvalid', field: 'spec.container', message: 'Invalid value: field is immutable' },
        ]);
      },
    };
    const { write, problems, get } = await scene(t, { 'a.yaml': service('a') }, { admission });
    write('a.yaml', service('a', 'forbidden'));
    await eventually(t, 'reported', () => problems().length === 1);
    t.match(problems()[0], /^a\.yaml:6:14: spec\.container: Invalid value: field is immutable/);
    t.equal((await get('a'))?.spec.container, 'c');
    write('a.yaml', service('a', 'fine'));
    await eventually(t, 'applied', async () => (await get('a'))?.spec.container === 'fine');
    t.same(problems(), []);
  },
);

void t.test('references come after what they refer to, and all kinds are pruned', async (t) => {
  const { home, directory } = await scene(t, {
    'a.yaml': `${service('a')}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n`,
    'keep.yaml': service('keep'),
  });
  const config = await home.get(ConfigMaps, { namespace: 'default', name: 'c' });
  const kept = await home.get(Services, { namespace: 'default', name: 'a' });
  t.ok(Number(config.metadata.resourceVersion) < Number(kept.metadata.resourceVersion));
  rmSync(join(directory, 'a.yaml'));
  await eventually(t, 'both gone', async () => (await home.list(ConfigMaps)).items.length === 0);
});

void t.test("the user's files are never written", async (t) => {
  const { directory, sync, write } = await scene(t, { 'a.yaml': service('a'), 'broken.yaml': '{' });
  await sync.resync();
  write('b.yaml', service('b'));
  await sync.resync();
  t.same(readdirSync(directory).sort(), ['a.yaml', 'b.yaml', 'broken.yaml']);
  t.equal(readFileSync(join(directory, 'a.yaml'), 'utf8'), service('a'));
});

void t.test('another directory on the same store prunes nothing of the first', async (t) => {
  const home = temporaryHome(t);
  const first = await scene(t, { 'a.yaml': service('a') }, { home });
  await first.sync.stop();
  const second = await scene(t, { 'b.yaml': service('b') }, { home });
  await second.sync.resync();
  t.same(await second.names(), ['a', 'b']);
});

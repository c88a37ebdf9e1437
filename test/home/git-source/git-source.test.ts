import { renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { ConfigMaps, Events } from '../../../src/api/core.ts';
import type { ConfigMap } from '../../../src/api/core.ts';
import { localTypes, servedTypes, Services, Sources } from '../../../src/api/resources.ts';
import type { Source } from '../../../src/api/resources.ts';
import { parseGitUrl } from '../../../src/git/git-url.ts';
import { openGitRepository } from '../../../src/git/repository.ts';
import { ApiError, isReason } from '../../../src/home/api-error.ts';
import type { Client } from '../../../src/home/client.ts';
import { startGitSource } from '../../../src/home/git-source/git-source.ts';
import type { GitSourceOptions } from '../../../src/home/git-source/git-source-options.ts';
import {
  ACCEPT_ANNOTATION,
  RECONCILE_ANNOTATION,
  REVISION_ANNOTATION,
} from '../../../src/home/manifest-annotations.ts';
import { formatProblem } from '../../../src/home/manifest-problem.ts';
import type { ManifestSource } from '../../../src/home/manifest-source.ts';
import { createSchemaAdmission } from '../../../src/home/schema-admission.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createEventRecorder } from '../../../src/runtime/event-recorder.ts';
import { gitRemote } from '../../support/git-remote.ts';
import { temporaryDirectory, temporaryHome } from '../../support/local-home.ts';

const SOURCE = { namespace: 'default', name: 'fleet' };
const admission = createSchemaAdmission();

function scene(t: Test) {
  const root = temporaryDirectory(t);
  const remote = gitRemote(root);
  const home = temporaryHome(t, { types: localTypes, admission });
  const log = pino({ level: 'silent' });
  const recorder = createEventRecorder({
    client: home,
    clock: systemClock,
    random: Math.random,
    log,
    instance: 'test',
  });

  async function start(more: Partial<GitSourceOptions> = {}, client: Client = home): Promise<ManifestSource> {
    const directory = join(root, 'state');
    const source = startGitSource({
      repository: openGitRepository({ directory, url: parseGitUrl(remote.path), branch: 'main', credentials: {} }),
      url: remote.path,
      branch: 'main',
      path: 'fleet',
      ...SOURCE,
      interval: '1h',
      allowRewrittenHistory: false,
      stateDirectory: directory,
      client,
      types: servedTypes,
      admission,
      clock: systemClock,
      random: Math.random,
      recorder,
      log,
      ...more,
      timings: { intervalMs: 3_600_000, retryMs: 20, resyncMs: 100, ...more.timings },
    });
    t.teardown(() => source.stop());
    await source.ready;
    return source;
  }

  const config = async (name: string): Promise<ConfigMap | undefined> => {
    try {
      return await home.get(ConfigMaps, { namespace: 'default', name });
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    }
  };
  return {
    root,
    remote,
    home,
    start,
    config,
    value: async (name: string) => (await config(name))?.data?.['value'],
    revision: async (name: string) => (await config(name))?.metadata.annotations?.[REVISION_ANNOTATION],
    names: async () => (await home.list(ConfigMaps)).items.map(({ metadata }) => metadata.name),
    source: () => home.get(Sources, SOURCE),
    events: async () => {
      await recorder.flush();
      return (await home.list(Events)).items;
    },
  };
}

function configMap(name: string, value = '1', more = ''): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  value: "${value}"\n${more}`;
}

function condition(source: Source, type: string) {
  return source.status?.conditions?.find((each) => each.type === type);
}

async function eventually(t: Test, what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) {
      t.fail(`${what}: it did not come to pass`);
      return;
    }
    await delay(10);
  }
  t.pass(what);
}

void t.test('a commit is applied, with its id in the objects, the status and the events', async (t) => {
  const { remote, start, names, revision, source, events } = scene(t);
  const first = remote.push({ 'fleet/a.yaml': configMap('a'), 'fleet/b.yaml': configMap('b'), 'x.yaml': 'not: ours' });
  const git = await start();
  t.same(await names(), ['a', 'b']);
  t.match(await source(), {
    spec: { type: 'Git', url: remote.path, branch: 'main', path: 'fleet', interval: '1h' },
    status: {
      lastAppliedRevision: first,
      revision: `main@${first.slice(0, 12)}`,
      files: 2,
      objects: 2,
      observedGeneration: 1,
    },
  });
  t.match(condition(await source(), 'Ready'), { status: 'True', reason: 'Applied' });
  t.equal(condition(await source(), 'Reconciling'), undefined);

  const second = remote.push({
    'fleet/a.yaml': configMap('a', '2'),
    'fleet/b.yaml': null,
    'fleet/c.yaml': configMap('c'),
  });
  await git.resync();
  t.same(await names(), ['a', 'c'], 'what the commit has no more is deleted');
  t.equal(await revision('a'), second);
  const third = remote.push({ 'fleet/c.yaml': configMap('c', '3') });
  await git.resync();
  t.equal(await revision('a'), second, 'an object has the commit that changed it');
  t.equal(await revision('c'), third);
  const told = (await events()).map(({ involvedObject, message }) => `${involvedObject.name ?? ''}: ${message}`);
  t.ok(told.includes(`c: updated from c.yaml of main@${third.slice(0, 12)}`));
  t.ok(told.includes(`fleet: applied main@${second.slice(0, 12)}: 2 changed, 1 deleted, 2 in all`));
});

void t.test('of a broken commit nothing is applied, and it is said what is wrong where', async (t) => {
  const { remote, start, names, value, source, config, home, events } = scene(t);
  const good = remote.push({ 'fleet/a.yaml': configMap('a'), 'fleet/b.yaml': configMap('b') });
  const git = await start();
  const bad = remote.push({
    'fleet/a.yaml': configMap('a', '2'),
    'fleet/b.yaml': null,
    'fleet/c.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata: 7\n',
  });
  await git.resync();
  t.same(await names(), ['a', 'b']);
  t.equal(await value('a'), '1');
  const shown = await source();
  t.match(shown.status, { lastAppliedRevision: good, lastAttemptedRevision: bad });
  t.match(condition(shown, 'Ready'), { status: 'False', reason: 'CommitInvalid' });
  t.match(condition(shown, 'Stalled'), { status: 'True' });
  t.match(condition(shown, 'Ready')?.message, new RegExp(`main@${bad.slice(0, 12)} is not applied: c.yaml:5:7: data`));
  t.match(shown.status?.problems, [{ file: 'c.yaml', line: 5, column: 7, field: 'data' }]);
  t.match(git.problems().map(formatProblem), [/^c\.yaml:5:7: data: /]);
  t.ok((await events()).some(({ reason, type }) => reason === 'CommitInvalid' && type === 'Warning'));

  await home.delete(ConfigMaps, { namespace: 'default', name: 'b' });
  await eventually(t, 'the good commit is still kept up', async () => (await config('b')) !== undefined);

  const fixed = remote.push({ 'fleet/c.yaml': configMap('c') });
  await git.resync();
  t.same(await names(), ['a', 'c']);
  t.equal(await value('a'), '2');
  t.match((await source()).status, { lastAppliedRevision: fixed });
  t.equal(condition(await source(), 'Stalled'), undefined);
  t.equal((await source()).status?.problems, undefined);
});

void t.test('what the API would refuse is found before anything is written', async (t) => {
  const { remote, start, value, source } = scene(t);
  remote.push({ 'fleet/a.yaml': configMap('a'), 'fleet/fixed.yaml': configMap('fixed', '1', 'immutable: true\n') });
  const git = await start();
  remote.push({
    'fleet/a.yaml': configMap('a', '2'),
    'fleet/fixed.yaml': configMap('fixed', '2', 'immutable: true\n'),
  });
  await git.resync();
  t.equal(await value('a'), '1');
  t.equal(await value('fixed'), '1');
  t.match((await source()).status?.problems, [{ file: 'fixed.yaml', line: 5, field: 'data' }]);
});

void t.test('files that only Git can have are told apart', async (t) => {
  const { remote, start, names, source, root } = scene(t);
  symlinkSync('../secret.yaml', join((remote.push({ 'fleet/a.yaml': configMap('a') }), remote.work), 'fleet/out.yaml'));
  const git = await start();
  t.same(await names(), ['a']);
  remote.push({ 'secret.yaml': configMap('secret') });
  await git.resync();
  t.match((await source()).status?.problems, [{ file: 'out.yaml', code: 'GF_MANIFEST_SYMLINK_OUTSIDE' }]);
  unlinkSync(join(remote.work, 'fleet/out.yaml'));
  symlinkSync('..data/b.yaml', join(remote.work, 'fleet/b.yaml'));
  symlinkSync('a.yaml', join(remote.work, 'fleet/again.yaml'));
  symlinkSync('loop.yaml', join(remote.work, 'fleet/loop'));
  remote.push({ 'fleet/..data/b.yaml': configMap('b') });
  await git.resync();
  t.same(await names(), ['a', 'b'], 'links within are followed, and a file is seen once');
  remote.push({ 'fleet/big.yaml': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n' });
  await git.resync();
  t.match((await source()).status?.problems, [{ file: 'big.yaml', code: 'GF_MANIFEST_LFS_POINTER' }]);
  remote.push({ 'fleet/big.yaml': `# ${'x'.repeat(5 * 1024 * 1024)}\n` });
  await git.resync();
  t.match((await source()).status?.problems, [{ file: 'big.yaml', code: 'GF_MANIFEST_TOO_LARGE' }]);
  const other = gitRemote(join(root, 'other'));
  other.push({ x: '1' });
  remote.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', other.path, 'fleet/sub');
  remote.push({ 'fleet/big.yaml': null, 'fleet/a.yaml': configMap('a', '2') });
  await git.resync();
  t.same(await names(), ['a', 'b'], 'a submodule is not looked into');
  t.match(condition(await source(), 'Ready'), { status: 'True' });
});

void t.test('a rewritten history is refused until somebody accepts that very commit', async (t) => {
  const { remote, start, value, source, home } = scene(t);
  const first = remote.push({ 'fleet/a.yaml': configMap('a') });
  const second = remote.push({ 'fleet/a.yaml': configMap('a', '2') });
  const git = await start();
  remote.git('reset', '--quiet', '--hard', first);
  const rewritten = remote.push({ 'fleet/a.yaml': configMap('a', 'rewritten') }, { force: true });
  await git.resync();
  t.equal(await value('a'), '2');
  t.match(condition(await source(), 'Ready'), { status: 'False', reason: 'HistoryRewritten' });
  t.match((await source()).status, { lastAppliedRevision: second, lastAttemptedRevision: rewritten });
  const accept = (commit: string) =>
    ({ type: 'merge', body: { metadata: { annotations: { [ACCEPT_ANNOTATION]: commit } } } }) as const;
  await home.patch(Sources, SOURCE, accept(second));
  await git.resync();
  t.equal(await value('a'), '2', 'another commit is none of it');
  await home.patch(Sources, SOURCE, accept(rewritten));
  await eventually(t, 'the accepted commit is applied', async () => (await value('a')) === 'rewritten');

  remote.git('reset', '--quiet', '--hard', first);
  remote.push({ 'fleet/a.yaml': configMap('a', 'again') }, { force: true });
  await git.stop();
  const free = await start({ allowRewrittenHistory: true });
  t.equal(await value('a'), 'again', 'unless any history will do');
  await free.stop();
});

void t.test('a branch, a directory or all manifests that vanish freeze everything', async (t) => {
  const { remote, start, names, source } = scene(t);
  const reason = async (): Promise<string | undefined> => condition(await source(), 'Ready')?.reason;
  remote.push({ 'fleet/a.yaml': configMap('a'), README: 'x' });
  const git = await start();
  remote.push({ 'fleet/a.yaml': null });
  await git.resync();
  t.equal(await reason(), 'PathNotFound');
  remote.push({ 'fleet/README': 'no manifest' });
  await git.resync();
  t.equal(await reason(), 'NoManifests');
  remote.git('push', '--quiet', 'origin', 'HEAD:refs/heads/other');
  remote.git('--git-dir', remote.path, 'update-ref', '-d', 'refs/heads/main');
  await git.resync();
  t.equal(await reason(), 'BranchNotFound');
  remote.git('--git-dir', remote.path, 'update-ref', '-d', 'refs/heads/other');
  await git.resync();
  t.equal(await reason(), 'RepositoryEmpty');
  t.same(await names(), ['a']);
  remote.push({ 'fleet/b.yaml': configMap('b') });
  await git.resync();
  t.same(await names(), ['b'], 'and all is well again with the next commit');
});

void t.test('without the remote it starts from the commit in use, and says since when it is alone', async (t) => {
  const { remote, start, value, source, home, config } = scene(t);
  const commit = remote.push({ 'fleet/a.yaml': configMap('a') });
  await (await start()).stop();
  renameSync(remote.path, `${remote.path}.away`);
  await home.delete(ConfigMaps, { namespace: 'default', name: 'a' });
  const git = await start();
  t.equal(await value('a'), '1', 'the object is made again from the clone');
  t.match((await source()).status, { lastAppliedRevision: commit });
  t.match(condition(await source(), 'Fetched'), { status: 'False', message: /Since \d{4}-/ });
  renameSync(`${remote.path}.away`, remote.path);
  remote.push({ 'fleet/a.yaml': configMap('a', '2') });
  await git.resync();
  t.equal((await config('a'))?.data?.['value'], '2');
  t.match(condition(await source(), 'Fetched'), { status: 'True' });
});

void t.test('a request is answered with its value, whatever becomes of it', async (t) => {
  const { remote, start, value, home, source } = scene(t);
  remote.push({ 'fleet/a.yaml': configMap('a') });
  const git = await start();
  const ask = (at: string) =>
    home.patch(Sources, SOURCE, { type: 'merge', body: { metadata: { annotations: { [RECONCILE_ANNOTATION]: at } } } });
  remote.push({ 'fleet/a.yaml': configMap('a', '2') });
  await ask('one');
  await eventually(t, 'answered', async () => (await source()).status?.lastHandledReconcileAt === 'one');
  t.equal(await value('a'), '2');
  remote.push({ 'fleet/a.yaml': '{' });
  await ask('two');
  await eventually(t, 'answered, too', async () => (await source()).status?.lastHandledReconcileAt === 'two');
  t.match(condition(await source(), 'Ready'), { status: 'False' });
  await git.stop();
  await home.delete(Sources, SOURCE);
  await start();
  t.match((await source()).status?.problems, [{ file: 'a.yaml' }], 'deleting the object changes nothing');
});

void t.test('what the user set with kubectl stays unless a file says otherwise', async (t) => {
  const { remote, start, config, home } = scene(t);
  remote.push({ 'fleet/a.yaml': `${configMap('a')}  gone: soon\n  shared: "1"\n` });
  const git = await start();
  const key = { namespace: 'default', name: 'a' };
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { mine: 'x', shared: '1' } };
  await home.patch(ConfigMaps, key, { type: 'apply', body }, { fieldManager: 'kubectl' });
  await home.patch(
    ConfigMaps,
    key,
    { type: 'merge', body: { data: { value: 'drifted' } } },
    { fieldManager: 'kubectl-edit' },
  );
  await eventually(t, 'what the file says comes back', async () => (await config('a'))?.data?.['value'] === '1');
  t.equal((await config('a'))?.data?.['mine'], 'x');
  remote.push({ 'fleet/a.yaml': configMap('a', '2') });
  await git.resync();
  t.same((await config('a'))?.data, { value: '2', mine: 'x', shared: '1' }, 'dropped, unless somebody else wants it');
});

void t.test('an API that fails for a while delays a commit, and is told of', async (t) => {
  const { remote, start, names, home, source } = scene(t);
  remote.push({ 'fleet/a.yaml': configMap('a'), 'fleet/b.yaml': configMap('b') });
  let failing = true;
  const client: Client = {
    ...home,
    patch: (type, key, patch, options) => {
      const fails = failing && type.kind === 'ConfigMap' && key.name === 'b' && options?.dryRun !== true;
      if (fails) return Promise.reject(new ApiError('ServiceUnavailable', 'no room on the disk'));
      return home.patch(type, key, patch, options);
    },
  };
  await start({}, client);
  t.same(await names(), ['a']);
  t.match(condition(await source(), 'Ready'), {
    status: 'False',
    reason: 'ApplyFailed',
    message: /no room on the disk/,
  });
  t.match(condition(await source(), 'Reconciling'), { status: 'True' });
  t.equal((await source()).status?.lastAppliedRevision, undefined);
  failing = false;
  await eventually(t, 'complete', async () => condition(await source(), 'Ready')?.status === 'True');
  t.same(await names(), ['a', 'b']);
});

void t.test('a clone that is damaged while nobody looks is fetched again', async (t) => {
  const { remote, start, value, root, source } = scene(t);
  remote.push({ 'fleet/a.yaml': configMap('a') });
  await (await start()).stop();
  writeFileSync(join(root, 'state/clone.git/HEAD'), 'garbage');
  remote.push({ 'fleet/a.yaml': configMap('a', '2') });
  await start();
  await eventually(t, 'the next commit is applied', async () => (await value('a')) === '2');
  t.match(condition(await source(), 'Ready'), { status: 'True' });
});

void t.test('objects of others are left alone', async (t) => {
  const { remote, start, names, home } = scene(t);
  const foreign = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'foreign', namespace: 'default' } } as const;
  await home.create(ConfigMaps, foreign);
  remote.push({ 'fleet/a.yaml': configMap('a'), 'fleet/foreign.yaml': configMap('foreign') });
  const git = await start();
  remote.push({ 'fleet/foreign.yaml': null });
  await git.resync();
  t.same(await names(), ['a', 'foreign'], 'it is not deleted, as it was not made here');
  t.equal((await home.list(Services)).items.length, 0);
});

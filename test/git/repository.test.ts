import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { parseGitUrl } from '../../src/git/git-url.ts';
import { openGitRepository } from '../../src/git/repository.ts';
import type { GitRepository, GitRepositoryOptions } from '../../src/git/repository.ts';
import { gitRemote } from '../support/git-remote.ts';
import { temporaryDirectory } from '../support/local-home.ts';

function scene(t: Test, more: Partial<GitRepositoryOptions> = {}) {
  const root = temporaryDirectory(t);
  const remote = gitRemote(root);
  const directory = join(root, 'state');
  const options = { directory, url: parseGitUrl(remote.path), branch: 'main', credentials: {}, ...more };
  const open = (): GitRepository => {
    const repository = openGitRepository(options);
    t.teardown(() => repository.close());
    return repository;
  };
  return { root, remote, directory, open, repository: open() };
}

async function read(repository: GitRepository, commit: string, path: string): Promise<Record<string, string>> {
  const entries = await repository.listTree(commit, path);
  const files = entries.filter(({ kind }) => kind === 'file');
  const blobs = await repository.readBlobs(files.map(({ id }) => id));
  return Object.fromEntries(files.map((entry) => [entry.path, blobs.get(entry.id)?.toString() ?? '?']));
}

void t.test('the newest commit is fetched and read without a checkout', async (t) => {
  const { remote, repository, directory } = scene(t);
  const first = remote.push({ 'fleet/a.yaml': 'a\n', 'fleet/deep/b c.yaml': 'b', 'other.txt': 'x' });
  t.equal(await repository.fetch(undefined), first);
  t.same(await read(repository, first, 'fleet'), { 'a.yaml': 'a\n', 'deep/b c.yaml': 'b' });
  t.same(Object.keys(await read(repository, first, '')), ['fleet/a.yaml', 'fleet/deep/b c.yaml', 'other.txt']);
  t.notOk(existsSync(join(directory, 'fleet')));
  const second = remote.push({ 'fleet/a.yaml': 'a2' });
  t.equal(await repository.fetch(first), second);
  t.equal(await repository.contains(second, first), true);
  t.equal(await repository.contains(first, second), false);
  await t.rejects(repository.listTree(second, 'nowhere'), { code: 'GF_GIT_PATH' });
  await t.rejects(repository.listTree(second, 'other.txt'), { code: 'GF_GIT_PATH' });
});

void t.test('a shallow clone still tells a rewritten history from a continued one', async (t) => {
  const { remote, repository } = scene(t);
  remote.push({ a: '1' });
  const base = remote.push({ a: '2' });
  const head = remote.push({ a: '3' });
  await repository.fetch(undefined);
  await repository.keep(head);
  remote.git('reset', '--quiet', '--hard', base);
  const other = remote.push({ a: 'rewritten' }, { force: true });
  t.equal(await repository.fetch(head), other);
  t.equal(await repository.contains(other, head), false);
  t.equal(await repository.has(head), true);
  remote.git('push', '--quiet', '--force', 'origin', `${base}:refs/heads/main`);
  t.equal(await repository.fetch(head), base);
  t.equal(await repository.contains(base, head), false, 'taken back is rewritten, too');
});

void t.test('no branch, no commits and no repository are told apart', async (t) => {
  const { remote, repository, root } = scene(t);
  await t.rejects(repository.fetch(undefined), { code: 'GF_GIT_EMPTY' });
  remote.push({ a: '1' }, { branch: 'develop' });
  await t.rejects(repository.fetch(undefined), { code: 'GF_GIT_BRANCH' });
  const nowhere = openGitRepository({
    directory: join(root, 'other'),
    url: parseGitUrl(join(root, 'nowhere')),
    branch: 'main',
    credentials: {},
  });
  await t.rejects(nowhere.fetch(undefined), { code: 'GF_GIT_NOT_FOUND' });
});

void t.test('nothing of a hostile repository is run or followed', async (t) => {
  const { remote, repository, root } = scene(t);
  const bait = join(root, 'pwned');
  mkdirSync(join(remote.path, 'hooks'), { recursive: true });
  for (const hook of ['post-checkout', 'post-merge', 'reference-transaction', 'post-update']) {
    writeFileSync(join(remote.path, 'hooks', hook), `#!/bin/sh\ntouch ${bait}\n`, { mode: 0o755 });
  }
  writeFileSync(
    join(remote.path, 'config'),
    `${readFileSync(join(remote.path, 'config'), 'utf8')}\n[core]\n\tfsmonitor = touch ${bait}\n\tsshCommand = touch ${bait}\n[uploadpack]\n\tpackObjectsHook = touch ${bait}\n`,
  );
  mkdirSync(join(remote.work, 'fleet'), { recursive: true });
  symlinkSync('/etc/passwd', join(remote.work, 'fleet/passwd.yaml'));
  // Pushed without the hooks of the remote, which are its own business.
  const push = {
    '.gitattributes': '* filter=evil\n',
    '.gitmodules': `[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch ${bait}"\n`,
    'fleet/a.yaml': 'a\r\n',
  };
  chmodSync(join(remote.path, 'hooks/reference-transaction'), 0o644);
  chmodSync(join(remote.path, 'hooks/post-update'), 0o644);
  const commit = remote.push(push);
  await repository.fetch(undefined);
  t.same(await read(repository, commit, 'fleet'), { 'a.yaml': 'a\r\n' }, 'as it was committed');
  t.match(await repository.listTree(commit, 'fleet'), [{ path: 'a.yaml' }, { path: 'passwd.yaml', kind: 'link' }]);
  t.notOk(existsSync(bait));
});

void t.test('a branch is only ever a branch', async (t) => {
  const { remote } = scene(t);
  remote.push({ a: '1' });
  remote.git('push', '--quiet', 'origin', 'HEAD:refs/heads/x/refs/heads/main2', 'HEAD:refs/tags/main2');
  const { repository } = scene(t, { url: parseGitUrl(remote.path), branch: 'main2' });
  await t.rejects(repository.fetch(undefined), { code: 'GF_GIT_BRANCH' });
});

void t.test('what a killed git left behind does not stop the next one', async (t) => {
  const { remote, repository, directory, open } = scene(t);
  const first = remote.push({ a: '1' });
  await repository.fetch(undefined);
  const clone = join(directory, 'clone.git');
  for (const lock of ['shallow.lock', 'refs/gridferry/fetched.lock', 'packed-refs.lock', 'config.lock']) {
    writeFileSync(join(clone, lock), '');
  }
  mkdirSync(join(clone, 'objects/pack'), { recursive: true });
  writeFileSync(join(clone, 'objects/pack/tmp_pack_abc'), 'half');
  const second = remote.push({ a: '2' });
  const again = open();
  t.equal(await again.fetch(first), second);
  t.same(
    readdirSync(join(clone, 'objects/pack')).filter((name) => name.startsWith('tmp_')),
    [],
  );
});

void t.test('a damaged clone is noticed, and made anew with the history that is needed', async (t) => {
  const { remote, repository, directory } = scene(t);
  const first = remote.push({ a: '1' });
  await repository.fetch(undefined);
  writeFileSync(join(directory, 'clone.git/HEAD'), 'garbage');
  t.equal(await repository.has(first), false);
  const second = remote.push({ a: '2' });
  t.equal(await repository.fetch(first), second);
  t.equal(await repository.contains(second, first), true);
});

void t.test('a remote that accepts and says nothing is given up in time', async (t) => {
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = parseGitUrl(`http://127.0.0.1:${String(port)}/fleet.git`);
  const { repository } = scene(t, { url, askTimeoutMs: 300 });
  await t.rejects(repository.fetch(undefined), { code: 'GF_GIT_TIMEOUT' });
  const asking = repository.fetch(undefined);
  repository.close();
  await t.rejects(asking, { name: 'AbortError' });
});

void t.test('a remote that sends more than is good for the disk is given up, and leaves nothing', async (t) => {
  const { remote, repository, directory } = scene(t, { maxBytes: 200_000 });
  remote.push({ a: '1' });
  await repository.fetch(undefined);
  remote.push({ noise: randomBytes(300_000).toString('base64') });
  await t.rejects(repository.fetch(undefined), { code: 'GF_GIT_TOO_LARGE' });
  t.notOk(existsSync(join(directory, 'clone.git')));
});

void t.test('a file with a secret that others can read is refused before anything is asked', (t) => {
  const root = temporaryDirectory(t);
  const tokenFile = join(root, 'token');
  writeFileSync(tokenFile, 'secret', { mode: 0o644 });
  const url = parseGitUrl('https://example.invalid/x');
  const open = (credentials: GitRepositoryOptions['credentials'], at = url): unknown =>
    openGitRepository({ directory: join(root, 's'), url: at, branch: 'main', credentials });
  t.throws(() => open({ tokenFile }), { code: 'GF_GIT_CREDENTIALS', message: /chmod 600/ });
  t.throws(() => open({}, parseGitUrl('git@example.invalid:x')), {
    code: 'GF_GIT_CREDENTIALS',
    message: /--git-known-hosts/,
  });
  t.throws(() => open({ sshKey: tokenFile }), { code: 'GF_GIT_CREDENTIALS' });
  t.end();
});

import t from 'tap';
import { checkBranch, parseGitUrl } from '../../src/git/git-url.ts';
import { treePath } from '../../src/git/tree.ts';

void t.test('the forms of a URL that people copy from a forge are read', (t) => {
  t.match(parseGitUrl('https://github.com/acme/fleet.git'), {
    transport: 'https',
    origin: 'https://github.com',
    name: 'fleet',
    user: undefined,
  });
  t.match(parseGitUrl('https://x-token-auth@bitbucket.org/acme/fleet'), {
    remote: 'https://bitbucket.org/acme/fleet',
    user: 'x-token-auth',
  });
  t.match(parseGitUrl('git@github.com:acme/fleet.git'), { transport: 'ssh', name: 'fleet' });
  t.match(parseGitUrl('ssh://git@[2001:db8::1]:2222/srv/fleet.git/'), { transport: 'ssh', name: 'fleet' });
  t.match(parseGitUrl('/srv/fleet.git'), { transport: 'file', remote: '/srv/fleet.git', name: 'fleet' });
  t.match(parseGitUrl('file:///srv/fleet.git'), { transport: 'file', remote: '/srv/fleet.git' });
  t.match(parseGitUrl('./a:b'), { transport: 'file' });
  t.match(parseGitUrl('http://127.0.0.1:8080/fleet.git'), { transport: 'http', origin: 'http://127.0.0.1:8080' });
  t.match(parseGitUrl('http://git.lan/fleet.git', { allowHttp: true }), { transport: 'http' });
  t.end();
});

void t.test('what could run a program, leak a password or be read in transit is refused', (t) => {
  for (const url of [
    '',
    'ext::sh -c touch% /tmp/pwned',
    'ext::sh',
    'fd::17',
    '--upload-pack=touch',
    '-oProxyCommand=touch',
    'ssh://-oProxyCommand=touch/x',
    'ssh://git:secret@host/x',
    'git://host/x',
    'ftp://host/x',
    'https://user:secret@host/x',
    'http://git.lan/fleet.git',
    'http://127.0.0.1.example.com/fleet.git',
    'https://host/a b',
    'https://host/a\nb',
    'git@-host:x',
  ]) {
    t.throws(() => parseGitUrl(url), { code: 'GF_GIT_URL' }, url);
  }
  try {
    parseGitUrl('https://user:hunter2@host/x');
  } catch (error) {
    t.notMatch((error as Error).message, /hunter2/);
  }
  t.end();
});

void t.test("branches are held to git's own rules", (t) => {
  for (const branch of ['main', 'release/1.2', 'feature/a-b_c', 'ä']) t.equal(checkBranch(branch), branch);
  for (const branch of [
    '',
    '-f',
    '--upload-pack=x',
    'a..b',
    'a b',
    'a:b',
    'a*',
    'a.lock',
    '/a',
    'a/',
    '.a',
    '@',
    'a@{1}',
    'a\n',
  ]) {
    t.throws(() => checkBranch(branch), { code: 'GF_GIT_BRANCH_NAME' }, JSON.stringify(branch));
  }
  t.end();
});

void t.test('a path in the repository does not lead out of it', (t) => {
  t.equal(treePath('./fleet/eu/'), 'fleet/eu');
  t.equal(treePath('.'), '');
  for (const path of ['/etc', '../x', 'a/../../x', 'a\nb']) t.throws(() => treePath(path), RangeError, path);
  t.end();
});

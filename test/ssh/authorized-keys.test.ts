import { chmod, mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { authorizedTransfers, authorizeKey, revokeKey } from '../../src/ssh/authorized-keys.ts';
import { createTransferKey } from '../../src/ssh/transfer-key.ts';
import { hostWithHome } from '../support/own-home.ts';

const line = (id: string) => ({
  id,
  publicKey: createTransferKey().publicKey,
  from: ['10.0.0.1', 'fd00::1'],
  command: 'exec sh /home/x/door',
});

const files: readonly [string, Buffer][] = [
  ['ordinary lines', Buffer.from('ssh-ed25519 AAAA one@host\nssh-rsa BBBB two@host\n')],
  ['no newline at the end', Buffer.from('ssh-ed25519 AAAA one@host')],
  ['CRLF, comments, blank lines', Buffer.from('# mine\r\n\r\n  \nssh-rsa BBBB x\r\n')],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x0a, 0x80, 0x5c, 0x6e, 0x24, 0x28, 0x29])],
  [
    'lines that look like ours',
    Buffer.from(
      'ssh-ed25519 AAAA gridferry:id-1\nrestrict ssh-ed25519 AAAA gridferry:id-1 x\n#restrict,x ssh-ed25519 AAAA gridferry:id-1\nrestrict,command="$(reboot)" ssh-ed25519 AAAA gridferry:id-2\n',
    ),
  ],
  ['a long line', Buffer.from(`environment="A=${'x'.repeat(50_000)}" ssh-rsa AAAA y\n`)],
];

for (const [what, content] of files) {
  void t.test(`a line comes and goes, and no other byte changes: ${what}`, async (t) => {
    const { host, home } = await hostWithHome(t);
    const file = join(home, '.ssh', 'authorized_keys');
    await mkdir(join(home, '.ssh'), { mode: 0o700 });
    await writeFile(file, content);
    await chmod(file, 0o640);
    const own = line('id-1');
    await authorizeKey(host, own);
    const text = await readFile(file);
    const end = text.indexOf('\n') + 1;
    t.same(text.subarray(end), content);
    t.match(
      text.subarray(0, end).toString(),
      /^restrict,(expiry-time="\d{12}",)?from="10\.0\.0\.1,fd00::1",command="exec sh \/home\/x\/door" ssh-ed25519 \S+ gridferry:id-1\n$/,
    );
    const again = line('id-1');
    await authorizeKey(host, again);
    t.match((await readFile(file)).toString('latin1'), again.publicKey, 'it is replaced');
    t.notMatch((await readFile(file)).toString('latin1'), own.publicKey);
    t.ok((await authorizedTransfers(host)).includes('id-1'));
    await revokeKey(host, 'id-1');
    await revokeKey(host, 'id-1');
    t.same(await readFile(file), content);
    t.equal((await stat(file)).mode & 0o7777, 0o640);
  });
}

void t.test('two transfers have a line each', async (t) => {
  const { host } = await hostWithHome(t);
  await Promise.all(['a-1', 'a-2', 'a-3'].map((id) => authorizeKey(host, line(id))));
  t.same([...(await authorizedTransfers(host))].sort(), ['a-1', 'a-2', 'a-3']);
  await Promise.all(['a-1', 'a-3'].map((id) => revokeKey(host, id)));
  t.same(await authorizedTransfers(host), ['a-2']);
});

void t.test('a file and a folder that were made for the line go with it', async (t) => {
  const { host, home } = await hostWithHome(t);
  await revokeKey(host, 'id-1');
  await t.rejects(stat(join(home, '.ssh')), 'nothing is made for a removal');
  await authorizeKey(host, line('id-1'));
  t.equal((await stat(join(home, '.ssh'))).mode & 0o777, 0o700);
  t.equal((await stat(join(home, '.ssh', 'authorized_keys'))).mode & 0o777, 0o600);
  await revokeKey(host, 'id-1');
  await t.rejects(stat(join(home, '.ssh')));
});

void t.test('a symbolic link stays one', async (t) => {
  const { host, home } = await hostWithHome(t);
  await mkdir(join(home, '.ssh'));
  await mkdir(join(home, 'keys'));
  await writeFile(join(home, 'keys', 'mine'), 'ssh-rsa AAAA x\n');
  await symlink('../keys/mine', join(home, '.ssh', 'authorized_keys'));
  await authorizeKey(host, line('id-1'));
  t.match(await readFile(join(home, 'keys', 'mine'), 'utf8'), /^restrict,.*gridferry:id-1\nssh-rsa AAAA x\n$/);
  await revokeKey(host, 'id-1');
  t.equal(await readlink(join(home, '.ssh', 'authorized_keys')), '../keys/mine');
  t.equal(await readFile(join(home, 'keys', 'mine'), 'utf8'), 'ssh-rsa AAAA x\n');
});

void t.test('what cannot be written is a coded error, and hostile names are none', async (t) => {
  const { host, home } = await hostWithHome(t);
  await writeFile(join(home, '.ssh'), 'not a folder');
  await t.rejects(authorizeKey(host, line('id-1')), { code: 'GF_SSH_KEYS_UNWRITABLE' });
  for (const id of ['', '../x', 'a b', '$(reboot)', "'", 'x'.repeat(80), '-rf', 'a\nb', '.*']) {
    await t.rejects(revokeKey(host, id), { code: 'GF_COMMAND_BAD_ARGUMENT' }, JSON.stringify(id));
  }
});

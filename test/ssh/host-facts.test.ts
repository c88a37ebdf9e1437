import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseFilesystem, readFilesystem } from '../../src/ssh/filesystem.ts';
import { parseFacts, readHostFacts } from '../../src/ssh/host-facts.ts';
import { isSameHostKey, parsePublicKey } from '../../src/ssh/host-key.ts';
import { parseListeningSockets } from '../../src/ssh/listening-sockets.ts';
import { openLocalHost } from '../../src/ssh/local-host.ts';
import { generateKey } from '../support/ssh-peer.ts';

const host = openLocalHost({ name: 'here' });
t.teardown(() => host.close());

await t.test('this machine knows itself', async (t) => {
  const facts = await readHostFacts(host);
  const uname = spawnSync('uname', ['-r'], { encoding: 'utf8' }).stdout.trim();
  t.equal(facts.kernel, uname);
  t.match(facts.bootId, /^[0-9a-f-]{36}$/);
  t.ok(
    Math.abs(facts.clockSkewMs) <= facts.clockSkewErrorMs + 5,
    `${facts.clockSkewMs} ± ${facts.clockSkewErrorMs} ms`,
  );
  t.ok(facts.cpus >= 1 && facts.memoryBytes > 1e8);
  t.match(facts.tools, { tar: { path: /^\/.*tar$/, version: /tar/, gnu: true }, find: { gnu: true } });
});

await t.test('the clock is compared without what lies in between', (t) => {
  const text = 'begin\t1000.250000000\nmachine\taarch64\nend\t1009.250000000\n';
  const facts = parseFacts(text, { host, sent: 1_000_000, received: 1_009_500 });
  t.match(facts, { clockSkewMs: 0, clockSkewErrorMs: 250, architecture: 'arm64' });
  const coarse = parseFacts(text.replaceAll('.250000000', '.%N'), { host, sent: 990_500, received: 999_500 });
  t.match(coarse, { clockSkewMs: 10_000, clockSkewErrorMs: 1000 });
  t.throws(() => parseFacts('Welcome!\n', { host, sent: 0, received: 1 }), { code: 'GF_HOST_FACTS_UNREADABLE' });
  t.end();
});

await t.test('busybox tools are not taken for those of GNU', (t) => {
  const text = [
    'begin\t1.0',
    'tool\ttar /bin/tar',
    'version\ttar (busybox) 1.36.1',
    'tool\tfind /usr/bin/find',
    'version\tfind: unrecognized: --version',
    'tool\tdocker /usr/bin/docker',
    'version\tDocker version 29.0.1, build abc',
    'end\t1.0',
  ].join('\n');
  t.strictSame(parseFacts(text, { host, sent: 0, received: 1 }).tools, {
    tar: { path: '/bin/tar', version: 'tar (busybox) 1.36.1', gnu: false },
    find: { path: '/usr/bin/find', version: '', gnu: false },
    docker: { path: '/usr/bin/docker', version: 'Docker version 29.0.1, build abc', gnu: false },
  });
  t.end();
});

await t.test('listening sockets are read from the kernel, in either byte order', (t) => {
  const columns = ['0100007F:1F90', '00000000:0016', '00000000:0016', `${'0'.repeat(32)}:0050`, 'rubbish'];
  t.strictSame(parseListeningSockets([...columns, '00000000000000000000000001000000:0019']), [
    { address: '0.0.0.0', port: 22 },
    { address: '::1', port: 25 },
    { address: '::', port: 80 },
    { address: '127.0.0.1', port: 8080 },
  ]);
  t.strictSame(parseListeningSockets(['7F000001:1F90'], 'big'), [{ address: '127.0.0.1', port: 8080 }]);
  t.end();
});

await t.test('the file system of a path that is not there yet is that of its parent', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "gf it's "));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const here = await readFilesystem(host, dir);
  const later = await readFilesystem(host, join(dir, 'a', 'b c', 'd'));
  t.equal(later.mountPoint, here.mountPoint);
  t.ok(here.totalBytes > here.freeBytes && here.freeBytes > 0);
  t.equal((await readFilesystem(host, '/proc/none')).type, 'proc');
  await t.rejects(readFilesystem(host, 'relative'), { code: 'GF_COMMAND_BAD_ARGUMENT' });
});

await t.test('blanks in a device or a mount point are read as they are', (t) => {
  const text = [
    '4096 1000 400 50 20 ext2/ext3',
    '//server/a b 4000 2400 1600 60% /mnt/my data',
    'x /mnt/my\\040data cifs rw 0 0',
    'y /mnt/my\\040data ext4 rw 0 0',
  ].join('\n');
  t.strictSame(parseFilesystem(text), {
    mountPoint: '/mnt/my data',
    type: 'ext4',
    totalBytes: 4_096_000,
    freeBytes: 1_638_400,
    totalInodes: 50,
    freeInodes: 20,
  });
  t.equal(parseFilesystem('nonsense'), undefined);
  t.end();
});

await t.test('host keys are the same key in either form', (t) => {
  const line = generateKey('rsa').public;
  const key = parsePublicKey(line);
  t.equal(key.algorithm, 'ssh-rsa');
  t.ok(isSameHostKey(`host.example,10.0.0.1 ${line} root@host`, key.fingerprint));
  t.ok(isSameHostKey(`${key.fingerprint}=`, key.publicKey));
  t.notOk(isSameHostKey(generateKey().public, key.fingerprint));
  t.end();
});

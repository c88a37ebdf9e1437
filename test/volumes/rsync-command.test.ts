import t from 'tap';
import { parseTools } from '../../src/volumes/bench-tools.ts';
import {
  blockSizeFor,
  clientArguments,
  commonAbilities,
  parseProgress,
  parseStats,
  serverCommand,
} from '../../src/volumes/rsync-command.ts';
import { parseRequest } from '../../src/volumes/rsync-request.ts';

const plain = [
  '-lHogDtpAXrSxe.iLsfxCIvu',
  '--delete',
  '-@-1',
  '--numeric-ids',
  '--inplace',
  '--no-W',
  '--open-noatime',
];
const request = (...options: string[]): string[] => [
  'gridferry-target',
  'rsync',
  '--server',
  ...options,
  '.',
  '/gridferry-path',
];

await t.test('a plain push is run with the target path put in by us, whatever that is', async (t) => {
  t.same(serverCommand(request(...plain), '/data/0/-x; rm'), ['rsync', '--server', ...plain, '.', '/data/0/-x; rm']);
  t.same(serverCommand(request('-e.LsfxC'), '/x').at(-1), '/x');
});

await t.test('whatever else a source asks for is refused before anything runs', async (t) => {
  const hostile: string[][] = [
    [],
    ['gridferry-target'],
    request(),
    ['gridferry-target', 'sh', '-c', 'reboot', '.', '/gridferry-path'],
    ['other-host', 'rsync', '--server', '-r', '.', '/gridferry-path'],
    ['gridferry-target', 'rsync', '-r', '--server', '.', '/gridferry-path'],
    ['gridferry-target', 'rsync', '--server', '-r', '.', '/etc'],
    ['gridferry-target', 'rsync', '--server', '-r', '/', '/gridferry-path'],
    ['gridferry-target', 'rsync', '--server', '-r', '.', '/gridferry-path', '/etc'],
    ...[
      '--sender',
      '--daemon',
      '--config=/x',
      '--log-file=/etc/cron.d/x',
      '--rsync-path=sh',
      '--files-from=/etc/shadow',
      '--temp-dir=/etc',
      '--partial-dir=/etc',
      '--backup-dir=/etc',
      '--copy-dest=/etc',
      '--link-dest=/etc',
      '--compare-dest=/etc',
      '--write-batch=/etc/x',
      '--only-write-batch=/etc/x',
      '--usermap=*:root',
      '--chown=0:0',
      '--remove-source-files',
      '--fake-super',
      '--secluded-args',
      '--delete --sender',
      '--numeric-ids=1',
      '-s',
      '-rs',
      '-M--log-file=/x',
      '-re./bin/sh',
      '-T/etc',
      '-b',
      '-',
      '',
      '/etc/passwd',
    ].map((option) => request('-r', option)),
  ];
  for (const words of hostile) {
    t.throws(() => serverCommand(words, '/data/0'), { code: 'GF_VOLUME_PEER_REFUSED' }, words.join(' '));
  }
});

await t.test('a request is read whole or not yet, and nothing behind it is lost', async (t) => {
  const words = ['gridferry-target', 'rsync', '', 'ä'];
  const whole = Buffer.from(`GFRSYNC 4\n${words.map((word) => `${word}\0`).join('')}`);
  for (let cut = 0; cut < whole.length; cut++) t.equal(parseRequest(whole.subarray(0, cut)), undefined);
  t.same(parseRequest(Buffer.concat([whole, Buffer.from('protocol')])), { words, length: whole.length });
  for (const text of ['Welcome to server\n', 'GFRSYNC -1\n', 'GFRSYNC 99999\n', 'GFRSYNC\n']) {
    t.throws(() => parseRequest(Buffer.from(text)), { code: 'GF_VOLUME_PEER_REFUSED' }, text);
  }
});

await t.test('only what both builds can do is asked for', async (t) => {
  const modern = { version: '3.2.7', acls: true, xattrs: true };
  const old = { version: '3.0.9', acls: false, xattrs: true };
  const both = clientArguments({ abilities: commonAbilities(modern, modern), inPlace: true, checksum: false });
  for (const argument of ['-A', '-X', '--modify-window=-1', '--open-noatime', '--inplace', '--delete']) {
    t.ok(both.includes(argument), argument);
  }
  const mixed = clientArguments({
    abilities: commonAbilities(modern, old),
    inPlace: false,
    checksum: true,
    listFile: '/l',
  });
  for (const argument of ['-A', '--modify-window=-1', '--inplace', '--delete'])
    t.notOk(mixed.includes(argument), argument);
  t.ok(mixed.includes('-X') && mixed.includes('--checksum') && mixed.includes('--partial'));
});

await t.test('compression is asked for where both builds can, and so are blocks of another size', async (t) => {
  const zstd = { version: '3.2.7', acls: true, xattrs: true, compressions: ['zstd', 'lz4'] };
  const lz4 = { ...zstd, compressions: ['lz4', 'zlib'] };
  const old = { version: '3.1.3', acls: true, xattrs: true };
  t.same(commonAbilities(zstd, zstd).compressions, ['zstd', 'lz4']);
  t.same(commonAbilities(zstd, lz4).compressions, ['lz4']);
  t.same(commonAbilities(old, zstd).compressions, []);
  const options = { abilities: commonAbilities(zstd, zstd), inPlace: true, checksum: false };
  const asked = clientArguments({ ...options, compression: 'zstd', blockSize: 8192 });
  t.ok(asked.includes('--compress-choice=zstd') && asked.includes('--block-size=8192'));
  t.notOk(clientArguments(options).some((argument) => /compress|block/.test(argument)));
  // What such a client asks its server for.
  const words = request('-lHogDtpAXrSxe.iLsfxCIvu', '-B8192', '--compress-choice=zstd', '--compress-level=1');
  t.ok(serverCommand(words, '/x').includes('-B8192'));
});

await t.test('blocks are as fine as a database page, and coarser only where they would be too many', (t) => {
  t.equal(blockSizeFor(64 << 20), undefined);
  t.equal(blockSizeFor((64 << 20) + 1), 8192);
  t.equal(blockSizeFor(1024 ** 3), 8192);
  t.equal(blockSizeFor(64 * 1024 ** 3), 32_768);
  t.equal(blockSizeFor(2 ** 50), 131_072);
  t.end();
});

await t.test('what rsync says about itself and its work is understood, old and new', async (t) => {
  const version = (text: string) => parseTools(text.replace(/^/gm, 'rsync ')).rsync;
  t.same(
    version('rsync  version v3.2.7  protocol version 31\nCapabilities:\n    64-bit files, no ACLs, xattrs, iconv'),
    {
      version: '3.2.7',
      acls: false,
      xattrs: true,
      compressions: [],
    },
  );
  t.same(version('rsync  version 3.1.3  protocol version 31\n    batchfiles, inplace, append, ACLs, xattrs, iconv'), {
    version: '3.1.3',
    acls: true,
    xattrs: true,
    compressions: [],
  });
  const lists =
    'rsync  version v3.2.7  protocol version 31\nChecksum list:\n    md5 none\nCompress list:\n    zstd lz4 none';
  t.same(version(lists)?.compressions, ['zstd', 'lz4', 'none']);
  t.equal(parseTools('cpus 2\n').rsync, undefined);
  const stats =
    'Number of files: 1,234 (reg: 1,000, dir: 234)\nNumber of regular files transferred: 12\nTotal file size: 5000000 bytes\nLiteral data: 81,920 bytes\n';
  t.same(parseStats(stats), { files: 1234, filesTransferred: 12, totalBytes: 5_000_000, literalBytes: 81_920 });
  t.same(parseStats('rsync error: whatever'), {});
  t.equal(
    parseProgress('\r      32768   0%    0.00kB/s    0:00:00  \r    6000000 100%   72.96MB/s  0:00:00 (xfr#1)'),
    6_000_000,
  );
  t.equal(parseProgress('cannot stat'), undefined);
});

import t from 'tap';
import { fleetDown } from '../../src/sandbox/fleet.ts';
import { sweepWorkbenches } from '../../src/volumes/container-workbench.ts';
import { copyTree, type CopyOptions, type CopyPass } from '../../src/volumes/copy.ts';
import { buildManifest, findManifest } from '../../src/volumes/manifest.ts';
import { unescapePath } from '../../src/volumes/manifest-record.ts';
import { isEmptyTree, measureTree } from '../../src/volumes/measure.ts';
import { verifyTrees, type Difference } from '../../src/volumes/verify.ts';
import type { Workbench } from '../../src/volumes/workbench.ts';
import { changeNastyTree, describeTree, makeNastyTree } from '../volumes/nasty-tree.ts';
import {
  bench,
  connectAll,
  fleetName,
  freshVolume,
  python,
  shell,
  without,
  type User,
} from '../volumes/two-servers.ts';

t.setTimeout(300_000);
const { machine, close } = await connectAll();

interface Pair {
  readonly source: Workbench;
  readonly sourcePath: string;
  readonly target: Workbench;
  readonly targetPath: string;
}

/** An open volume on alpha and an empty one on beta. */
async function volumePair(
  test: Pick<typeof t, 'teardown'>,
  user: User,
  name: string,
): Promise<Pair & { root: string }> {
  const root = await freshVolume('alpha', name);
  await freshVolume('beta', name);
  const location = { kind: 'volume', name } as const;
  const source = await bench(machine('alpha', user), [location], { name, readOnly: true });
  const target = await bench(machine('beta', user), [location], { name });
  test.teardown(() => Promise.all([source.close(), target.close()]));
  return { source, sourcePath: source.pathOf(location), target, targetPath: target.pathOf(location), root };
}

async function differences(pair: Pair): Promise<readonly Difference[]> {
  const { result } = await verifyTrees({ ...pair, mode: 'Full' });
  return result.equal ? [] : result.differences;
}

async function describe(server: 'alpha' | 'beta', root: string): Promise<string[]> {
  return (await shell(server, describeTree, root)).split('\n');
}

function pass(pair: Pair, options: Partial<CopyOptions> & { running: boolean }): Promise<CopyPass> {
  const { source, sourcePath, target, targetPath } = pair;
  return copyTree({ source, sourcePath, target, targetPath, ...options });
}

for (const user of ['root', 'deploy'] as const) {
  for (const tool of ['rsync', 'tar'] as const) {
    await t.test(
      `${tool} as ${user}: a tree with everything arrives as it is, and so do later changes of it`,
      async (t) => {
        const pair = await volumePair(t, user, `nasty-${user}-${tool}`);
        await python('alpha', makeNastyTree, pair.root);
        t.equal(pair.source.mode, user === 'root' ? 'direct' : 'container');
        t.equal(await isEmptyTree(pair.target, pair.targetPath), true);
        const first = await pass(pair, { running: true, tool });
        t.match(first, { tool, vanished: 0, limitations: [] });
        t.equal(await isEmptyTree(pair.target, pair.targetPath), false);
        const earlier = { mode: 'full', name: 'before' } as const;
        const previousSource = await buildManifest(pair.source, pair.sourcePath, earlier);
        const previousTarget = await buildManifest(pair.target, pair.targetPath, earlier);

        await python('alpha', changeNastyTree, pair.root);
        await pass(pair, { running: true, tool });
        await pass(pair, { running: false, tool });
        const { result, source } = await verifyTrees({ ...pair, mode: 'Changed', previousSource, previousTarget });
        t.same(result, { equal: true });
        t.same(await differences(pair), []);
        t.ok(source.hashedBytes <= source.bytes);
        t.same(
          await describe('beta', pair.root),
          await describe('alpha', pair.root),
          'plain tools see the same on both',
        );
        const again = await pass(pair, { running: false, tool });
        t.equal(again.filesTransferred, 0);
        t.ok(again.bytesOnWire < 20_000);
      },
    );
  }
}

await t.test(
  'a rewrite that keeps size and times is found by the verification and mended by a pass over what it names',
  async (t) => {
    for (const tool of ['rsync', 'tar'] as const) {
      const pair = await volumePair(t, 'root', `hidden-${tool}`);
      await shell('alpha', 'cd "$1"; echo old >hidden; mkdir d; echo old >d/other; sleep 2.1', pair.root);
      await pass(pair, { running: true, tool });
      const previousSource = await buildManifest(pair.source, pair.sourcePath, { mode: 'full', name: 'before' });
      const previousTarget = await buildManifest(pair.target, pair.targetPath, { mode: 'full', name: 'before' });
      await shell(
        'alpha',
        'cd "$1"; touch -r hidden /tmp/times; printf "new\\n" >hidden; touch -r /tmp/times hidden',
        pair.root,
      );
      await pass(pair, { running: false, tool });
      const verify = () => verifyTrees({ ...pair, mode: 'Changed', previousSource, previousTarget });
      const { result, source } = await verify();
      t.match(result, { equal: false, differences: [{ path: 'hidden', what: ['content'] }], total: 1 });
      t.equal(source.reusedBytes, 4, 'the other file was not read again');
      const paths = result.equal ? [] : result.differences.map(({ path }) => unescapePath(path));
      await pass(pair, { running: false, tool, only: paths, compare: 'content' });
      t.same((await verify()).result, { equal: true });
    }
  },
);

await t.test(
  'stores into mapped memory, which do not move a file’s times, do not escape the verification',
  async (t) => {
    const pair = await volumePair(t, 'root', 'mapped');
    const program = `import mmap, sys
with open(sys.argv[1], 'w+b') as file:
    file.truncate(4096)
    memory = mmap.mmap(file.fileno(), 4096)
    for line in sys.stdin:
        memory[:5] = line.strip().encode()
        print('done', flush=True)`;
    const service = await machine('alpha', 'root').host.spawn(['python3', '-c', program, `${pair.root}/map`]);
    const store = (text: string): Promise<unknown> => {
      service.stdin.write(`${text}\n`);
      return new Promise((resolve) => service.stdout.once('data', resolve));
    };
    await store('first');
    const previousSource = await buildManifest(pair.source, pair.sourcePath, { mode: 'full', name: 'before' });
    await store('secnd');
    await pass(pair, { running: true });
    await store('third');
    service.stdin.end();
    await service.exit;
    await pass(pair, { running: false });
    const { result } = await verifyTrees({ ...pair, mode: 'Changed', previousSource });
    const [source, target] = [
      await shell('alpha', 'cat "$1/map"', pair.root),
      await shell('beta', 'cat "$1/map"', pair.root),
    ];
    t.equal(result.equal, source === target);
    if (!result.equal) await pass(pair, { running: false, compare: 'content' });
    t.same(await differences(pair), []);
  },
);

await t.test('every single difference is named, with Python and with Perl', async (t) => {
  const location = (path: string) => ({ kind: 'bind', path }) as const;
  await shell('alpha', 'rm -rf /srv/one && mkdir -p /srv/one /srv/two');
  await python('alpha', makeNastyTree, '/srv/one');
  const place = await bench(machine('alpha', 'root'), [location('/srv/one'), location('/srv/two')], {
    name: 'differences',
  });
  t.teardown(() => place.close());
  const cases: [string, string, string[]][] = [
    ['chmod 4754 setuid', 'setuid', ['mode']],
    ['chown 71 postgres', 'postgres', ['uid']],
    ['chgrp 71 postgres', 'postgres', ['gid']],
    ['chown -h 1 to-plain', 'to-plain', ['uid']],
    [
      'touch -d "$(stat -c %y a-dir/z | sed "s/[0-9] /0 /;s/\\.\\(.*\\)\\(.\\) /.\\11 /")" a-dir/z',
      'a-dir/z',
      ['mtime'],
    ],
    ['touch -r plain deep/er', 'deep/er', ['mtime']],
    ['touch -r plain /tmp/t; printf HELLO >plain; printf "\\n" >>plain; touch -r /tmp/t plain', 'plain', ['content']],
    ['touch -r plain /tmp/t; echo >>plain; touch -r /tmp/t plain', 'plain', ['size', 'content']],
    ['setfattr -n user.comment -v other attributed', 'attributed', ['extended attributes']],
    ['setfattr -x trusted.secret attributed', 'attributed', ['extended attributes']],
    ['setcap -r capable', 'capable', ['extended attributes']],
    ['setfacl -n -m u:70:r acl', 'acl', ['ACL']],
    ['setfacl -k acl-dir', 'acl-dir', ['ACL']],
    [
      'touch -r links /tmp/t; cp -a links/two x; rm links/two; mv x links/two; touch -r /tmp/t links; touch -r ../one .',
      'links/two',
      ['hard link', 'content'],
    ],
    [
      'touch -r holes /tmp/t; cp --sparse=never holes x; cat x >holes; rm x; touch -r /tmp/t holes; touch -r ../one .',
      'holes',
      ['holes'],
    ],
    ['rm plain; touch -r ../one .', 'plain', ['missing']],
    ['touch plain2; touch -r ../one .', 'plain2', ['extra']],
    [
      'touch -hr dangling /tmp/t; rm dangling; ln -s nowhere dangling; touch -hr /tmp/t dangling; touch -r ../one .',
      'dangling',
      ['symlink target'],
    ],
    [
      'touch -r device /tmp/t; rm device; mknod device c 1 5; chmod --reference=../one/device device; touch -r /tmp/t device; touch -r ../one .',
      'device',
      ['device'],
    ],
    [
      'touch -r fifo /tmp/t; rm fifo; : >fifo; chmod --reference=../one/fifo fifo; touch -r /tmp/t fifo; touch -r ../one .',
      'fifo',
      ['type', 'content'],
    ],
    ['touch .', '.', ['mtime']],
  ];
  const perl = without(place, 'python3');
  const source = '/srv/one';
  const [byPython, byPerl] = [
    await buildManifest(place, source, { mode: 'full', name: 'python' }),
    await buildManifest(perl, source, { mode: 'full', name: 'perl' }),
  ];
  t.equal(byPython.digest, byPerl.digest);
  await shell('alpha', 'cmp "$1" "$2"', byPython.file, byPerl.file);
  for (const [index, [mutate, path, what]] of cases.entries()) {
    await shell(
      'alpha',
      'rm -rf /srv/two && cp -a --sparse=always /srv/one /srv/two && cd /srv/two && eval "$1"',
      mutate,
    );
    const target = index % 2 === 0 ? place : perl;
    const paths = { sourcePath: source, targetPath: '/srv/two' };
    const { result } = await verifyTrees({ source: place, target, ...paths, mode: 'Full' });
    t.match(result, { equal: false, total: 1, differences: [{ path, what }] }, mutate);
  }
});

await t.test('a file that vanishes is nothing while the service runs and fatal after the stop', async (t) => {
  for (const tool of ['rsync', 'tar'] as const) {
    const pair = await volumePair(t, 'root', `vanish-${tool}`);
    await shell('alpha', 'cd "$1"; touch first', pair.root);
    await pass(pair, { running: true, tool });
    for (const running of [true, false]) {
      await shell('alpha', 'cd "$1"; head -c 8000000 /dev/urandom >big; touch zz', pair.root);
      let removed: Promise<unknown> | undefined;
      const copying = pass(pair, {
        running,
        tool,
        bandwidthLimit: 6_000_000,
        onProgress: (wire) => {
          if (wire > 100_000) removed ??= shell('alpha', 'rm "$1/zz"', pair.root);
        },
      });
      if (running) t.match(await copying, { vanished: 1 });
      else await t.rejects(copying, { code: 'GF_VOLUME_VANISHED', class: 'terminal' });
      await removed;
    }
  }
});

await t.test(
  'a full target, an immutable file there and a cancelled pass are told apart and leave nothing running',
  async (t) => {
    for (const tool of ['rsync', 'tar'] as const) {
      const pair = await volumePair(t, 'root', `trouble-${tool}`);
      await shell('alpha', 'cd "$1"; head -c 6000000 /dev/urandom >big', pair.root);
      await shell('beta', 'mkdir -p /mnt/small && mount -t tmpfs -o size=2m small /mnt/small');
      await t.rejects(pass({ ...pair, targetPath: '/mnt/small' }, { running: true, tool }), {
        code: 'GF_VOLUME_NO_SPACE',
      });
      await shell('beta', 'umount /mnt/small');

      const cancel = new AbortController();
      const cancelled = pass(pair, {
        running: true,
        tool,
        bandwidthLimit: 2_000_000,
        signal: cancel.signal,
        onProgress: (wire) => {
          if (wire > 1_000_000) cancel.abort(new Error('enough'));
        },
      });
      await t.rejects(cancelled, { message: 'enough' });
      await shell(
        'beta',
        'for i in 1 2 3 4 5 6 7 8 9 10; do pgrep -x rsync || pgrep -x tar || exit 0; sleep 0.3; done; exit 1',
      );

      await shell('beta', 'cd "$1" && echo x >big && chattr +i big', pair.root);
      await t.rejects(pass(pair, { running: true, tool }), { code: 'GF_VOLUME_COPY_FAILED', message: /chattr -i/ });
      await shell('beta', 'chattr -i "$1/big"', pair.root);
      await pass(pair, { running: false, tool });
      t.same(await differences(pair), []);
    }
  },
);

await t.test('only the changed blocks of a big file cross again, in place', async (t) => {
  const pair = await volumePair(t, 'root', 'blocks');
  await shell('alpha', 'head -c 50000000 /dev/urandom >"$1/db"', pair.root);
  await pass(pair, { running: true });
  const inode = await shell('beta', 'stat -c %i "$1/db"', pair.root);
  await shell('alpha', 'head -c 8192 /dev/urandom | dd of="$1/db" bs=8192 seek=1000 conv=notrunc 2>&1', pair.root);
  const second = await pass(pair, { running: false });
  t.ok(second.bytesOnWire < 500_000, `${second.bytesOnWire} bytes`);
  t.equal(await shell('beta', 'stat -c %i "$1/db"', pair.root), inode);
  t.same(await differences(pair), []);
});

await t.test('a single file that is mounted by itself arrives, over an older one too', async (t) => {
  for (const user of ['root', 'deploy'] as const) {
    for (const tool of ['rsync', 'tar'] as const) {
      await shell('alpha', 'mkdir -p /srv/conf; echo new >"/srv/conf/-app conf"; chown 70:71 "/srv/conf/-app conf"');
      await shell(
        'beta',
        'rm -rf /srv/conf2; mkdir -p /srv/conf2; [ "$1" = rsync ] || echo older >/srv/conf2/other',
        tool,
      );
      const from = { kind: 'bind', path: '/srv/conf/-app conf', file: true } as const;
      const to = { kind: 'bind', path: '/srv/conf2/other', file: true } as const;
      const source = await bench(machine('alpha', user), [from], { name: 'file', readOnly: true });
      const target = await bench(machine('beta', user), [to], { name: 'file' });
      const pair = { source, sourcePath: source.pathOf(from), target, targetPath: target.pathOf(to) };
      await pass(pair, { running: false, isFile: true, tool });
      t.equal(
        await shell('beta', 'cat /srv/conf2/other; stat -c %u:%g /srv/conf2/other; ls -A /srv/conf2'),
        'new\n70:71\nother\n',
      );
      t.same(await differences(pair), []);
      await Promise.all([source.close(), target.close()]);
    }
  }
});

await t.test('what is mounted inside a volume is not entered', async (t) => {
  const pair = await volumePair(t, 'root', 'nested');
  await shell('alpha', 'cd "$1"; mkdir inner; mount -t tmpfs inner inner; echo 1 >inner/a; echo 2 >b', pair.root);
  await pass(pair, { running: true });
  await pass(pair, { running: false, tool: 'tar' });
  const { result, source } = await verifyTrees({ ...pair, mode: 'Full' });
  await shell('alpha', 'umount "$1/inner"', pair.root);
  t.same(result, { equal: true });
  t.equal(source.skippedMounts, 1);
  t.equal(await shell('beta', 'find "$1" -type f', pair.root), `${pair.root}/b\n`);
});

await t.test('the helper container passes streams and exit codes, ends programs and is found again', async (t) => {
  await freshVolume('alpha', 'helper');
  const locations = [{ kind: 'volume', name: 'helper' }] as const;
  const { host, engine } = machine('alpha', 'deploy');
  const place = await bench({ host, engine }, locations, { name: 'helper', readOnly: true });
  t.same(await place.exec(['sh', '-c', 'cat; echo err >&2; exit 3'], { input: 'in', allowFailure: true }), {
    stdout: 'in',
    stderr: 'err\n',
    exitCode: 3,
  });
  await t.rejects(
    place.exec(['touch', `${place.pathOf(locations[0])}/x`]),
    { message: /Read-only/ },
    'read-only means it',
  );
  t.match(await place.exec(['cat', '/proc/net/dev']), { stdout: /^(?!.*eth0)/s });
  const program = await place.spawn(['sleep', '1000']);
  setTimeout(() => program.kill(), 200);
  t.match(await program.exit, { code: 143 });
  const slow = await place.spawn(['sh', '-c', 'head -c 50000000 /dev/zero; echo done >/gridferry/done']);
  slow.stdin.end();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const waiting = await place.exec(['cat', '/gridferry/done'], { allowFailure: true });
  t.equal(waiting.exitCode, 1, 'a program whose output nobody reads has to wait');
  let length = 0;
  for await (const chunk of slow.stdout as AsyncIterable<Buffer>) length += chunk.length;
  t.equal(length, 50_000_000);

  const kept = await buildManifest(place, place.pathOf(locations[0]), { mode: 'full', name: 'kept' });
  const again = await bench({ host, engine }, locations, { name: 'helper', readOnly: true });
  t.equal(
    (await findManifest(again, 'kept', 'full'))?.digest,
    kept.digest,
    'the next process finds what this one left',
  );
  await bench({ host, engine }, locations, { name: 'helper' });
  t.equal(await findManifest(again, 'kept', 'full'), undefined, 'another shape is another container');
  t.equal(await sweepWorkbenches(engine.docker, { 'gridferry.io/test': 'no' }), 0);
  t.equal(await sweepWorkbenches(engine.docker, { 'gridferry.io/test': 'yes' }), 1);
  t.equal(await sweepWorkbenches(engine.docker, { 'gridferry.io/test': 'yes' }), 0);
  await again.close();
  await t.rejects(bench({ host, engine }, [{ kind: 'volume', name: 'missing' }]), { code: 'GF_VOLUME_NOT_FOUND' });
});

await t.test('a tree is measured with its hard links counted once', async (t) => {
  await shell('alpha', 'mkdir -p /srv/size; cd /srv/size; head -c 10000 /dev/zero >a; ln a b; truncate -s 1000000 c');
  const location = { kind: 'bind', path: '/srv/size' } as const;
  const place = await bench(machine('alpha', 'root'), [location], { name: 'size' });
  t.same(await measureTree(place, '/srv/size'), {
    bytes: 1_010_000,
    allocatedBytes: 12_288 + 4096,
    files: 3,
    inodes: 3,
  });
  await place.close();
});

await close();
await fleetDown(fleetName);

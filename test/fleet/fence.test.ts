import { readFileSync } from 'node:fs';
import t from 'tap';
import { connectEngine } from '../../src/docker/engine.ts';
import { fleetDown, fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import type { Fence } from '../../src/ssh/fence.ts';
import { connectSsh } from '../../src/ssh/ssh-host.ts';
import type { SshHost } from '../../src/ssh/ssh-host.ts';

/** What an older leader can still do on a real server once a newer one was there: nothing, for every kind of login. */

const FLEET = 't-fence';
t.setTimeout(120_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.62.0/24', servers: ['alpha'] });
const [alpha] = fleet.servers;
if (alpha === undefined) throw new Error('the fleet has no server');
const { address, hostKeyFingerprint } = alpha;
const privateKey = readFileSync(fleet.privateKeyPath);

const sh = async (script: string, ...args: string[]): Promise<string> =>
  (await fleetExec(FLEET, 'alpha', ['sh', '-c', script, 'sh', ...args])).stdout.trim();
const homeOf = (user: string): string => (user === 'root' ? '/root' : `/home/${user}`);

interface Leader {
  readonly host: SshHost;
  /** The newer epochs it was told of. */
  readonly refusals: readonly number[];
}

function leader(user: string, epoch: number, fence: Partial<Fence> = {}): Promise<Leader> & { refusals: number[] } {
  const refusals: number[] = [];
  const host = connectSsh({
    name: 'alpha',
    address,
    port: 22,
    user,
    credentials: user === 'pat' ? { password: 'correct-horse' } : { privateKey },
    hostKey: { pinned: hostKeyFingerprint },
    sudo: true,
    fence: {
      key: 'home-1',
      epoch,
      mayAct: () => true,
      lost: new AbortController().signal,
      onRefused: (newest) => refusals.push(newest),
      ...fence,
    },
  });
  return Object.assign(
    host.then((opened) => {
      t.teardown(() => opened.close());
      return { host: opened, refusals };
    }),
    { refusals },
  );
}

// One that may become root, beside root and one that may use Docker only.
const hasSudo = (await sh('command -v sudo || true')) !== '';
if (hasSudo) await sh('echo "pat ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/pat; chmod 440 /etc/sudoers.d/pat');
else t.comment('nobody becomes root here: this machine has no sudo');
for (const user of ['root', 'deploy', 'pat']) {
  await t.test(`logged in as ${user}`, async (t) => {
    await t.test('the older leader’s programs and Docker streams end, and it comes in no more', async (t) => {
      const old = await leader(user, 1);
      const also = await leader(user, 1);
      t.comment(old.host.isRoot ? 'may become root' : 'is in group docker only');
      const engine = await connectEngine(old.host);
      t.ok(await engine.docker.ping());
      const stream = old.host.openSocket('/var/run/docker.sock');
      await new Promise<void>((resolve) => stream.write('GET /events HTTP/1.1\r\nHost: d\r\n\r\n', () => resolve()));
      await new Promise((resolve) => stream.once('data', resolve));
      const program = await old.host.spawn(['sh', '-c', 'echo begun; while :; do sleep 0.1; done']);
      await new Promise((resolve) => program.stdout.once('data', resolve));
      const ended = t.rejects(program.exit, { code: 'GF_SSH_CLOSED' });
      const streamed = new Promise<Error>((resolve) => stream.once('error', resolve));

      const fresh = await leader(user, 2);
      // The claim was answered: from now on nothing of theirs arrives.
      t.equal(await sh('pgrep -f "^sh -c echo [b]egun" || true'), '');
      await ended;
      t.match(await streamed, { code: 'GF_SSH_CLOSED' });
      await Promise.all([old.host.closed, also.host.closed]);
      await t.rejects(engine.docker.ping());
      await t.rejects(old.host.exec(['true']), { code: 'GF_SSH_CLOSED' });

      const again = leader(user, 1);
      await t.rejects(again, { code: 'GF_FENCED', class: 'retryable', message: /epoch 2; ours is 1/ });
      t.same(again.refusals, [2], 'so that it asks who leads');
      t.equal((await fresh.host.exec(['echo', 'fine'])).stdout, 'fine\n');
      t.ok(await (await connectEngine(fresh.host)).docker.ping());
      t.equal(await sh('stat -c "%a %U" "$1/.local/state/gridferry/fence/home-1"', homeOf(user)), `600 ${user}`);
      await fresh.host.close();
    });

    await t.test('a program is not started under a newer epoch, even where the connection still stands', async (t) => {
      const { host, refusals } = await leader(user, 5);
      await host.exec(['touch', `/tmp/allowed-${user}`]);
      if (host.isRoot) await host.exec(['touch', `/tmp/allowed-as-root-by-${user}`], { root: true });
      await sh('echo 6 >"$1/.local/state/gridferry/fence/home-1"', homeOf(user));
      await t.rejects(host.exec(['touch', '/tmp/forbidden'], { root: host.isRoot }), { code: 'GF_FENCED' });
      t.same(refusals, [6]);
      t.equal(await sh('ls /tmp/forbidden 2>/dev/null || true'), '');
      await t.rejects(host.exec(['true']), { code: 'GF_FENCED' }, 'and the connection is given up');
    });

    await t.test('a fence that somebody removed is made anew, and no answer is made up meanwhile', async (t) => {
      const { host } = await leader(user, 7);
      await sh('rm "$1/.local/state/gridferry/fence/home-1"', homeOf(user));
      const answers = await Promise.allSettled(
        [1, 2, 3].map(() => host.exec(['test', '-d', '/'], { allowFailure: true })),
      );
      for (const answer of answers) {
        // Not started, or started after another one's refusal had the fence made anew; never "there is no such folder".
        if (answer.status === 'fulfilled') t.equal(answer.value.exitCode, 0);
        else t.match(answer.reason, { code: 'GF_FENCE_FAILED', class: 'retryable' });
      }
      t.ok(answers.some(({ status }) => status === 'rejected'));
      t.equal((await host.exec(['sh', '-c', 'exit 197'], { allowFailure: true })).exitCode, 197, 'a code of its own');
      await host.close();
    });
  });
}

await t.test('who leads no longer by its own clock sends nothing; who is told cuts its connections off', async (t) => {
  const lost = new AbortController();
  let leads = true;
  const { host } = await leader('root', 10, { key: 'home-2', mayAct: () => leads, lost: lost.signal });
  leads = false;
  await t.rejects(host.exec(['touch', '/tmp/forbidden']), { code: 'GF_LEADERSHIP_LOST' });
  leads = true;
  const program = await host.spawn(['cat']);
  const ended = t.rejects(program.exit, { code: 'GF_LEADERSHIP_LOST' });
  lost.abort();
  await ended;
  await host.closed;
  await t.rejects(leader('root', 10, { key: 'home-2', mayAct: () => false }), { code: 'GF_LEADERSHIP_LOST' });
});

await t.test('a guarded program costs no round trip more', async (t) => {
  const { host } = await leader('root', 11, { key: 'home-3' });
  const plain = await connectSsh({
    ...{ name: 'alpha', address, port: 22, user: 'root', credentials: { privateKey }, sudo: false },
    hostKey: { pinned: hostKeyFingerprint },
  });
  const times = { guarded: 0, plain: 0 };
  for (let round = 0; round < 200; round++) {
    for (const [name, one] of [
      ['guarded', host],
      ['plain', plain],
    ] as const) {
      const from = performance.now();
      await one.exec(['true']);
      times[name] += (performance.now() - from) / 200;
    }
  }
  t.comment(`${times.guarded.toFixed(2)} ms a program with the guard, ${times.plain.toFixed(2)} ms without`);
  await Promise.all([host.close(), plain.close()]);
});

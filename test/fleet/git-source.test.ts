import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { ConfigMaps } from '../../src/api/core.ts';
import { localTypes, Sources } from '../../src/api/resources.ts';
import type { Source } from '../../src/api/resources.ts';
import { isReason } from '../../src/home/api-error.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { gitRemote } from '../support/git-remote.ts';
import type { GitRemote } from '../support/git-remote.ts';
import { serveGitOverHttps, serveGitOverSsh } from '../support/git-servers.ts';
import { temporaryDirectory } from '../support/local-home.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** `gridferry run --git` as its users start it, against a real `git http-backend` and a real sshd. */

const TOKEN = 'ghs-Zm9vYmFyYmF6cXV4';
const execute = promisify(execFile);
const program = join(import.meta.dirname, '../../bin/gridferry.js');

interface Failed {
  readonly code: number;
  readonly stdout: string;
}

interface Running {
  readonly process: ChildProcess;
  readonly log: () => string;
  end(signal?: NodeJS.Signals): Promise<void>;
}

function scene(t: Test) {
  const root = temporaryDirectory(t);
  const remote = gitRemote(join(root, 'remote'));
  const state = join(root, 'state');
  const env = { ...process.env, NODE_OPTIONS: '', HOME: root };
  let lastLog = (): string => '';

  function run(...args: string[]): Running {
    const child = spawn(process.execPath, [program, 'run', '--state', state, '--path', 'fleet', ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let log = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
    lastLog = () => log;
    const ended = once(child, 'exit');
    const end = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
      child.kill(signal);
      await ended;
    };
    t.teardown(() => end('SIGKILL'));
    return { process: child, log: () => log, end };
  }

  async function look<R>(work: (home: ReturnType<typeof openLocalHome>) => Promise<R>): Promise<R> {
    const home = openLocalHome({
      stateDir: state,
      readOnly: true,
      types: localTypes,
      admission: createSchemaAdmission(),
    });
    try {
      return await work(home);
    } finally {
      home.close();
    }
  }
  const source = (): Promise<Source | undefined> => look(async (home) => (await home.list(Sources)).items[0]);
  const values = (): Promise<Record<string, string>> =>
    look(async (home) =>
      Object.fromEntries(
        (await home.list(ConfigMaps)).items.map(({ metadata, data }) => [metadata.name, data?.['value'] ?? '']),
      ),
    );

  async function until(what: string, isSo: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      try {
        if (await isSo()) break;
      } catch (error) {
        // The store is being made, or somebody was killed while making it.
        if (isReason(error, 'Invalid')) throw error;
      }
      if (Date.now() > deadline) {
        const { status } = (await source().catch(() => undefined)) ?? {};
        t.fail(`${what}: ${JSON.stringify(status, null, 1)}\n${lastLog().slice(-4_000)}`);
        return;
      }
      await delay(100);
    }
    t.pass(what);
  }
  const applied = (commit: string): Promise<void> =>
    until(`${commit.slice(0, 7)} is applied`, async () => (await source())?.status?.lastAppliedRevision === commit);
  const reason = async (type: string): Promise<string | undefined> =>
    (await source())?.status?.conditions?.find((condition) => condition.type === type)?.reason;
  const privateFile = (name: string, text: string): string => {
    const path = join(root, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return { root, state, remote, run, source, values, until, applied, reason, privateFile };
}

function configMap(name: string, value: string): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  value: "${value}"\n`;
}

async function overHttps(t: Test, remote: GitRemote, root: string) {
  const server = await serveGitOverHttps(join(remote.path, '..'), join(root, 'https'), TOKEN);
  t.teardown(() => server.close());
  return server;
}

/** Every argument and variable of every process that can be seen. */
function visibleToOthers(): string {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .flatMap((pid) =>
      ['cmdline', 'environ'].map((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, 'latin1');
        } catch {
          // It has ended, or is another user's.
          return '';
        }
      }),
    )
    .join('\n');
}

t.setTimeout(240_000);

void t.test('over https, with a token that is seen nowhere but by the server it is for', async (t) => {
  const { root, remote, run, applied, reason, until, privateFile, state } = scene(t);
  const server = await overHttps(t, remote, root);
  const elsewhere = await serveGitOverHttps(join(remote.path, '..'), join(root, 'elsewhere'), TOKEN);
  t.teardown(() => elsewhere.close());
  const tokenFile = privateFile('token', `${TOKEN}\n`);
  // Both are trusted, so that nothing but its scope keeps the token from the other one.
  const caFile = privateFile('ca.pem', [server, elsewhere].map((each) => readFileSync(each.caFile, 'utf8')).join(''));
  const access = ['--git', `${server.url}/fleet.git`, '--git-ca-file', caFile, '--git-token-file', tokenFile];
  const first = remote.push({ 'fleet/a.yaml': configMap('a', '1') });
  const running = run(...access, '--interval', '1s', '--log-level', 'trace');
  let seen = false;
  const spy = setInterval(() => (seen ||= visibleToOthers().includes(TOKEN)), 20);
  t.teardown(() => clearInterval(spy));
  await applied(first);
  await applied(remote.push({ 'fleet/a.yaml': configMap('a', '2') }));
  t.same([...server.logins], [`x-access-token:${TOKEN}`]);

  server.behaviour = { redirect: elsewhere.url };
  await until('a redirect is not followed with the token', async () => (await reason('Fetched')) !== 'Fetched');
  t.same([...elsewhere.logins], []);
  server.behaviour = 'serve';

  writeFileSync(tokenFile, 'wrong');
  await until('a wrong token is said to be one', async () => (await reason('Ready')) === 'AuthenticationFailed');
  writeFileSync(tokenFile, TOKEN);
  await until('a right one is taken up', async () => (await reason('Ready')) === 'Applied');
  clearInterval(spy);
  t.notOk(seen, 'no process shows the token');
  await running.end();
  t.notMatch(running.log(), new RegExp(TOKEN));
  const kept = readdirSync(state, { recursive: true, encoding: 'utf8' }).map((name) => join(state, name));
  t.same(
    kept.filter((path) => statSync(path).isFile() && readFileSync(path, 'latin1').includes(TOKEN)),
    [],
    'no file of the state holds it',
  );
});

void t.test('over ssh, with the key and the host keys that are given and no others', async (t) => {
  const { root, remote, run, applied, until, reason, privateFile } = scene(t);
  const server = await serveGitOverSsh(remote.path, join(root, 'sshd'));
  t.teardown(() => server.close());
  const commit = remote.push({ 'fleet/a.yaml': configMap('a', '1') });
  const access = ['--git', server.url, '--git-ssh-key', server.keyFile, '--git-known-hosts'];
  const good = run(...access, server.knownHosts, '--interval', '1s');
  await applied(commit);
  await good.end();
  const known = readFileSync(server.knownHosts, 'utf8');
  const another = known.replace(/AAAA\S+/, readFileSync(join(root, 'sshd/user.pub'), 'utf8').split(' ')[1] ?? '');
  run(...access, privateFile('other-host', another), '--interval', '1s');
  await until('another host key is refused', async () => (await reason('Fetched')) === 'HostKeyUnknown');
});

void t.test('a webhook and `gridferry reconcile` bring a commit at once', async (t) => {
  const { root, state, remote, run, applied, privateFile } = scene(t);
  const server = await overHttps(t, remote, root);
  const [tokenFile, secretFile] = [privateFile('token', TOKEN), privateFile('hook', 'hook-secret')];
  const access = ['--git', `${server.url}/fleet.git`, '--git-ca-file', server.caFile, '--git-token-file', tokenFile];
  const first = remote.push({ 'fleet/a.yaml': configMap('a', '1') });
  const running = run(...access, '--interval', '1h', '--listen', '127.0.0.1:0', '--webhook-token-file', secretFile);
  await applied(first);
  const port = /"port":(\d+)/.exec(running.log())?.[1] ?? '';
  const second = remote.push({ 'fleet/a.yaml': configMap('a', '2') });
  const hook = await fetch(`http://127.0.0.1:${port}/hook`, {
    method: 'POST',
    headers: { 'x-gitlab-token': 'hook-secret' },
    body: '{"ref":"refs/heads/main"}',
  });
  t.equal(hook.status, 202);
  await applied(second);
  const third = remote.push({ 'fleet/a.yaml': configMap('a', '3') });
  // Not in this thread, which serves the repository.
  const cli = (...args: string[]) =>
    execute(process.execPath, [program, ...args, '--state', state]).catch((error: unknown) => error as Failed);
  t.equal((await cli('reconcile')).stdout, `source/fleet: applied main@${third.slice(0, 12)}: 1 object from 1 file\n`);
  t.match(
    (await cli('get', 'sources')).stdout,
    /^NAME +URL +REVISION +READY +STATUS +AGE\nfleet +https:.* True +applied /,
  );
  remote.push({ 'fleet/a.yaml': 'kind: [' });
  t.match(await cli('reconcile', 'source/fleet'), { code: 1, stdout: /is not applied: a\.yaml:1:/ });
});

void t.test('a remote that dies in the middle of a fetch, or answers no more, loses nothing', async (t) => {
  const { root, remote, run, applied, until, reason, values, privateFile } = scene(t);
  const server = await overHttps(t, remote, root);
  const tokenFile = privateFile('token', TOKEN);
  const access = ['--git', `${server.url}/fleet.git`, '--git-ca-file', server.caFile, '--git-token-file', tokenFile];
  const first = remote.push({ 'fleet/a.yaml': configMap('a', '1') });
  run(...access, '--interval', '1s');
  await applied(first);
  server.behaviour = 'cut';
  const second = remote.push({ 'fleet/a.yaml': configMap('a', '2'), 'fleet/big.txt': 'x'.repeat(100_000) });
  await until('it is noticed', async () => (await reason('Fetched')) === 'RemoteUnreachable');
  t.same(await values(), { a: '1' });
  server.behaviour = 'serve';
  await applied(second);
  server.behaviour = 'hang';
  const third = remote.push({ 'fleet/a.yaml': configMap('a', '3') });
  await delay(2_000);
  t.same(await values(), { a: '2' });
  server.behaviour = 'serve';
  await until('the question that hung is given up', async () => (await values())['a'] === '3', 120_000);
  await applied(third);
});

void t.test('killed at any instant while commits arrive, it ends with the last good one', async (t) => {
  const seed = Number(process.env['GRIDFERRY_TEST_SEED'] ?? Date.now() % 100_000);
  t.comment(`GRIDFERRY_TEST_SEED=${String(seed)}`);
  const random = seededRandom(seed);
  const { remote, run, applied, values } = scene(t);
  let wanted: Record<string, string> = {};
  let good = remote.push({ 'fleet/README': 'none yet' });
  for (let round = 1; round <= 12; round++) {
    const running = run('--git', remote.path, '--interval', '1s');
    await delay(random() * 1_500);
    for (let commits = 1 + Math.floor(random() * 3); commits > 0; commits--) {
      const changes: Record<string, string | null> = {};
      const next = { ...wanted };
      for (let i = 0; i < 40; i++) {
        const name = `c${String(Math.floor(random() * 60))}`;
        const isGone = random() < 0.3 && name in next && Object.keys(next).length > 1;
        if (isGone) Reflect.deleteProperty(next, name);
        else next[name] = `${String(round)}-${String(i)}`;
      }
      for (const name of new Set([...Object.keys(wanted), ...Object.keys(next)])) {
        if (wanted[name] !== next[name]) {
          changes[`fleet/${name}.yaml`] = next[name] === undefined ? null : configMap(name, next[name]);
        }
      }
      good = remote.push(changes);
      wanted = next;
      if (random() < 0.3) {
        remote.push({ 'fleet/broken.yaml': 'kind: ConfigMap\n' });
        good = remote.push({ 'fleet/broken.yaml': null });
      }
      await delay(random() * 300);
    }
    await delay(random() * 1_200);
    await running.end('SIGKILL');
  }
  run('--git', remote.path, '--interval', '1s');
  await applied(good);
  t.same(await values(), wanted);
});

const isRoot = process.getuid?.() === 0;

void t.test('a full disk stops nothing but the news', { skip: isRoot ? false : 'it mounts a disk' }, async (t) => {
  const { remote, run, applied, until, state, values, reason } = scene(t);
  mkdirSync(state, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', state]);
  t.teardown(() => execFileSync('umount', ['-l', state]));
  const first = remote.push({ 'fleet/a.yaml': configMap('a', '1') });
  const running = run('--git', remote.path, '--interval', '1s');
  await applied(first);
  const ballast = join(state, 'ballast');
  // To the last byte, or as good as.
  for (const size of [1 << 20, 1 << 12]) {
    try {
      for (;;) writeFileSync(ballast, Buffer.alloc(size), { flag: 'a' });
    } catch {
      // Full, which is what it is for.
    }
  }
  const second = remote.push({ 'fleet/a.yaml': configMap('a', '2'), 'fleet/x.txt': 'x'.repeat(200_000) });
  await until('it is told', () => Promise.resolve(/disk|space/i.test(running.log())));
  t.equal(running.process.exitCode, null, 'it goes on');
  t.same(await values(), { a: '1' });
  rmSync(ballast);
  await applied(second);
  await until('and is well again', async () => (await reason('Ready')) === 'Applied');
});

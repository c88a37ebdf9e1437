import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Secrets } from '../../src/api/core.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import type { Condition } from '../../src/api/meta.ts';
import { ManagedServers } from '../../src/api/resources.ts';
import type { ManagedServer, Transfer } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import {
  cutLink,
  fleetDown,
  fleetExec,
  fleetUp,
  healLink,
  startServer,
  startService,
  stopServer,
  stopService,
} from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { run } from '../../src/sandbox/run.ts';
import { startGridferry } from '../support/gridferry.ts';
import { describeTree, makeNastyTree } from '../volumes/nasty-tree.ts';

const FLEET = 't-login';
const PASSWORD = 'correct-horse';
const namespace = 'default';
type Machine = 'alpha' | 'beta';

t.setTimeout(300_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.45.0/24', servers: ['alpha', 'beta'] });
await importTinyImage(FLEET, 'alpha', 'web:1', {
  changes: ['CMD ["httpd","-f","-p","80","-h","/data"]', 'EXPOSE 80', 'STOPSIGNAL SIGKILL'],
});
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
const { client } = gridferry;

async function shell(machine: Machine, script: string, ...args: string[]): Promise<string> {
  return (await fleetExec(FLEET, machine, ['sh', '-c', script, 'sh', ...args])).stdout.trim();
}

function addressOf(machine: Machine): string {
  return fleet.servers.find(({ name }) => name === machine)?.address ?? '';
}

interface Login {
  readonly user: string;
  readonly secret: string;
  readonly address?: string;
  readonly ssh?: Partial<NonNullable<ManagedServer['spec']['ssh']>>;
}

/** Registers a server; the first word of its name is the machine it is. */
async function addServer(name: string, login: Login): Promise<void> {
  const { user, secret, address = addressOf(name.split('-')[0] as Machine), ssh } = login;
  await client.create(ManagedServers, {
    apiVersion: API_VERSION,
    kind: 'ManagedServer',
    metadata: { name, namespace },
    spec: {
      address,
      probeInterval: '1s',
      ssh: { user, credentialsRef: { name: secret }, hostKeyPolicy: 'AcceptNew', ...ssh },
    },
  } as unknown as ManagedServer);
}

async function serverIs(
  name: string,
  phase: 'Online' | 'Offline',
  { reason, timeoutMs = 45_000 }: { reason?: string; timeoutMs?: number } = {},
): Promise<{ readonly ready: Condition; readonly server: ManagedServer }> {
  for (const deadline = Date.now() + timeoutMs; ;) {
    const server = await client.get(ManagedServers, { namespace, name });
    const ready = findCondition(server.status?.conditions, 'Ready');
    if (ready !== undefined && server.status?.phase === phase && (reason ?? ready.reason) === ready.reason) {
      return { ready, server };
    }
    if (Date.now() > deadline) {
      const wanted = `${phase} ${reason ?? ''}`;
      throw new Error(`server ${name} did not get ${wanted}: ${JSON.stringify(server.status?.conditions, null, 1)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function setSecret(name: string, values: Readonly<Record<string, string>>): Promise<void> {
  const data = Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  const secret = await client.get(Secrets, { namespace, name });
  await client.update(Secrets, { ...secret, data: Object.fromEntries(data) as Record<string, string> });
}

async function setServer(name: string, change: (spec: ManagedServer['spec']) => void): Promise<void> {
  // The controller writes status all the time; only a conflict makes the read stale.
  for (let attempt = 1; ; attempt++) {
    const server = structuredClone(await client.get(ManagedServers, { namespace, name })) as ManagedServer;
    change(server.spec);
    try {
      await client.update(ManagedServers, server);
      return;
    } catch (error) {
      if (attempt === 10) throw error;
    }
  }
}

function offline(name: string, reason: string): Promise<{ readonly ready: Condition; readonly server: ManagedServer }> {
  return serverIs(name, 'Offline', { reason });
}

const keyDirectory = await mkdtemp(join(tmpdir(), 'gridferry-test-'));
t.teardown(() => rm(keyDirectory, { recursive: true }));
const encryptedKeyPath = join(keyDirectory, 'key');
await copyFile(fleet.privateKeyPath, encryptedKeyPath);
await run(['chmod', '600', encryptedKeyPath]);
await run(['ssh-keygen', '-q', '-p', '-P', '', '-N', 'open sesame', '-f', encryptedKeyPath]);
await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(keyDirectory, 'stranger')]);
const key = await readFile(fleet.privateKeyPath, 'utf8');
const encryptedKey = await readFile(encryptedKeyPath, 'utf8');
const strangersKey = await readFile(join(keyDirectory, 'stranger'), 'utf8');

await gridferry.addSecret('key', { 'ssh-privatekey': key });
await gridferry.addSecret('password', { password: PASSWORD });
const logins = {
  root: { user: 'root', secret: 'key' },
  deploy: { user: 'deploy', secret: 'key' },
  pat: { user: 'pat', secret: 'password' },
} as const;
type User = keyof typeof logins;
for (const [user, login] of Object.entries(logins)) {
  for (const machine of ['alpha', 'beta']) await addServer(`${machine}-${user}`, login);
}

/** Everything Docker has on both servers. */
async function inventory(): Promise<string[]> {
  const script = `docker ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.State}} {{.Labels}}'; docker volume ls -q
    docker network ls --no-trunc -q; docker images --no-trunc -q; find /srv /opt /home /mnt /root -newer /run/booted 2>/dev/null
    for id in $(docker ps -aq); do docker inspect --format '{{.HostConfig.RestartPolicy}} {{.State.StartedAt}}' $id; done`;
  return Promise.all((['alpha', 'beta'] as const).map((machine) => shell(machine, script)));
}

/** A container on alpha, with a volume in which files of all kinds and owners are. */
async function startContainer(name: string): Promise<void> {
  await shell('alpha', 'docker volume create "$1"', name);
  const root = `/var/lib/docker/volumes/${name}/_data`;
  await fleetExec(FLEET, 'alpha', ['python3', '-', root], { input: makeNastyTree });
  await shell('alpha', 'docker run -d --name "$1" --restart always -v "$1":/data -p 80 web:1', name);
}

await t.test('a container with a volume moves, whoever logs in', async (t) => {
  const pairs: readonly (readonly [User, User])[] = [
    ['pat', 'pat'],
    ['deploy', 'deploy'],
    ['root', 'pat'],
    ['pat', 'root'],
  ];
  for (const [from, to] of pairs) {
    await t.test(`from ${from} to ${to}`, async (t) => {
      const name = `web-${from}-${to}`;
      await startContainer(name);
      const [source, target] = [`alpha-${from}`, `beta-${to}`];
      const servers = { sourceServerRef: { name: source }, targetServerRef: { name: target } };
      await Promise.all([source, target].map((server) => serverIs(server, 'Online')));
      await gridferry.transfer(name, { container: name, ...servers });
      const { status } = await gridferry.ended(name);
      t.equal(status?.phase, 'Completed', status?.message ?? '');
      const root = `/var/lib/docker/volumes/${name}/_data`;
      const [before, after] = await Promise.all([
        shell('alpha', describeTree, root),
        shell('beta', describeTree, root),
      ]);
      t.same(after.split('\n'), before.split('\n'), 'content, owners, modes, times, links, holes, attributes');
      t.ok(before.split('\n').length > 100);
      t.equal(await shell('beta', 'docker inspect --format "{{.State.Running}}" "$1"', name), 'true');
      t.equal(await shell('alpha', 'docker inspect --format "{{.State.Running}}" "$1"', name), 'false');
      for (const machine of ['alpha', 'beta'] as const) {
        t.equal(await shell(machine, 'docker ps -aq --filter label=gridferry.io/workbench'), '', 'no helper is left');
      }
    });
  }
  t.notMatch(gridferry.logged(), new RegExp(PASSWORD), 'the password is in no log');
});

await t.test('a server that cannot be logged in to is Offline, and a transfer waits for it', async (t) => {
  await startContainer('waits');
  await gridferry.addSecret('wrong-password', { password: 'battery-staple' });
  await addServer('beta-wrong', { user: 'pat', secret: 'wrong-password' });
  const { ready, server } = await offline('beta-wrong', 'AuthFailed');
  t.match(ready.message, /^GF_SSH_AUTH_FAILED: .*beta-wrong.*pat.*password.*credentialsRef/);
  t.equal(findCondition(server.status?.conditions, 'Reachable')?.status, 'False');

  const before = await inventory();
  const servers = { sourceServerRef: { name: 'alpha-pat' }, targetServerRef: { name: 'beta-wrong' } };
  await gridferry.transfer('waits', { container: 'waits', ...servers });
  const isRefused = ({ status }: Transfer): boolean =>
    findCondition(status?.conditions, 'Accepted')?.status === 'False';
  const { status } = await gridferry.until('waits', isRefused, 10_000);
  t.equal(status?.phase, 'Pending');
  const accepted = findCondition(status?.conditions, 'Accepted');
  t.equal(accepted?.reason, 'ServerNotOnline');
  t.match(accepted?.message ?? '', /beta-wrong.*GF_SSH_AUTH_FAILED/);
  // Long enough for several probes, were one of them to go on.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  t.same(await inventory(), before, 'nothing changed on any server');
  t.notMatch(JSON.stringify([status, server, ready]) + gridferry.logged(), /battery-staple/);

  await setSecret('wrong-password', { password: PASSWORD });
  const ended = await gridferry.ended('waits');
  t.equal(ended.status?.phase, 'Completed', 'it goes on by itself when the password is corrected');
});

await t.test('what the Secret may hold', async (t) => {
  const secrets: Record<string, Record<string, string>> = {
    empty: { username: 'pat' },
    'encrypted-right': { 'ssh-privatekey': encryptedKey, passphrase: 'open sesame\n' },
    'encrypted-wrong': { 'ssh-privatekey': encryptedKey, passphrase: 'open pumpkin' },
    'encrypted-none': { 'ssh-privatekey': encryptedKey },
    stranger: { 'ssh-privatekey': strangersKey },
    garbage: { 'ssh-privatekey': `-----BEGIN OPENSSH PRIVATE KEY-----\n${randomBytes(90).toString('base64')}\n` },
    'both-password': { 'ssh-privatekey': strangersKey, password: PASSWORD },
    'both-key': { 'ssh-privatekey': key, password: 'battery-staple' },
  };
  for (const [name, values] of Object.entries(secrets)) await gridferry.addSecret(name, values);
  const users: Record<string, string> = { 'both-password': 'pat', empty: 'pat' };
  const all = [...Object.keys(secrets), 'missing'];
  for (const name of all) await addServer(`beta-${name}`, { user: users[name] ?? 'deploy', secret: name });

  const says = async (t: Test, name: string, reason: string, message: RegExp): Promise<void> => {
    const { ready } = await offline(`beta-${name}`, reason);
    t.match(ready.message, message);
  };
  await t.test('no Secret, and then one', async (t) => {
    await says(t, 'missing', 'SecretNotFound', /GF_SECRET_NOT_FOUND: .*default\/missing.*create it/);
    await gridferry.addSecret('missing', { 'ssh-privatekey': key });
    await t.resolves(serverIs('beta-missing', 'Online'));
  });
  await t.test('neither key nor password', (t) =>
    says(t, 'empty', 'CredentialsEmpty', /GF_CREDENTIALS_EMPTY: .*default\/empty.*"password".*"ssh-privatekey"/),
  );
  await t.test('an encrypted key and its passphrase', (t) => t.resolves(serverIs('beta-encrypted-right', 'Online')));
  await t.test('an encrypted key and another passphrase', (t) =>
    says(t, 'encrypted-wrong', 'PassphraseWrong', /GF_SSH_PASSPHRASE_WRONG: .*correct it/),
  );
  await t.test('an encrypted key without passphrase', (t) =>
    says(t, 'encrypted-none', 'PassphraseWrong', /GF_SSH_PASSPHRASE_WRONG: .*add its passphrase/),
  );
  await t.test('a key that the server does not know', (t) =>
    says(t, 'stranger', 'AuthFailed', /GF_SSH_AUTH_FAILED: .*publickey/),
  );
  await t.test('something that is no key', (t) => says(t, 'garbage', 'KeyUnreadable', /GF_SSH_KEY_UNREADABLE/));
  await t.test('key and password: the password is used, right', (t) =>
    t.resolves(serverIs('beta-both-password', 'Online')),
  );
  await t.test('key and password: the password is used, wrong', (t) =>
    says(t, 'both-key', 'AuthFailed', /GF_SSH_AUTH_FAILED: .*by password/),
  );
  t.notMatch(gridferry.logged(), /battery-staple|open pumpkin|open sesame/);
});

await t.test('a user outside the docker group gets no further than the login', async (t) => {
  await shell(
    'beta',
    'useradd --create-home --password "*" guest && cp -r ~deploy/.ssh ~guest/ && chown -R guest: ~guest/.ssh',
  );
  await addServer('beta-guest', { user: 'guest', secret: 'key' });
  const { ready, server } = await offline('beta-guest', 'DockerPermission');
  t.match(ready.message, /GF_DOCKER_PERMISSION: .*guest.*docker/);
  t.equal(findCondition(server.status?.conditions, 'Reachable')?.status, 'True');
  t.equal(findCondition(server.status?.conditions, 'DockerReady')?.status, 'False');
});

await t.test('addresses that are never connected to', async (t) => {
  const addresses = ['127.0.0.1', '169.254.1.1', '0.0.0.0', '::1', '224.0.0.1', 'localhost', '127.1'];
  const names = addresses.map((address) => `forbidden-${createHash('md5').update(address).digest('hex').slice(0, 8)}`);
  for (const [index, name] of names.entries()) {
    await addServer(name, { user: 'root', secret: 'key', address: addresses[index] ?? '' });
  }
  for (const [index, name] of names.entries()) {
    const { ready } = await offline(name, 'AddressForbidden');
    t.match(ready.message, new RegExp(`GF_ADDRESS_FORBIDDEN: '${addresses[index] ?? ''}'`));
  }
  await client.delete(ManagedServers, { namespace, name: names[0] ?? '' });
});

await t.test('a server that refuses connections is Offline, and Online again when it does not', async (t) => {
  await stopService(FLEET, 'beta', 'sshd');
  await addServer('beta-refuses', logins.deploy);
  const { ready } = await offline('beta-refuses', 'Refused');
  t.match(ready.message, new RegExp(`GF_SSH_REFUSED: .*beta-refuses \\(${addressOf('beta')}:22\\).*sshd`));
  await startService(FLEET, 'beta', 'sshd');
  await serverIs('beta-refuses', 'Online');
});

await t.test('a server behind a cut link is Offline, and Online again when it is healed', async (t) => {
  await serverIs('beta-pat', 'Online');
  await cutLink(FLEET, 'beta', { from: 'controller' });
  await addServer('beta-silent', logins.deploy);
  const silent = await offline('beta-silent', 'Timeout');
  t.match(silent.ready.message, /GF_SSH_TIMEOUT: .*beta-silent.*did not answer within 10 s/);
  const lost = await serverIs('beta-pat', 'Offline');
  t.match(lost.ready.message, /GF_SSH_(CLOSED|TIMEOUT): .*beta-pat/, 'also where a connection was open');
  t.ok(lost.server.status?.facts, 'what was known of it stays');
  await healLink(FLEET, 'beta');
  await Promise.all(['beta-silent', 'beta-pat'].map((name) => serverIs(name, 'Online')));
});

await t.test('a changed host key is refused until the user says that it is right', async (t) => {
  await addServer('beta-unknown', { ...logins.deploy, ssh: { hostKeyPolicy: 'Strict' } });
  const pinned = (await serverIs('beta-deploy', 'Online')).server.status?.hostKey;
  t.equal(pinned?.fingerprint, fleet.servers.find(({ name }) => name === 'beta')?.hostKeyFingerprint);
  const unknown = await offline('beta-unknown', 'HostKeyUnknown');
  t.ok(unknown.ready.message.includes(pinned?.fingerprint ?? '?'), 'a strict one names the key it found');

  await shell('beta', 'rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key');
  const line = await shell('beta', 'cat /etc/ssh/ssh_host_ed25519_key.pub');
  const fingerprint = (await shell('beta', 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub')).split(' ')[1] ?? '';
  await stopServer(FLEET, 'beta');
  await startServer(FLEET, 'beta');
  const { ready, server } = await offline('beta-deploy', 'HostKeyChanged');
  t.match(ready.message, /^GF_SSH_HOST_KEY_CHANGED: /);
  t.ok(ready.message.includes(`expected ${pinned?.fingerprint ?? '?'}`));
  t.ok(ready.message.includes(`found ssh-ed25519 ${fingerprint}`));
  t.equal(findCondition(server.status?.conditions, 'HostKeyVerified')?.status, 'False');
  t.same(server.status?.hostKey, pinned, 'the pinned one stays');

  await setServer('beta-deploy', ({ ssh }) => Object.assign(ssh ?? {}, { hostKey: fingerprint }));
  const trusted = await serverIs('beta-deploy', 'Online');
  t.equal(trusted.server.status?.hostKey?.fingerprint, fingerprint);
  await setServer('beta-unknown', ({ ssh }) => Object.assign(ssh ?? {}, { hostKey: line }));
  await serverIs('beta-unknown', 'Online');
});

import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import t from 'tap';
import { Events } from '../../src/api/core.ts';
import { ManagedServers, servedTypes, Transfers } from '../../src/api/resources.ts';
import type { Transfer, TransferSpec } from '../../src/api/resources.ts';
import { hasEnded } from '../../controllers/transfer/status.ts';
import { openLocalReader } from '../../src/home/local-reader.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import { fleetDown, fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { run } from '../../src/sandbox/run.ts';
import { fleetShell } from '../support/fleet-shell.ts';
import type { ServerName } from '../support/fleet-shell.ts';
import { secretsIn, startSecretHunt, watchCommandLines } from '../support/secret-hunt.ts';

/**
 * Secrets in everything that Gridferry is given, moves that succeed, fail, are cancelled and taken back, and then a look
 * everywhere: no secret may be anywhere but where its owner put it, and in Docker itself.
 */

const FLEET = 't-secrets';
t.setTimeout(600_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.57.0/24' });
const { docker, sh } = fleetShell(FLEET);
const both: readonly ServerName[] = ['alpha', 'beta'];

const planted = new Map<string, string>();
/** A new secret, which nothing but its place makes recognisable. */
function plant(what: string): string {
  const value = `plum${randomBytes(9).toString('hex')}`;
  planted.set(what, value);
  return value;
}

const folder = mkdtempSync(join(tmpdir(), 'gridferry-test-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const [manifests, state] = [join(folder, 'fleet'), join(folder, 'state')];
mkdirSync(manifests);

// Logins: a password at alpha, an encrypted key with its passphrase at beta.
const [passphrase, password] = [plant('passphrase of the key'), plant('password of the login')];
const keyPath = join(folder, 'key');
copyFileSync(fleet.privateKeyPath, keyPath);
chmodSync(keyPath, 0o600);
await run(['ssh-keygen', '-q', '-p', '-P', '', '-N', passphrase, '-f', keyPath]);
const key = readFileSync(keyPath, 'utf8');
planted.set('private key', key.split('\n')[2] ?? '');
planted.set('private key without its passphrase', readFileSync(fleet.privateKeyPath, 'utf8').split('\n')[2] ?? '');
await fleetExec(FLEET, 'alpha', ['sh', '-c', 'IFS= read -r p && echo "pat:$p" | chpasswd'], {
  input: `${password}\n`,
});

const cloudflareToken = plant('Cloudflare token');
const cloudflare = await startCloudflareStandIn({
  token: cloudflareToken,
  zones: [
    {
      name: 'ferry.example',
      records: ['kept', 'failing', 'cancelled'].map((name) => ({
        ...{ type: 'A', name: `${name}.ferry.example`, content: fleet.servers[0]!.address, ttl: 60 },
      })),
    },
  ],
});
t.teardown(() => cloudflare.close());

const pem = `-----BEGIN PRIVATE KEY-----\n${plant('PEM block')}\n-----END PRIVATE KEY-----`;
const image = {
  files: {
    '/start': { content: '#!/bin/sh\nhttpd -f -p 80 -h /www & trap "kill $!; exit 0" TERM\nwait $!\n', mode: 0o755 },
    '/www/health': 'ok\n',
  },
  changes: ['ENTRYPOINT ["/start"]', 'EXPOSE 80', `ENV IMAGE_TOKEN=${plant('environment of the image')}`],
};

/** A service with secrets in everything that Docker lets one put them into. */
async function serve(name: string): Promise<void> {
  const project = `/srv/${name}`;
  await fleetExec(FLEET, 'alpha', ['sh', '-c', `mkdir -p ${project}/conf && cat >${project}/.env`], {
    input: `DB_PASSWORD=${plant(`${name}: .env of the project`)}\n`,
  });
  await docker(
    'alpha',
    'volume',
    'create',
    '--label',
    `com.example.token=${plant(`${name}: label of the volume`)}`,
    name,
  );
  await docker(
    'alpha',
    ...['run', '-d', '--name', name, '--restart', 'always', '-v', `${name}:/data`, '-v', `${project}/conf:/conf`],
    ...['-e', `DB_PASSWORD=${plant(`${name}: password in the environment`)}`],
    ...['-e', `GREETING=${plant(`${name}: innocent variable`)}`],
    ...['-e', `DATABASE_URL=postgres://shop:${plant(`${name}: password in a URL`)}@db.example/shop`],
    ...['-e', `TLS_KEY=${pem}`],
    ...['--label', `com.example.api-key=${plant(`${name}: label`)}`],
    ...['--label', 'com.docker.compose.project=shop', '--label', `com.docker.compose.service=${name}`],
    ...['--label', `com.docker.compose.project.working_dir=${project}`],
    ...['--label', `com.docker.compose.project.config_files=${project}/.env`],
    ...['--health-cmd', `test -n ${plant(`${name}: health check of the container`)}`],
    ...['--log-opt', 'tag=plain', 'plums:1', `--admin-password=${plant(`${name}: argument of the command`)}`],
  );
  const data = plant(`${name}: file in the volume`);
  await fleetExec(
    FLEET,
    'alpha',
    ['docker', 'exec', '-i', name, 'sh', '-c', 'cat >/data/secret && cp /data/secret /layer'],
    {
      input: data,
    },
  );
}

await importTinyImage(FLEET, 'alpha', 'plums:1', image);
await Promise.all(['kept', 'failing', 'cancelled'].map(serve));

const yaml = (object: object): string => `${JSON.stringify(object)}\n---\n`;
const secret = (name: string, stringData: object): string =>
  yaml({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData });
const ours = (kind: string, name: string, spec: object): string =>
  yaml({ apiVersion: 'gridferry.io/v1alpha1', kind, metadata: { name }, spec });
const [alpha, beta] = fleet.servers.map(({ address }) => address);
writeFileSync(
  join(manifests, 'fleet.yaml'),
  secret('beta', { 'ssh-privatekey': key, passphrase }) +
    secret('alpha', { password }) +
    secret('cloudflare', { token: cloudflareToken, unused: plant('value that nothing asks for') }) +
    secret('wrong', { password: plant('password that is wrong') }) +
    ours('ManagedServer', 'alpha', {
      address: alpha,
      ssh: { user: 'pat', credentialsRef: { name: 'alpha' }, hostKeyPolicy: 'AcceptNew' },
    }) +
    ours('ManagedServer', 'beta', {
      address: beta,
      ssh: { user: 'root', credentialsRef: { name: 'beta' }, hostKeyPolicy: 'AcceptNew' },
    }) +
    ours('ManagedServer', 'locked', {
      address: beta,
      ssh: { user: 'pat', credentialsRef: { name: 'wrong' }, hostKeyPolicy: 'AcceptNew' },
    }) +
    ours('PlatformConfig', 'default', {
      domain: 'ferry.example',
      cloudflare: { apiTokenRef: { name: 'cloudflare', key: 'token' }, apiBaseURL: cloudflare.baseUrl },
      resolvers: [cloudflare.dnsAddress],
    }),
);

function writeTransfer(name: string, spec: Partial<TransferSpec>): void {
  writeFileSync(
    join(manifests, `${name}.yaml`),
    ours('Transfer', name, {
      ...{ container: name, sourceServerRef: { name: 'alpha' }, targetServerRef: { name: 'beta' } },
      ...{ forwardFor: '0s', ...spec },
    }),
  );
}

const child = spawn(
  process.execPath,
  ['bin/gridferry.js', 'run', manifests, '--state', state, '--log-level', 'debug', '--listen', '127.0.0.1:0'],
  { stdio: ['ignore', 'pipe', 'pipe'] },
);
t.teardown(() => void child.kill('SIGKILL'));
let said = '';
child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
const commandLines = watchCommandLines(child.pid ?? 0, planted);
const hunts = await Promise.all(both.map((server) => startSecretHunt(FLEET, server, planted)));

async function until(name: string, reached: (transfer: Transfer) => boolean): Promise<Transfer> {
  const deadline = Date.now() + 240_000;
  for (let transfer: Transfer | undefined; ; await delay(100)) {
    try {
      const home = openLocalReader({ stateDir: state, types: servedTypes });
      transfer = await home.get(Transfers, { namespace: 'default', name }).finally(() => home.close());
      if (reached(transfer)) return transfer;
    } catch {
      // Not there yet.
    }
    if (Date.now() > deadline || child.exitCode !== null)
      throw new Error(`${name}: ${JSON.stringify(transfer?.status)} ${said.slice(-2000)}`);
  }
}

const token = plant('token in the URL of a health check');
const healthy = { http: { path: `/health?token=${token}`, port: 80 } };
const step = ({ status }: Transfer, name: string): string | undefined =>
  status?.steps?.find((one) => one.name === name)?.state;

void t.test('moves that succeed, fail, are cancelled and taken back', async (t) => {
  const soak = { duration: '1s' } as TransferSpec['soak'];
  const kept: Partial<TransferSpec> = { transport: 'Relay', healthCheck: healthy as never, soak };
  const cancelled: Partial<TransferSpec> = { transport: 'Direct', healthCheck: healthy as never };
  writeTransfer('kept', kept);
  writeTransfer('failing', {
    ...{ transport: 'Direct', soak },
    healthCheck: { http: { path: `/missing?token=${token}`, port: 80 }, timeout: '3s' } as never,
  });
  writeTransfer('cancelled', { ...cancelled, soak: { duration: '60s' } as never });

  const moved = await until('kept', hasEnded);
  t.equal(moved.status?.phase, 'Completed', JSON.stringify(moved.status?.failure));
  writeTransfer('kept', { ...kept, rollback: { data: 'Sync' } });
  const soaking = await until('cancelled', (one) => step(one, 'soak') === 'Running' || hasEnded(one));
  t.match(soaking.status, { phase: 'Verifying', transport: { mode: 'Direct' } });
  writeTransfer('cancelled', { ...cancelled, cancel: true });
  const failed = await until('failing', hasEnded);
  t.match(failed.status, { phase: 'Failed', transport: { mode: 'Direct' }, failure: { step: 'check-local-health' } });
  t.equal((await until('cancelled', hasEnded)).status?.phase, 'Cancelled');
  t.equal((await until('kept', ({ status }) => status?.phase === 'RolledBack')).status?.phase, 'RolledBack');
});

void t.test('no secret is in the metrics, in a status, in an event, or in what a command prints', async (t) => {
  const port = /"port":(\d+),"msg":"serving \/healthz/.exec(said)?.[1] ?? '';
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  t.match(metrics, 'controller_runtime_reconcile_total');
  t.same(secretsIn(metrics, planted), []);

  const home = openLocalReader({ stateDir: state, types: servedTypes });
  for (const type of servedTypes) {
    for (const { kind, metadata, status } of (await home.list(type)).items) {
      t.same(
        secretsIn(JSON.stringify({ status, managedFields: metadata.managedFields }), planted),
        [],
        `status of ${kind} ${metadata.name}`,
      );
    }
  }
  const locked = await home.get(ManagedServers, { namespace: 'default', name: 'locked' });
  t.match(JSON.stringify(locked.status), 'AuthFailed', 'a login was refused, too');
  const events = (await home.list(Events)).items;
  t.ok(events.length > 20);
  for (const event of events) t.same(secretsIn(JSON.stringify(event), planted), [], event.reason);
  home.close();
  for (const args of [
    ['describe', 'transfer', 'failing'],
    ['get', 'ms,xfer,secrets', '-o', 'wide'],
    ['events'],
    ['logs', 'failing'],
    ['audit', 'show'],
  ]) {
    const { stdout } = await promisify(execFile)(process.execPath, [
      'bin/gridferry.js',
      ...args,
      ...['--state', state],
    ]);
    t.ok(stdout.length > 0, args.join(' '));
    // A describe shows the spec, which is the user's own text.
    const own = new Map([...planted].filter(([what]) => args[0] !== 'describe' || !what.includes('health check')));
    t.same(secretsIn(stdout, own), [], args.join(' '));
  }
});

void t.test('no secret is in what the program said, in a command line, or in a file of its own', async (t) => {
  child.kill('SIGTERM');
  await once(child, 'close');
  t.match(said, /"level":30,[^\n]*"msg":"running"/);
  t.same(secretsIn(said, planted), []);
  t.same(commandLines(), []);
  // The spec of a Transfer is no Secret: what its user writes into a URL there is stored as it is.
  const secrets = new Map([...planted].filter(([what]) => what !== 'token in the URL of a health check'));
  const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  t.ok(files.some(({ name }) => name === 'audit.log') && files.some(({ name }) => name === 'gridferry.db'));
  for (const { parentPath, name } of files) {
    t.same(secretsIn(readFileSync(join(parentPath, name), 'latin1'), secrets), [], name);
  }
});

void t.test('the audit log tells what happened, and is as it was written', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    'bin/gridferry.js',
    'audit',
    'verify',
    '--state',
    state,
  ]);
  t.match(stdout, /as they were written/);
  const log = readFileSync(join(state, 'audit.log'), 'utf8');
  t.same(secretsIn(log, planted), []);
  for (const event of [
    'HostKeyPinned',
    'LockTaken',
    'LockReleased',
    'StepDone',
    'StepFailed',
    'StepUndone',
    'SecretRead',
    'Committed',
  ]) {
    t.ok(log.includes(`"event":"${event}"`), event);
  }
  t.match(log, /"event":"VerbSet","kind":"Transfer",[^\n]*"by":"gridferry-directory","verb":"cancel","value":"true"/);
  t.match(log, /"event":"PhaseChanged","kind":"Transfer",[^\n]*"name":"failing",[^\n]*"to":"Failed"/);
});

void t.test('no secret was ever in a process or a file of a server, but in Docker itself', async (t) => {
  t.same((await Promise.all(hunts.map((hunt) => hunt.stop()))).flat(), []);
  const patterns = [...planted.values()].join('\n');
  for (const server of both) {
    // Docker's own folders, and the projects and logins that the secrets were planted in.
    const look = `grep -rlIaF -f - --exclude-dir=docker --exclude-dir=containerd /etc /home /opt /root /run /srv /tmp /var 2>/dev/null`;
    const { stdout } = await fleetExec(FLEET, server, ['sh', '-c', look], { input: patterns, reject: false });
    const found = stdout.split('\n').filter((path) => path !== '' && !/^\/srv\/[a-z]+\/\.env$/.test(path));
    t.same(found, [], server);
  }
  t.equal(
    await sh('alpha', 'docker exec kept cat /data/secret'),
    planted.get('kept: file in the volume'),
    'and it is there',
  );
});

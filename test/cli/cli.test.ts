import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Events } from '../../src/api/core.ts';
import { servedTypes, Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { ended, startProgram } from '../support/run-program.ts';
import type { Ran } from '../support/run-program.ts';

// Each test starts the program a few times, and has a directory of its own.
t.jobs = 2;
t.setTimeout(120_000);

/** A directory of manifests, and where its state goes. */
function workplace(t: Test, files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'gridferry-cli-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const directory = join(root, 'manifests');
  mkdirSync(directory);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const env = {
    PATH: process.env['PATH'],
    HOME: root,
    XDG_STATE_HOME: join(root, 'state'),
  };
  const start = (...args: string[]) => startProgram(args, { cwd: root, env });
  async function run(...args: string[]): Promise<Ran> {
    return ended(start(...args));
  }
  return { root, directory, run, start };
}

const SERVER = (name: string, address: string, extra = '') => `apiVersion: gridferry.io/v1alpha1
kind: ManagedServer
metadata: {name: ${name}}
spec:
  address: ${address}
  ssh: {user: root, credentialsRef: {name: login}, hostKeyPolicy: AcceptNew${extra}}
`;
const SECRET = `apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: correct-horse-battery}
`;
const TRANSFER = (target: string) => `apiVersion: gridferry.io/v1alpha1
kind: Transfer
metadata: {name: move-web}
spec:
  container: web
  sourceServerRef: {name: alpha}
  targetServerRef: {name: ${target}}
`;

void t.test('help and version answer without a state; a mistyped command is told the nearest', async (t) => {
  const { run } = workplace(t, {});
  const help = await run('--help');
  t.equal(help.code, 0);
  for (const command of ['run', 'validate', 'get', 'describe', 'logs', 'watch', 'sandbox', 'version', 'completion']) {
    t.match(help.stdout, new RegExp(`^ {2}${command}\\b`, 'm'));
  }
  t.match(JSON.parse((await run('version', '-o', 'json')).stdout), { gridferry: /^\d+\.\d+/ });
  const typo = await run('gte', 'transfers');
  t.equal(typo.code, 2);
  t.equal(typo.stdout, '');
  t.match(typo.stderr, /^error GF_CLI_UNKNOWN_COMMAND: unknown command 'gte'; did you mean get\?/);
  t.match(await run('get'), { code: 2, stderr: /^error GF_CLI_USAGE: missing required argument/ });
  t.match(await run('get', 'xfer', '-o', 'xml'), {
    code: 2,
    stderr: /^error GF_CLI_USAGE: .*Allowed choices are table/,
  });
});

void t.test('without a state, reading commands say how to get one', async (t) => {
  const { run } = workplace(t, {});
  t.match(await run('get', 'all'), { code: 2, stdout: '', stderr: /^error GF_CLI_NO_STATE: .*gridferry run/ });
  t.match(await run('run', 'nowhere', '--once'), { code: 2, stderr: /^error GF_CLI_NO_DIRECTORY: / });
});

void t.test('validate names file, line and column, and the nearest field', async (t) => {
  const { run } = workplace(t, {
    'a.yaml': TRANSFER('alpha2').replace('container', 'contaner') + '---\n' + SERVER('alpha', '10.0.0.1'),
    'b.yaml': SERVER('alpha2', '10.0.0.2') + '  adress: x\n',
    'c.yaml': 'kind: [\n',
  });
  const { code, stdout } = await run('validate', 'manifests');
  t.equal(code, 2);
  t.match(stdout, /^manifests\/a\.yaml:5:3: .*"spec\.contaner".*did you mean "container"/m);
  t.match(stdout, /^manifests\/b\.yaml:7:3: .*did you mean "address"/m);
  t.match(stdout, /^manifests\/c\.yaml:\d+:\d+: .*GF_MANIFEST_YAML/m);
});

void t.test('validate finds names that no manifest has', async (t) => {
  const { root, run } = workplace(t, {
    'a.yaml': [TRANSFER('bta'), SERVER('alpha', '10.0.0.1'), SERVER('beta', '10.0.0.2')].join('---\n'),
  });
  const { code, stdout, stderr } = await run('validate', 'manifests');
  t.equal(code, 2);
  t.match(
    stdout,
    /^manifests\/a\.yaml:7:27: spec\.targetServerRef\.name: .*"bta" \(did you mean "beta"\?\) \[GF_MANIFEST_REFERENCE\]/m,
  );
  t.match(stdout, /^manifests\/a\.yaml:14:44: warning: .*Secret named "login"/m);
  t.match(stderr, /3 objects in 1 file: 1 error, 2 warnings/);

  const json = JSON.parse((await run('validate', 'manifests', '-o', 'json')).stdout) as { problems: object[] };
  t.match(json, { valid: false, objects: 3, problems: [{ file: 'a.yaml', line: 7, code: 'GF_MANIFEST_REFERENCE' }] });

  writeFileSync(join(root, 'manifests/a.yaml'), [SERVER('alpha', '10.0.0.1'), SECRET].join('---\n'));
  t.match(await run('validate', 'manifests'), { code: 0, stdout: '' });
  writeFileSync(
    join(root, 'manifests/a.yaml'),
    [SERVER('alpha', '10.0.0.1'), SECRET.replace('password', 'pasword')].join('---\n'),
  );
  t.match(await run('validate', 'manifests'), {
    code: 2,
    stdout: /Secret login has only pasword \(add ssh-privatekey or password/,
  });
});

void t.test('validate looks for secrets in the secrets directory, too', async (t) => {
  const { root, run } = workplace(t, { 'a.yaml': SERVER('alpha', '10.0.0.1') });
  const folder = join(root, 'secrets/default/login');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const path of ['secrets', 'secrets/default', 'secrets/default/login']) chmodSync(join(root, path), 0o700);
  writeFileSync(join(folder, 'password'), 'x', { mode: 0o600 });
  t.match(await run('validate', 'manifests', '--secrets-dir', 'secrets'), { code: 0, stdout: '' });
  chmodSync(join(folder, 'password'), 0o644);
  t.match(await run('validate', 'manifests', '--secrets-dir', 'secrets'), { code: 2, stdout: /open to other users/ });
});

void t.test('all examples are valid', async (t) => {
  const { run } = workplace(t, {});
  const examples = join(import.meta.dirname, '../../examples');
  const stories = ['quickstart', 'compose', 'service-with-addons', 'password-login'];
  for (const name of [...stories, 'planned-cutover', 'stateless', 'way-back', 'retention']) {
    const { code, stdout } = await run('validate', join(examples, name), '-o', 'json');
    t.equal(code, 0, name);
    const { problems } = JSON.parse(stdout) as { problems: { message: string }[] };
    t.same(
      problems.filter(({ message }) => !message.includes('Secret')),
      [],
      `${name}: only its secrets are missing`,
    );
  }
});

void t.test('run --once on nothing but bad files ends with 2 and says where', async (t) => {
  const { run } = workplace(t, { 'a.yaml': TRANSFER('beta').replace('container: web', 'contaner: web') });
  const { code, stdout, stderr } = await run('run', 'manifests', '--once', '--log-level', 'silent');
  t.equal(code, 2);
  t.equal(stdout, '');
  t.match(stderr, /^manifests\/a\.yaml:5:3: .*contaner/m);
});

void t.test(
  'run --once reports a server that cannot be used and what waits for it, and others read its state',
  async (t) => {
    // A port where nobody listens any more.
    const listener = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => listener.once('listening', resolve));
    const { port } = listener.address() as AddressInfo;
    await new Promise((resolve) => listener.close(resolve));
    const { run } = workplace(t, {
      'a.yaml': [SERVER('alpha', '127.0.0.2', `, port: ${port}`), SECRET, TRANSFER('beta')].join('---\n'),
    });
    const { code, stdout, stderr } = await run('run', 'manifests', '--once', '--log-level', 'silent');
    t.equal(code, 1);
    t.equal(stdout, '');
    t.match(stderr, /^error GF_ADDRESS_FORBIDDEN: managedserver default\/alpha: Offline/m);
    t.match(
      stderr,
      /^error GF_CLI_UNSETTLED: transfer default\/move-web: not accepted: ManagedServer beta does not exist/m,
    );
    t.notMatch(stderr, /correct-horse-battery/);

    t.match(
      (await run('get', 'ms')).stdout,
      /^NAME {4}ADDRESS .*\nalpha {3}127\.0\.0\.2 {3}False {3}Offline {3}AddressForbidden/,
    );
    t.equal(
      (await run('get', 'ms,xfer', '-o', 'name')).stdout,
      'managedserver.gridferry.io/alpha\ntransfer.gridferry.io/move-web\n',
    );
    t.match((await run('get', 'secret', 'login')).stdout, /login {3}Opaque {3}1 /);
    t.match(JSON.parse((await run('get', 'xfer/move-web', '-o', 'json')).stdout), {
      kind: 'Transfer',
      status: { phase: 'Pending' },
    });
    t.match(await run('get', 'xfer', '-l', 'app=x'), {
      code: 0,
      stdout: '',
      stderr: 'No resources found in default namespace.\n',
    });
    t.match(await run('get', 'xfer', 'nope'), {
      code: 1,
      stderr: /^error GF_API_NOT_FOUND: transfers\.gridferry\.io "nope" not found/,
    });
    t.match(
      (await run('describe', 'xfer', 'move-web')).stdout,
      /Conditions:\n[^]*Accepted +False +ServerNotFound[^]*Events:/,
    );
    t.match((await run('__complete', '--', 'get', 'xfer', 'mo')).stdout, /^move-web$/m);
    t.equal((await run('__complete', '--', 'val')).stdout, 'validate\n');
    t.match((await run('__complete', '--', 'get', '-o', '')).stdout, /^yaml$/m);
  },
);

void t.test('a transfer under way is read while its home is written: logs, watch, describe, events', async (t) => {
  const { root, run, start } = workplace(t, {});
  const state = join(root, 'st');
  const home = openLocalHome({ stateDir: state, types: servedTypes, admission: createSchemaAdmission() });
  t.teardown(() => home.close());
  const created = await home.create(Transfers, {
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'Transfer',
    metadata: { name: 'move-web', namespace: 'default' },
    spec: { container: 'web', sourceServerRef: { name: 'alpha' }, targetServerRef: { name: 'beta' } },
  } as Transfer);
  const during: Transfer['status'] = {
    ...{ phase: 'Uploading', observedGeneration: 1, progressPercent: 40, currentStep: 'precopy-data' },
    ...{ bytesTotal: 2048, bytesDone: 1024, logs: ['one', 'two'], sourceServer: 'alpha' },
    steps: [{ name: 'copy-images', phase: 'Uploading', state: 'Done', attempts: 1, message: '1 layer' }],
    volumes: [{ name: 'web-data', bytesTotal: 2048, bytesDone: 1024 }],
  };
  const updated = await home.updateStatus(Transfers, { ...created, status: during });
  await home.create(Events, {
    ...{ apiVersion: 'v1', kind: 'Event', metadata: { name: 'move-web.1', namespace: 'default' } },
    involvedObject: { kind: 'Transfer', namespace: 'default', name: 'move-web', uid: created.metadata.uid! },
    ...{
      type: 'Normal',
      reason: 'Accepted',
      message: 'from alpha to beta',
      count: 1,
      source: { component: 'transfer' },
    },
    ...{ firstTimestamp: '2026-03-01T12:00:00Z', lastTimestamp: '2026-03-01T12:00:00Z' },
    ...{ reportingComponent: 'transfer', reportingInstance: 'x' },
  });
  const at = ['--state', state];
  t.same(await run('logs', 'xfer/move-web', ...at), { code: 0, stdout: 'one\ntwo\n', stderr: '' });
  t.match(
    (await run('events', '--for', 'xfer/move-web', ...at)).stdout,
    /^LAST SEEN .*\n.*Normal +Accepted +transfer\/move-web +from alpha/,
  );
  const described = (await run('describe', 'xfer/move-web', ...at)).stdout;
  t.match(described, /copy-images +Uploading +Done/);
  t.match(described, /web-data +1\.0 KiB of 2\.0 KiB/);
  t.match(described, /Events:\n +Type +Reason.*\n +Normal +Accepted/);

  const follower = start('logs', '-f', 'move-web', ...at);
  const followed = ended(follower);
  const watched = ended(start('watch', ...at));
  await new Promise((resolve) => follower.stdout.once('data', resolve));
  await home.updateStatus(Transfers, {
    ...updated,
    status: { ...during, phase: 'Completed', logs: ['two', 'three'], downtimeSeconds: 0.5, message: 'it runs on beta' },
  });
  t.equal((await followed).stdout, 'one\ntwo\nthree\n');
  t.match((await watched).stdout, /✔ move-web Completed, downtime 0\.50 s: it runs on beta\n$/);
  t.match(await run('logs', 'ms/alpha', ...at), { code: 2, stderr: /GF_CLI_USAGE/ });
});

void t.test('run goes on until SIGTERM, then ends well; meanwhile a second one is refused', async (t) => {
  const { run, start } = workplace(t, { 'a.yaml': SECRET });
  const child = start('run', 'manifests', '--listen', '127.0.0.1:0');
  const end = ended(child);
  let address = '';
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      for (const line of chunk
        .toString()
        .split('\n')
        .filter((text) => text.startsWith('{'))) {
        const { port, msg } = JSON.parse(line) as { port?: number; msg: string };
        if (port !== undefined) address = `http://127.0.0.1:${port}`;
        if (msg === 'started') resolve();
      }
    });
  });
  t.equal((await fetch(`${address}/readyz`)).status, 200);
  t.match(await (await fetch(`${address}/metrics`)).text(), /workqueue_depth/);
  t.match((await run('get', 'secrets', '-o', 'name')).stdout, 'secret/login');
  t.match(await run('run', 'manifests', '--once'), {
    code: 1,
    stderr: new RegExp(`GF_HOME_LOCKED: .*process ${child.pid}`),
  });
  child.kill('SIGTERM');
  t.equal((await end).code, 0);
});

void t.test('a reader that has seen enough ends the program without a word', async (t) => {
  const { start } = workplace(t, {});
  const child = start('--help');
  child.stdout.destroy();
  t.match(await ended(child), { stderr: '' });
});

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { connectCluster } from '../../../src/home/cluster/cluster-client.ts';
import { json, refuse, startScriptedApi } from '../../support/scripted-api.ts';
import type { ScriptedApi } from '../../support/scripted-api.ts';
import { widget, Widgets } from '../../support/widget.ts';

const A = { namespace: 'default', name: 'a' };

/** Lets in only who has this token. */
function demand(api: ScriptedApi, token: () => string): void {
  api.answer((response, request) => {
    const welcome = request.headers.authorization === `Bearer ${token()}`;
    (welcome ? json(widget('a')) : refuse(401, 'Unauthorized'))(response, request);
  });
}

/** A plugin that counts its starts and answers with the token that a file holds. */
function execUser(api: ScriptedApi, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  writeFileSync(
    join(api.folder, 'plugin'),
    [
      `#!${process.execPath}`,
      `const fs = require('node:fs');`,
      `fs.appendFileSync(${JSON.stringify(join(api.folder, 'starts'))}, (process.env.KUBERNETES_EXEC_INFO ?? '') + '\\n');`,
      `const token = fs.readFileSync(${JSON.stringify(join(api.folder, 'token'))}, 'utf8').trim();`,
      `console.log(JSON.stringify({ kind: 'ExecCredential', status: { token } }));`,
    ].join('\n'),
    { mode: 0o755 },
  );
  return { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin', args: [], ...more } };
}

function starts(api: ScriptedApi): string[] {
  return readFileSync(join(api.folder, 'starts'), 'utf8').trim().split('\n');
}

void t.test('a token file that is replaced is read again when the old token is refused, for writes too', async (t) => {
  const api = await startScriptedApi(t);
  const file = join(api.folder, 'token');
  writeFileSync(file, 'one\n');
  const client = await api.connect({ kubeconfig: api.kubeconfig({ tokenFile: 'token' }) });
  let valid = 'one';
  demand(api, () => valid);
  await client.get(Widgets, A);
  valid = 'two';
  writeFileSync(file, 'two\n');
  await client.create(Widgets, widget('a'));
  t.same(
    api.seen.map(({ method, headers }) => `${method} ${headers.authorization}`),
    ['GET Bearer one', 'POST Bearer one', 'POST Bearer two'],
  );
});

void t.test('a plugin is asked once for many calls, and again when its token is refused', async (t) => {
  const api = await startScriptedApi(t);
  const token = join(api.folder, 'token');
  writeFileSync(token, 'one');
  const client = await api.connect({ kubeconfig: api.kubeconfig(execUser(api, { provideClusterInfo: true })) });
  let valid = 'one';
  demand(api, () => valid);
  await Promise.all(Array.from({ length: 10 }, () => client.get(Widgets, A)));
  t.equal(starts(api).length, 1);
  t.match(JSON.parse(starts(api)[0] ?? ''), {
    kind: 'ExecCredential',
    apiVersion: 'client.authentication.k8s.io/v1',
    spec: { interactive: false, cluster: { server: `http://127.0.0.1:${api.port}` } },
  });
  valid = 'two';
  writeFileSync(token, 'two');
  await Promise.all(Array.from({ length: 10 }, () => client.get(Widgets, A)));
  t.equal(starts(api).length, 2);
});

void t.test('who is refused with fresh credentials too is Unauthorized, after one repetition', async (t) => {
  const api = await startScriptedApi(t);
  const client = await api.connect();
  demand(api, () => 'another');
  await t.rejects(client.get(Widgets, A), { code: 'GF_API_UNAUTHORIZED', reason: 'Unauthorized' });
  t.equal(api.seen.length, 2);
});

void t.test('a plugin or a file that does not work is named, and tried again by the next call', async (t) => {
  const api = await startScriptedApi(t);
  const user = execUser(api);
  const client = await api.connect({ kubeconfig: api.kubeconfig(user) });
  demand(api, () => 'one');
  const error = await client.get(Widgets, A).catch((reason: unknown) => reason as Error);
  t.match(error, { code: 'GF_API_CREDENTIALS', class: 'retryable' });
  t.match((error as Error).message, /"tester".*ENOENT/s);
  writeFileSync(join(api.folder, 'token'), 'one');
  await client.get(Widgets, A);
  const missing = await api.connect({ kubeconfig: api.kubeconfig({ tokenFile: 'nowhere' }) });
  await t.rejects(missing.get(Widgets, A), { code: 'GF_API_CREDENTIALS' });
});

void t.test('user and password, and whom to act as, travel as headers', async (t) => {
  const api = await startScriptedApi(t);
  const user = { username: 'me', password: 'x:y', as: 'her', 'as-groups': ['a', 'b'], 'as-uid': '7' };
  const client = await api.connect({ kubeconfig: api.kubeconfig(user) });
  api.answer(json(widget('a')));
  await client.get(Widgets, A);
  t.match(api.seen[0]?.headers, {
    authorization: `Basic ${Buffer.from('me:x:y').toString('base64')}`,
    'impersonate-user': 'her',
    'impersonate-group': 'a, b',
    'impersonate-uid': '7',
  });
});

void t.test('in a Pod the service account is used, and its token read again', async (t) => {
  const api = await startScriptedApi(t);
  for (const [name, text] of Object.entries({ token: 'pod', namespace: 'gridferry\n', 'ca.crt': '' })) {
    writeFileSync(join(api.folder, name), text);
  }
  const client = await connectCluster({
    env: {
      HOME: api.folder,
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: String(api.port),
      GRIDFERRY_SERVICE_ACCOUNT: api.folder,
    },
  });
  t.teardown(() => client.close());
  t.equal(client.namespace, 'gridferry');
  t.equal(client.server, `https://127.0.0.1:${api.port}`);
});

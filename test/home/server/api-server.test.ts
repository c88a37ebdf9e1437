import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { parse } from 'yaml';
import { openApiServer } from '../../support/api-server.ts';
import { temporaryDirectory } from '../../support/local-home.ts';
import { begin, openApi, post, send, service, SERVICES, tokenOf, watch } from './wire.ts';

/** Somebody else's server. */
async function squat(t: Test, port: number): Promise<number> {
  const squatter = createServer().listen(port, '127.0.0.1');
  t.teardown(() => void squatter.close());
  await once(squatter, 'listening');
  return (squatter.address() as AddressInfo).port;
}

void t.test('what is kept is private to its owner', async (t) => {
  const { stateDir } = await openApi(t);
  for (const name of ['kubeconfig', 'api/ca.key', 'api/server.key', 'api/server.crt', 'api/token', 'api/port']) {
    t.equal(statSync(join(stateDir, name)).mode & 0o777, 0o600, name);
  }
  t.equal(statSync(join(stateDir, 'api')).mode & 0o777, 0o700);
});

void t.test('a kubeconfig stays valid over restarts: same port, same authority, same token', async (t) => {
  const stateDir = temporaryDirectory(t);
  const first = await openApiServer({ stateDir });
  const before = readFileSync(first.kubeconfigPath, 'utf8');
  const config = parse(before);
  t.equal(config.clusters[0].cluster.server, first.url);
  t.match(
    Buffer.from(config.clusters[0].cluster['certificate-authority-data'], 'base64').toString(),
    /BEGIN CERTIFICATE/,
  );
  await first.close();
  const second = await openApi(t, { stateDir });
  t.equal(second.url, first.url);
  t.equal(readFileSync(second.kubeconfigPath, 'utf8'), before);
  t.equal((await send(second, 'GET', SERVICES)).code, 200);
});

void t.test('when the remembered port is taken, another is, and the kubeconfig says so', async (t) => {
  const stateDir = temporaryDirectory(t);
  const first = await openApiServer({ stateDir });
  const { port } = new URL(first.url);
  await first.close();
  await squat(t, Number(port));
  const second = await openApi(t, { stateDir });
  t.not(second.url, first.url);
  t.match(readFileSync(second.kubeconfigPath, 'utf8'), second.url);
});

void t.test('a port that was asked for and is taken is an error that says so', async (t) => {
  const port = await squat(t, 0);
  await t.rejects(openApiServer({ stateDir: temporaryDirectory(t), port }), { code: 'GF_API_LISTEN' });
});

void t.test('a state directory that cannot hold the credentials is an error that says so', async (t) => {
  const stateDir = temporaryDirectory(t);
  writeFileSync(join(stateDir, 'api'), 'a file in the way');
  await t.rejects(openApiServer({ stateDir }), { code: 'GF_API_STATE' });
});

void t.test('a token that was cut short is replaced', async (t) => {
  const stateDir = temporaryDirectory(t);
  await (await openApiServer({ stateDir })).close();
  writeFileSync(join(stateDir, 'api/token'), 'short');
  const api = await openApi(t, { stateDir });
  t.match(tokenOf(api), /^[\w-]{43}$/);
  t.equal((await send(api, 'GET', SERVICES)).code, 200);
});

void t.test('stopping ends watches with a whole last line and finishes what was asked', async (t) => {
  const api = await openApiServer();
  const events = watch(api, `${SERVICES}?watch=true`);
  await post(api, SERVICES, service('a'));
  t.equal((await events.next()).value?.type, 'ADDED');
  const writing = post(api, SERVICES, service('b'));
  const idle = await begin(api, 'GET', `${SERVICES}?watch=true&resourceVersion=1`);
  await writing;
  const closed = api.close();
  t.equal((await events.next()).value?.object.metadata.name, 'b');
  t.equal((await events.next()).done, true);
  idle.resume();
  await closed;
  t.equal(idle.complete, true);
  await t.rejects(send(api, 'GET', SERVICES, { token: 'x' }));
});

void t.test('each change is told to the audit, with its outcome and without its content', async (t) => {
  const entries: unknown[] = [];
  const api = await openApi(t, { audit: (entry) => entries.push(entry) });
  await post(api, SERVICES, service('a'));
  await post(api, SERVICES, service('a'));
  await send(api, 'GET', SERVICES);
  t.same(entries, [
    { method: 'POST', path: SERVICES, userAgent: 'test/1', code: 201 },
    { method: 'POST', path: SERVICES, userAgent: 'test/1', code: 409 },
  ]);
});

import { createHmac } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { createWebhook } from '../../src/git/webhook.ts';
import { createHttpEndpoints } from '../../src/runtime/http-endpoints.ts';
import { temporaryDirectory } from '../support/local-home.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

const SECRET = 'correct horse battery staple';

async function scene(t: Test) {
  const tokenFile = join(temporaryDirectory(t), 'secret');
  writeFileSync(tokenFile, `${SECRET}\n`, { mode: 0o600 });
  const clock = createVirtualClock();
  let pushes = 0;
  const hook = createWebhook({ tokenFile, branch: 'main', clock, onPush: () => pushes++ });
  const endpoints = createHttpEndpoints({ port: 0, readiness: () => ({ ready: true, problems: [] }), hook });
  t.teardown(() => endpoints.stop());
  const { host, port } = await endpoints.start();
  const call = async (body: string, headers: Record<string, string>, method = 'POST'): Promise<number> => {
    const response = await fetch(`http://${host}:${String(port)}/hook`, {
      method,
      headers,
      ...(method === 'GET' ? {} : { body }),
    });
    await response.text();
    return response.status;
  };
  return { tokenFile, clock, call, pushes: () => pushes };
}

function hmac(body: string, secret = SECRET): string {
  return createHmac('sha256', secret).update(body).digest('hex');
}

const push = (branch: string): string => JSON.stringify({ ref: `refs/heads/${branch}`, after: '0'.repeat(40) });

void t.test('each forge is understood in its own way of signing', async (t) => {
  const { call, pushes } = await scene(t);
  const body = push('main');
  t.equal(await call(body, { 'x-hub-signature-256': `sha256=${hmac(body)}`, 'x-github-event': 'push' }), 202, 'GitHub');
  const form = new URLSearchParams({ payload: body }).toString();
  const asForm = { 'content-type': 'application/x-www-form-urlencoded' };
  t.equal(await call(form, { 'x-hub-signature-256': `sha256=${hmac(form)}`, ...asForm }), 202, 'GitHub, as a form');
  t.equal(await call(body, { 'x-gitea-signature': hmac(body) }), 202, 'Gitea');
  t.equal(await call(body, { 'x-gitlab-token': SECRET }), 202, 'GitLab');
  t.equal(await call('', { authorization: `Bearer ${SECRET.replaceAll(' ', '')}` }), 401, 'another secret');
  t.equal(pushes(), 4);
});

void t.test('a bearer token is enough, with or without a body; the file may change at any time', async (t) => {
  const { call, pushes, tokenFile } = await scene(t);
  writeFileSync(tokenFile, 'rotated-secret');
  t.equal(await call('', { authorization: 'Bearer rotated-secret' }), 202);
  t.equal(await call(push('main'), { authorization: 'Bearer rotated-secret' }), 202);
  t.equal(await call(push('main'), { 'x-gitlab-token': SECRET }), 401, 'the old one is worth nothing');
  t.equal(pushes(), 2);
  chmodSync(tokenFile, 0o644);
  t.equal(await call('', { authorization: 'Bearer rotated-secret' }), 500, 'a secret that others can read is none');
  t.equal(pushes(), 2);
});

void t.test('what is not signed, or signed for something else, changes nothing', async (t) => {
  const { call, pushes } = await scene(t);
  const body = push('main');
  t.equal(await call(body, {}), 401);
  t.equal(await call(body, { 'x-hub-signature-256': `sha256=${hmac(body, 'guess')}` }), 401);
  t.equal(await call(`${body} `, { 'x-hub-signature-256': `sha256=${hmac(body)}` }), 401, 'another body');
  t.equal(await call(body, { 'x-hub-signature-256': hmac(body) }), 401, 'without its prefix');
  t.equal(
    await call(body, { 'x-hub-signature-256': 'sha1=abc', 'x-gitlab-token': SECRET }),
    401,
    'the signature counts',
  );
  t.equal(await call('', { 'x-hub-signature-256': `sha256=${hmac('')}` }), 401, 'a signature of nothing');
  t.equal(await call('{"ref":', { 'x-gitlab-token': SECRET }), 400);
  t.equal(await call('', {}, 'GET'), 405);
  t.equal(await call('x'.repeat(1024 * 1024 + 1), { 'x-gitlab-token': SECRET }), 413);
  t.equal(pushes(), 0);
});

void t.test('a push to another branch is accepted and ignored', async (t) => {
  const { call, pushes } = await scene(t);
  t.equal(await call(push('develop'), { 'x-gitlab-token': SECRET }), 202);
  t.equal(await call(push('main/../x'), { 'x-gitlab-token': SECRET }), 202);
  t.equal(pushes(), 0);
});

void t.test('a flood is cut off, and let in again as time passes', async (t) => {
  const { call, pushes, clock } = await scene(t);
  const answers: number[] = [];
  for (let i = 0; i < 35; i++) answers.push(await call('', { authorization: `Bearer wrong-${String(i)}` }));
  t.equal(answers.filter((code) => code === 429).length, 5);
  t.equal(await call(push('main'), { 'x-gitlab-token': SECRET }), 429);
  await clock.advance(2_000);
  t.equal(await call(push('main'), { 'x-gitlab-token': SECRET }), 202);
  t.equal(pushes(), 1);
});

import { once } from 'node:events';
import t from 'tap';
import { begin, CONFIG_MAPS, configMap, dial, openApi, patch, post, send, service, SERVICES, tokenOf } from './wire.ts';

void t.test('without the right token there is nothing to see but the health', async (t) => {
  const api = await openApi(t);
  const right = tokenOf(api);
  const wrong = [null, '', 'x', right.slice(0, -1), `${right}x`, right.toUpperCase()];
  for (const token of wrong) {
    for (const path of [SERVICES, '/api', '/openapi/v3', '/nope', '/version/']) {
      const reply = await send(api, 'GET', path, { token });
      t.match(
        reply,
        { code: 401, body: { kind: 'Status', reason: 'Unauthorized', code: 401 } },
        `${String(token)} ${path}`,
      );
    }
  }
  for (const authorization of ['Basic eDp5', `Token ${right}`, `Bearer${right}`, `Bearer ${right} x`]) {
    t.equal((await send(api, 'GET', SERVICES, { headers: { authorization } })).code, 401, authorization);
  }
  t.equal((await send(api, 'GET', '/readyz', { token: null })).text, 'ok');
  t.equal((await send(api, 'GET', '/version', { token: null })).code, 200);
  t.equal((await send(api, 'GET', '/readyz', { token: 'x' })).code, 401);
  t.equal((await send(api, 'GET', SERVICES, { headers: { authorization: `bearer ${right}` } })).code, 200);
});

void t.test('a web page gets nothing, not even with the token, and no CORS header tells it otherwise', async (t) => {
  const api = await openApi(t);
  const { port } = new URL(api.url);
  const pages = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: api.url },
    { 'sec-fetch-site': 'cross-site' },
    { host: 'evil.example' },
    { host: `evil.example:${port}` },
    { host: '127.0.0.1.evil.example' },
    { host: 'localhost.' },
    { host: '[::2]' },
    { host: '[' },
  ];
  for (const headers of pages) {
    const reply = await send(api, 'GET', SERVICES, { headers });
    t.match(reply, { code: 403, body: { reason: 'Forbidden' } }, JSON.stringify(headers));
    t.same(
      Object.keys(reply.headers).filter((name) => name.startsWith('access-control')),
      [],
    );
  }
  const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
  t.equal((await send(api, 'OPTIONS', SERVICES, { headers: preflight, token: null })).code, 403);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'LOCALHOST', `[::1]:${port}`, '127.0.0.1']) {
    t.equal((await send(api, 'GET', SERVICES, { headers: { host } })).code, 200, host);
  }
});

void t.test('paths that try to be others find nothing', async (t) => {
  const api = await openApi(t);
  await post(api, '/api/v1/namespaces/default/secrets', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } });
  const paths = [
    '//api/v1/secrets',
    '/api//v1/secrets',
    '/api/v1/namespaces//secrets/a',
    '/api/v1/../v1/secrets',
    '/api/v1/%2e%2e/v1/secrets',
    '/api/v1/%2E/secrets',
    '/api/v1/namespaces/default%2Fsecrets%2Fa',
    '/api/v1/namespaces/default/secrets/..%2Fsecrets%2Fa',
    '/api/v1/namespaces/default/secrets/a%00',
    '/api/v1/namespaces/default/secrets/a/b/c',
    '/api/v1/namespaces/default/secrets/%zz',
    '/api/v1/namespaces/default/secrets/%ff',
    '/api/v1/namespaces/default/secrets/__proto__',
    '/api/v1/namespaces/default/constructor',
    '/apis/__proto__/v1/secrets',
    '/apis/constructor',
    '/openapi/v3/apis/__proto__/v1',
    '/api/v1/namespaces/default/secrets/a/__proto__',
    `/api/v1/namespaces/default/secrets/${'x'.repeat(4000)}`,
    '/api/v1/secrets/a',
    '/api/v2',
    '/apis/gridferry.io/v1',
  ];
  for (const path of paths) {
    const reply = await send(api, 'GET', path);
    t.match(reply, { code: 404, body: { kind: 'Status', reason: 'NotFound', code: 404 } }, path);
  }
  t.equal((await send(api, 'GET', '/api/v1/namespaces/default/secrets/%61')).code, 200);
  const overlong = await send(api, 'GET', `/api/v1/${'x'.repeat(100_000)}`).catch((error: unknown) => error);
  t.match(overlong, /ECONNRESET|EPIPE|socket hang up|431/);
  t.equal((await send(api, 'GET', SERVICES)).code, 200, 'and the server is as well as before');
});

void t.test('methods that a path does not know are refused with a Status', async (t) => {
  const api = await openApi(t);
  const refused = [
    ['POST', `${SERVICES}/a`],
    ['PUT', '/api/v1/secrets'],
    ['PATCH', SERVICES],
    ['DELETE', '/api/v1/namespaces'],
    ['DELETE', '/api/v1/secrets'],
    ['POST', '/version'],
    ['DELETE', '/apis'],
    ['TRACE', SERVICES],
    ['OPTIONS', SERVICES],
    ['PROPFIND', SERVICES],
    ['GET', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'],
  ] as const;
  for (const [method, path] of refused) {
    const { code, body } = await send(api, method, path);
    if (method === 'PUT') t.equal(code, 400);
    else t.match({ code, body }, { code: 405, body: { reason: 'MethodNotAllowed' } }, `${method} ${path}`);
  }
  const head = await send(api, 'HEAD', SERVICES);
  t.match(head, { code: 405, text: '' });
});

void t.test('a body over 3 MiB is refused, whether it is announced or not', async (t) => {
  const api = await openApi(t);
  const large = JSON.stringify(configMap('large', { a: 'x'.repeat(3 * 1024 * 1024) }));
  const json = { 'content-type': 'application/json' };
  const announced = await send(api, 'POST', CONFIG_MAPS, { body: large, headers: json }).catch(
    (error: unknown) => error,
  );
  // Who still sends may meet the closed connection before it reads the answer.
  t.match(announced, { code: 413, body: { reason: 'RequestEntityTooLarge' } });
  const chunked = { ...json, 'transfer-encoding': 'chunked' };
  const unannounced = await send(api, 'POST', CONFIG_MAPS, { body: large, headers: chunked });
  t.match(unannounced, { code: 413, body: { message: 'Request entity too large: limit is 3145728' } });
  const liar = await dial(api);
  liar.write(`POST ${CONFIG_MAPS} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${tokenOf(api)}\r\n`);
  liar.write('content-type: application/json\r\ncontent-length: 999999999999\r\n\r\n{');
  const [answer] = (await once(liar, 'data')) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1.1 413 /);
  liar.destroy();
});

void t.test('bodies that are not what they should be are refused, and change nothing', async (t) => {
  const api = await openApi(t);
  await post(api, SERVICES, service('a'));
  const before = await send(api, 'GET', `${SERVICES}/a`);
  const bodies = ['', '{', '[]', 'null', '"x"', '{"a":1}x', '\u0000', '{"kind":{}}', '{"kind":"Service"}', '\ufeff{}'];
  for (const body of bodies) {
    const reply = await send(api, 'POST', SERVICES, { body, headers: { 'content-type': 'application/json' } });
    t.match(reply, { code: 400, body: { kind: 'Status', reason: 'BadRequest' } }, JSON.stringify(body));
  }
  for (const type of ['merge-patch+json', 'json-patch+json', 'apply-patch+yaml']) {
    for (const body of ['', '{', '"x"', 'null', '5', '[1]', '[null]']) {
      const headers = { 'content-type': `application/${type}` };
      const reply = await send(api, 'PATCH', `${SERVICES}/a?fieldManager=x`, { body, headers });
      t.ok(reply.code === 400 || reply.code === 422, `${type} ${body}: ${reply.text}`);
    }
  }
  for (const type of ['text/plain', 'application/cbor', 'multipart/form-data', 'application/x-www-form-urlencoded']) {
    const reply = await send(api, 'POST', SERVICES, { body: 'x', headers: { 'content-type': type } });
    t.match(reply, { code: 415, body: { reason: 'UnsupportedMediaType' } }, type);
  }
  t.equal((await send(api, 'GET', `${SERVICES}/a`)).text, before.text);
});

void t.test('deep nesting and YAML bombs end early', async (t) => {
  const api = await openApi(t);
  const deep = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":${'['.repeat(500_000)}${']'.repeat(500_000)}}`;
  const json = await send(api, 'POST', CONFIG_MAPS, { body: deep, headers: { 'content-type': 'application/json' } });
  t.match(json, { code: 400, body: { message: /exceeded max depth|call stack/ } });
  const unclosed = await send(api, 'POST', CONFIG_MAPS, {
    body: '{"a":'.repeat(200_000),
    headers: { 'content-type': 'application/json' },
  });
  t.equal(unclosed.code, 400);
  const levels = Array.from(
    { length: 9 },
    (_, i) =>
      `l${String(i + 1)}: &l${String(i + 1)} [${Array(9)
        .fill(`*l${String(i)}`)
        .join(',')}]`,
  );
  const bomb = ['l0: &l0 [x,x,x,x,x,x,x,x,x]', ...levels].join('\n');
  const yaml = await send(api, 'POST', CONFIG_MAPS, { body: bomb, headers: { 'content-type': 'application/yaml' } });
  t.match(yaml, { code: 400, body: { message: /alias/i } });
  const flow = await send(api, 'POST', CONFIG_MAPS, {
    body: `a: ${'['.repeat(100_000)}`,
    headers: { 'content-type': 'application/yaml' },
  });
  t.equal(flow.code, 400);
  t.equal((await send(api, 'GET', CONFIG_MAPS)).code, 200, 'and the server is as well as before');
});

void t.test('names that mean something to JavaScript are names', async (t) => {
  const api = await openApi(t);
  const text =
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"__proto__":"polluted","constructor":"c"}}';
  const made = await send(api, 'POST', CONFIG_MAPS, { body: text, headers: { 'content-type': 'application/json' } });
  t.equal(made.code, 201);
  t.match((await send(api, 'GET', `${CONFIG_MAPS}/a`)).text, /"__proto__":"polluted"/);
  const body = '{"data":{"__proto__":"again","x":"y"},"__proto__":{"polluted":"yes"}}';
  for (const type of ['merge-patch+json', 'strategic-merge-patch+json']) {
    await send(api, 'PATCH', `${CONFIG_MAPS}/a`, { body, headers: { 'content-type': `application/${type}` } });
  }
  await patch(api, `${CONFIG_MAPS}/a`, 'json-patch+json', [{ op: 'add', path: '/__proto__/polluted', value: 'yes' }]);
  t.equal(({} as Record<string, unknown>)['polluted'], undefined);
  t.match((await send(api, 'GET', `${CONFIG_MAPS}/a`)).text, /"__proto__":"again"/);
});

void t.test('a client that sends nothing, or too slowly, or rubbish, is let go and disturbs nobody', async (t) => {
  const api = await openApi(t, { limits: { headersMs: 300, requestMs: 600, silenceMs: 1000 } });
  const silent = await dial(api);
  const slow = await dial(api);
  slow.write('GET / HTTP/1.1\r\nhost: loc');
  const halfway = await dial(api);
  halfway.write(`POST ${CONFIG_MAPS} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${tokenOf(api)}\r\n`);
  halfway.write('content-type: application/json\r\ncontent-length: 100\r\n\r\n{');
  await Promise.all([once(silent, 'close'), once(slow, 'close'), once(halfway, 'close')]);
  const rubbish = await dial(api);
  rubbish.write('\u0000\u0001 not http\r\n\r\n');
  await once(rubbish, 'close');
  const smuggler = await dial(api);
  smuggler.write(
    `POST ${CONFIG_MAPS} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  );
  await once(smuggler, 'close');
  const unauthorized = await begin(api, 'POST', CONFIG_MAPS, { token: 'x', body: 'x'.repeat(100_000) });
  t.equal(unauthorized.statusCode, 401);
  unauthorized.resume();
  t.equal((await send(api, 'GET', CONFIG_MAPS)).code, 200);
});

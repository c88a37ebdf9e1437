import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { createCloudflareHttp } from '../../src/dns/cloudflare-http.ts';
import { probeHttp } from '../../src/health/http-probe.ts';
import { probeTcp } from '../../src/health/tcp-probe.ts';
import { checkAddress, checkedLookup } from '../../src/security/addresses.ts';
import type { Resolve } from '../../src/security/addresses.ts';
import { connectSsh } from '../../src/ssh/ssh-host.ts';

/** A name whose owner answers differently from question to question. */
function turncoat(...answers: readonly string[]): { readonly resolve: Resolve; readonly asked: () => number } {
  let asked = 0;
  return { resolve: async () => [answers[Math.min(asked++, answers.length - 1)] ?? ''], asked: () => asked };
}

/** A service on this machine that no name may lead to. */
async function victim(t: Test): Promise<{ readonly port: number; readonly visits: () => number }> {
  let visits = 0;
  const server = createServer((socket) => {
    visits++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, visits: () => visits };
}

void t.test('a connection goes to the address that was judged, and the name is asked once for it', async (t) => {
  const { port, visits } = await victim(t);
  const name = turncoat('192.168.255.254', '127.0.0.1');
  const socket = connect({
    host: 'turncoat.example',
    port,
    lookup: checkedLookup({ allowPrivate: true }, name.resolve),
  });
  socket.on('error', () => undefined);
  const [, address] = (await once(socket, 'lookup')) as [unknown, string];
  socket.destroy();
  t.same([address, name.asked(), visits()], ['192.168.255.254', 1, 0]);
});

void t.test('each connection judges anew: an answer that was good once lets no bad one pass', async (t) => {
  const { port, visits } = await victim(t);
  const name = turncoat('192.168.255.254', '127.0.0.1', '::ffff:127.0.0.1', '169.254.169.254', '0.0.0.0');
  t.equal(await checkAddress('turncoat.example', { allowPrivate: true }, name.resolve), '192.168.255.254');
  for (let n = 0; n < 4; n++) {
    const socket = connect({
      host: 'turncoat.example',
      port,
      lookup: checkedLookup({ allowPrivate: true }, name.resolve),
    });
    const [error] = (await once(socket, 'error')) as [{ code: string }];
    t.equal(error.code, 'GF_ADDRESS_FORBIDDEN');
  }
  t.equal(visits(), 0);
});

void t.test(
  'the DNS API is not reached at an address of this machine by a name, and no redirect is followed',
  async (t) => {
    const { port, visits } = await victim(t);
    const request = { method: 'GET', path: '/zones', what: 'to list the zones' } as const;
    for (const address of ['127.0.0.1', '::1', '169.254.169.254', '0.0.0.0']) {
      const { resolve } = turncoat(address);
      const http = createCloudflareHttp({ apiToken: 'x', baseUrl: `https://api.example:${port}/v4`, resolve });
      await t.rejects(http.call(request), { code: 'GF_ADDRESS_FORBIDDEN' }, address);
      await http.close();
    }
    for (const host of ['169.254.169.254', '0.0.0.0', '[::ffff:127.0.0.1]', '[fe80::1]']) {
      const http = createCloudflareHttp({ apiToken: 'x', baseUrl: `https://${host}:${port}/v4` });
      await t.rejects(http.call(request), { code: 'GF_ADDRESS_FORBIDDEN' }, host);
      await http.close();
    }
    const redirecting = createHttpServer((_, answer) => {
      answer.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end();
    }).listen(0, '127.0.0.1');
    t.teardown(() => redirecting.close());
    await once(redirecting, 'listening');
    const own = (redirecting.address() as AddressInfo).port;
    const http = createCloudflareHttp({ apiToken: 'x', baseUrl: `http://127.0.0.1:${own}` });
    await t.rejects(http.call({ ...request, method: 'POST', body: {} }), { code: /^GF_DNS_/ });
    await http.close();
    const probe = await probeHttp({ address: '127.0.0.1', port: own, timeoutMs: 5_000 });
    t.match(probe, { ok: true, status: 302 });
    t.equal(visits(), 0);
  },
);

void t.test('probes and logins connect to addresses only: a name is not resolved a second time', async (t) => {
  const { port, visits } = await victim(t);
  t.match(await probeTcp({ address: 'localhost', port, timeoutMs: 5_000 }), { ok: false, outcome: 'Unreachable' });
  t.match(await probeHttp({ address: 'localhost', port, timeoutMs: 5_000 }), { ok: false, outcome: 'Unreachable' });
  const login = connectSsh({
    ...{ name: 'a', address: 'localhost', port, user: 'root', sudo: false },
    credentials: { password: 'x' },
    hostKey: { acceptNew: true },
  });
  await t.rejects(login, { code: 'GF_SSH_UNREACHABLE' });
  t.equal(visits(), 0);
});

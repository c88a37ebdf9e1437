import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { parse } from 'yaml';
import { Namespaces } from '../../../src/api/core.ts';
import { connectCluster } from '../../../src/home/cluster/cluster-client.ts';
import type { ClusterClient } from '../../../src/home/cluster/cluster-client.ts';
import { openApiServer } from '../../support/api-server.ts';
import { writeKubeconfig } from '../../support/scripted-api.ts';

async function listen(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function connectBoth(a: Socket, b: Socket): void {
  a.pipe(b).on('error', () => a.destroy());
  b.pipe(a).on('error', () => b.destroy());
}

/** A forward proxy that takes this login only, or anybody. */
function connectProxy(asked: string[], login?: string): Server {
  return createHttpServer().on('connect', (request, socket: Socket) => {
    asked.push(request.url ?? '');
    const expected = login === undefined ? undefined : `Basic ${Buffer.from(login).toString('base64')}`;
    if (request.headers['proxy-authorization'] !== expected) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      return;
    }
    const [, port] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      connectBoth(socket, upstream);
    });
  });
}

/** RFC 1928, CONNECT to a name only; with a user name as in RFC 1929 when one is expected. */
function socksProxy(asked: string[], login?: string): Server {
  return createServer((socket) => {
    void (async () => {
      const read = async (): Promise<Buffer> => ((await once(socket, 'data')) as [Buffer])[0];
      await read();
      socket.write(Buffer.from([5, login === undefined ? 0 : 2]));
      let request = await read();
      if (login !== undefined) {
        const user = request.subarray(2, 2 + (request[1] ?? 0)).toString();
        const password = request.subarray(3 + user.length).toString();
        const welcome = `${user}:${password}` === login;
        socket.write(Buffer.from([1, welcome ? 0 : 1]));
        if (!welcome) return;
        request = await read();
      }
      const length = request[4] ?? 0;
      asked.push(request.subarray(5, 5 + length).toString());
      const upstream = connect(request.readUInt16BE(5 + length), '127.0.0.1', () => {
        socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
        connectBoth(socket, upstream);
      });
    })();
  });
}

/** The embedded API, over TLS, reached through a proxy only. */
async function openBehind(t: Test, proxyUrl: string): Promise<ClusterClient> {
  const api = await openApiServer();
  t.teardown(() => api.close());
  const config = parse(readFileSync(api.kubeconfigPath, 'utf8')) as Record<string, Record<string, unknown>[]>;
  const { server, ...cluster } = config['clusters']?.[0]?.['cluster'] as Record<string, string>;
  const user = config['users']?.[0]?.['user'] as Record<string, string>;
  const through = { ...cluster, 'proxy-url': proxyUrl };
  const kubeconfig = writeKubeconfig(join(api.stateDir, 'through-proxy'), server ?? '', user, through);
  const client = await connectCluster({ kubeconfig, random: () => 0 });
  t.teardown(() => client.close());
  return client;
}

for (const [scheme, proxy] of [
  ['http', connectProxy],
  ['socks5', socksProxy],
] as const) {
  void t.test(`calls and watches go through a ${scheme} proxy, with TLS to the API server itself`, async (t) => {
    const asked: string[] = [];
    const port = await listen(t, proxy(asked));
    const client = await openBehind(t, `${scheme}://127.0.0.1:${port}`);
    await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'one' } });
    for await (const event of client.watch(Namespaces, { signal: new AbortController().signal })) {
      t.equal(event.type, 'ADDED');
      break;
    }
    t.equal(
      (await client.list(Namespaces)).items.some(({ metadata }) => metadata.name === 'one'),
      true,
    );
    t.equal(asked.length, 2, 'one connection for the calls, one for the watch');
  });

  void t.test(`a ${scheme} proxy that wants a login gets that of its URL`, async (t) => {
    const asked: string[] = [];
    const port = await listen(t, proxy(asked, 'me:p@ss'));
    const client = await openBehind(t, `${scheme}://me:p%40ss@127.0.0.1:${port}`);
    t.ok(await client.list(Namespaces));
    const stranger = await openBehind(t, `${scheme}://me:wrong@127.0.0.1:${port}`);
    await t.rejects(stranger.list(Namespaces), {
      code: 'GF_API_UNREACHABLE',
      message: /the proxy 127\.0\.0\.1:\d+ refused/,
    });
  });
}

void t.test('a certificate that nobody vouches for is refused, and said so', async (t) => {
  const api = await openApiServer();
  t.teardown(() => api.close());
  const stranger = writeKubeconfig(join(api.stateDir, 'no-ca'), api.url, { token: 'x' });
  const client = await connectCluster({ kubeconfig: stranger });
  await t.rejects(client.list(Namespaces), { code: 'GF_API_TLS', class: 'retryable' });
  const insecure = writeKubeconfig(
    join(api.stateDir, 'insecure'),
    api.url,
    { token: 'x' },
    { 'insecure-skip-tls-verify': true },
  );
  const trusting = await connectCluster({ kubeconfig: insecure });
  await t.rejects(trusting.list(Namespaces), { code: 'GF_API_UNAUTHORIZED' });
  const config = parse(readFileSync(api.kubeconfigPath, 'utf8')) as Record<string, Record<string, unknown>[]>;
  const { server: _, ...cluster } = config['clusters']?.[0]?.['cluster'] as Record<string, string>;
  const user = config['users']?.[0]?.['user'] as Record<string, string>;
  const named = writeKubeconfig(join(api.stateDir, 'named'), api.url, user, {
    ...cluster,
    'tls-server-name': 'another.example',
  });
  const misnamed = await connectCluster({ kubeconfig: named });
  await t.rejects(misnamed.list(Namespaces), { code: 'GF_API_TLS', message: /another\.example/ });
  for (const one of [client, trusting, misnamed]) one.close();
});

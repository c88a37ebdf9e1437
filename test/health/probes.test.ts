import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import t from 'tap';
import type { Test } from 'tap';
import { GridferryError } from '../../src/errors.ts';
import { probeHttp } from '../../src/health/http-probe.ts';
import { probeTcp } from '../../src/health/tcp-probe.ts';
import { openLocalHost } from '../../src/ssh/local-host.ts';

const HERE = { address: '127.0.0.1', timeoutMs: 2000 };

async function listen(test: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const http = (test: Test, listener: RequestListener): Promise<number> => listen(test, createHttp(listener));

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A stream to a port that connects late, as one through SSH does, and is no socket. */
function lateStream(port: number): Duplex {
  const socket = connect({ host: '127.0.0.1', port });
  socket.pause();
  return Duplex.from({ readable: socket, writable: socket });
}

void t.test('HTTP', async (t) => {
  void t.test('the host header, the path and the status', async (t) => {
    const port = await http(t, (request, response) => {
      response.statusCode = request.headers.host === 'app.example.test' && request.url === '/health?full=1' ? 204 : 404;
      response.end();
    });
    const good = await probeHttp({ ...HERE, port, path: '/health?full=1', hostHeader: 'app.example.test' });
    t.match(good, { ok: true, outcome: 'Healthy', status: 204, notes: [] });
    t.ok(good.latencyMs > 0 && good.latencyMs < 1500);
    const bad = await probeHttp({ ...HERE, port });
    t.match(bad, { ok: false, outcome: 'BadStatus', status: 404, reason: `127.0.0.1:${port}: HTTP 404` });
    t.match(await probeHttp({ ...HERE, port, expectedStatus: [404, 404] }), { ok: true });
  });

  void t.test('a redirect is an answer and is not followed', async (t) => {
    let requests = 0;
    const port = await http(t, (_request, response) => {
      requests += 1;
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    t.match(await probeHttp({ ...HERE, port }), { ok: true, status: 302 });
    t.equal(requests, 1);
  });

  void t.test('a black hole, a body that hangs and one that never ends', async (t) => {
    const hole = await listen(t, createServer());
    t.match(await probeHttp({ ...HERE, port: hole, timeoutMs: 80 }), { ok: false, outcome: 'Timeout' });
    const hangs = await http(t, (_request, response) => void response.writeHead(200).write('half'));
    t.match(await probeHttp({ ...HERE, port: hangs, timeoutMs: 80 }), { ok: false, outcome: 'Timeout' });
    const endless = await http(t, (_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'.repeat(4096)), 5);
      response.on('close', () => clearInterval(timer));
    });
    t.match(await probeHttp({ ...HERE, port: endless }), { ok: true, status: 200 });
  });

  void t.test('what is not an answer says what it is', async (t) => {
    const cut = await http(t, (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setTimeout(() => response.destroy(), 20);
    });
    t.match(await probeHttp({ ...HERE, port: cut }), { ok: false, outcome: 'Closed', status: 200 });
    const hangsUp = await listen(
      t,
      createServer((socket) => socket.end()),
    );
    t.match(await probeHttp({ ...HERE, port: hangsUp }), { ok: false, outcome: 'Closed' });
    const ssh = await listen(
      t,
      createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')),
    );
    t.match(await probeHttp({ ...HERE, port: ssh }), { ok: false, outcome: 'Protocol' });
    const upgrade = await listen(
      t,
      createServer((socket) =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
      ),
    );
    t.match(await probeHttp({ ...HERE, port: upgrade }), { ok: false, outcome: 'BadStatus', status: 101 });
    t.match(await probeHttp({ ...HERE, port: await closedPort() }), { ok: false, outcome: 'Refused' });
    t.match(await probeHttp({ ...HERE, port: hangsUp, path: '/a b\r\nx: y' }), { ok: false, outcome: 'Protocol' });
    t.match(await probeHttp({ ...HERE, port: hangsUp, hostHeader: 'a\r\nx: y' }), { ok: false, outcome: 'Protocol' });
    t.match(await probeHttp({ ...HERE, port: 99_999 }), { ok: false, outcome: 'Protocol' });
    t.match(await probeHttp({ ...HERE, port: hangsUp, signal: AbortSignal.abort() }), {
      ok: false,
      outcome: 'Aborted',
    });
  });

  void t.test('it goes through a stream that the caller gives', async (t) => {
    const port = await http(t, (_request, response) => response.end('hello'));
    const options = { ...HERE, address: 'inside', port: 80 };
    t.match(await probeHttp({ ...options, dial: () => lateStream(port) }), { ok: true, status: 200 });
    const broken = new Duplex({ read: () => undefined, write: () => undefined });
    setTimeout(() => broken.destroy(Object.assign(new Error('channel refused'), { code: 'ECONNREFUSED' })), 10);
    t.match(await probeHttp({ ...options, dial: () => broken }), { ok: false, outcome: 'Refused' });
    const gone = new GridferryError('GF_HOST_CONNECT_FAILED', 'Nothing answers', { class: 'retryable' });
    const refused = new Duplex({ construct: (done) => done(gone), read: () => undefined });
    t.match(await probeHttp({ ...options, dial: () => refused }), { ok: false, outcome: 'Refused' }, 'by a host');
    const throws = (): never => {
      throw new Error('no connection');
    };
    t.match(await probeHttp({ ...options, dial: throws }), { ok: false, reason: 'inside:80: no connection' });
  });
});

void t.test('HTTPS', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gridferry-probe-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=app.example.test', '-addext', 'subjectAltName=DNS:app.example.test'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  execFileSync(
    'openssl',
    ['req', '-x509', ...curve, '-nodes', '-keyout', key, '-out', cert, '-days', '2', ...subject],
    {
      stdio: 'ignore',
    },
  );
  const names: (string | false)[] = [];
  const server = createHttps({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    names.push('servername' in request.socket ? (request.socket.servername as string | false) : false);
    response.end('ok');
  });
  const port = await listen(t, server);
  const https = { ...HERE, port, scheme: 'https' } as const;

  void t.test('it asks for the name, and an invalid certificate is a note', async (t) => {
    const result = await probeHttp({ ...https, hostHeader: 'app.example.test:8443' });
    t.match(result, { ok: true, status: 200, notes: [/certificate is not valid for app.example.test/] });
    t.equal(names.pop(), 'app.example.test');
    await probeHttp({ ...https, hostHeader: 'app.example.test', sni: 'other.example.test' });
    t.equal(names.pop(), 'other.example.test');
    t.match(await probeHttp(https), { ok: true, notes: [/127.0.0.1/] });
    t.equal(names.pop(), false, 'an address is never sent as SNI');
  });

  void t.test('on demand an invalid certificate is a failure', async (t) => {
    const result = await probeHttp({ ...https, hostHeader: 'app.example.test', verifyCertificate: true });
    t.match(result, { ok: false, outcome: 'Tls' });
  });

  void t.test('it goes through a given stream, and names what does not speak TLS', async (t) => {
    const host = { hostHeader: 'app.example.test' };
    t.match(await probeHttp({ ...https, ...host, dial: () => lateStream(port) }), { ok: true, status: 200 });
    const plain = await http(t, (_request, response) => response.end());
    t.match(await probeHttp({ ...https, ...host, port: plain }), { ok: false, outcome: 'Tls' });
    const hangsUp = await listen(
      t,
      createServer((socket) => socket.end()),
    );
    t.match(await probeHttp({ ...https, ...host, port: hangsUp }), { ok: false, outcome: 'Closed' });
    t.match(await probeHttp({ ...https, ...host, dial: () => lateStream(hangsUp) }), { ok: false, outcome: 'Closed' });
    const hole = await listen(t, createServer());
    t.match(await probeHttp({ ...https, ...host, port: hole, timeoutMs: 80 }), { ok: false, outcome: 'Timeout' });
  });
});

void t.test('TCP', async (t) => {
  const silent = await listen(t, createServer());
  const greets = await listen(
    t,
    createServer((socket) => socket.end('hello\n')),
  );
  const proxy = await listen(
    t,
    createServer((socket) => socket.destroy()),
  );
  t.match(await probeTcp({ ...HERE, port: silent }), { ok: true, outcome: 'Healthy' });
  t.match(await probeTcp({ ...HERE, port: greets }), { ok: true });
  t.match(await probeTcp({ ...HERE, port: proxy }), { ok: false, outcome: 'Closed' }, 'as a port proxy does');
  t.match(await probeTcp({ ...HERE, port: await closedPort() }), { ok: false, outcome: 'Refused' });
  t.match(await probeTcp({ ...HERE, port: 1, dial: () => lateStream(silent) }), { ok: true });
  const host = openLocalHost({ name: 'here' });
  t.teardown(() => host.close());
  const through = (port: number) => probeTcp({ ...HERE, port, dial: () => host.openTcp('127.0.0.1', port) });
  t.match(await through(silent), { ok: true }, 'through a host');
  t.match(await through(await closedPort()), { ok: false, outcome: 'Refused' });
  t.match(await through(proxy), { ok: false, outcome: 'Closed' });
  const never = new Duplex({ read: () => undefined, write: () => undefined });
  t.match(await probeTcp({ ...HERE, timeoutMs: 60, port: 1, dial: () => never }), { ok: false, outcome: 'Timeout' });
});

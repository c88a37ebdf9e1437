import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { inspect } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { dockerCall } from '../../src/docker/api.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { createEngineAgent } from '../../src/docker/engine-agent.ts';
import { scrub } from '../../src/docker/engine-error.ts';
import { upload } from '../../src/docker/load-archive.ts';
import { requireMarks } from '../../src/docker/marks.ts';
import { ensureVolume, removeMarked } from '../../src/docker/recreate.ts';
import type { Host } from '../../src/ssh/host.ts';
import { openLocalHost } from '../../src/ssh/local-host.ts';
import { captureVolume } from '../../src/docker/volume-capture.ts';
import { engine as recorded } from './fixtures.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

interface FakeDocker {
  readonly socketPath: string;
  readonly host: Host;
  readonly urls: string[];
  readonly connections: () => number;
  connect(): Promise<Engine>;
}

/** A Docker API on a socket of this machine, with the given version and answers. */
async function fakeDocker(
  t: Test,
  handler: Handler = () => undefined,
  version: object = recorded.version,
): Promise<FakeDocker> {
  // A test's own directory has too long a path for a socket.
  const directory = mkdtempSync(join(tmpdir(), 'gf-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const socketPath = join(directory, 'docker.sock');
  const urls: string[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    urls.push(`${request.method ?? ''} ${request.url ?? ''}`);
    if (request.url?.startsWith('/version') === true) json(response, 200, version);
    else if (/^\/v1\.\d+\/info/.test(request.url ?? '')) json(response, 200, recorded.info);
    else handler(request, response);
  });
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const host = openLocalHost({ name: 's1' });
  const engines: Engine[] = [];
  t.teardown(async () => {
    for (const engine of engines) engine.close();
    server.closeAllConnections();
    server.close();
    await host.close();
  });
  return {
    socketPath,
    host,
    urls,
    connections: () => connections,
    async connect() {
      const engine = await connectEngine(host, { socketPath });
      engines.push(engine);
      return engine;
    },
  };
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const refuse =
  (status: number, message: string): Handler =>
  (request, response) => {
    request.resume();
    json(response, status, { message });
  };

void t.test('connecting', (t) => {
  void t.test('negotiates the version and tells what the engine is', async (t) => {
    const docker = await fakeDocker(t);
    const { info } = await docker.connect();
    t.match(info, {
      version: '20.10.24+dfsg1',
      apiVersion: '1.41',
      os: 'linux',
      arch: 'amd64',
      storageDriver: 'overlay2',
      imageStore: 'overlay2',
      cgroupVersion: 1,
      liveRestore: false,
      rootless: false,
      podman: false,
      securityOptions: ['seccomp'],
      missingLimits: [],
    });
    t.same(docker.urls, ['GET /version', 'GET /v1.41/info']);
  });

  void t.test('speaks no newer version than it knows', async (t) => {
    const docker = await fakeDocker(t, undefined, { ...recorded.version, ApiVersion: '1.99', MinAPIVersion: '1.44' });
    t.equal((await docker.connect()).info.apiVersion, '1.52');
  });

  void t.test('refuses an engine that is too old, or too new', async (t) => {
    const old = await fakeDocker(t, undefined, { ...recorded.version, ApiVersion: '1.40' });
    await t.rejects(old.connect(), { code: 'GF_DOCKER_API_TOO_OLD', class: 'terminal' });
  });

  void t.test('refuses an engine that has dropped what this speaks', async (t) => {
    const young = await fakeDocker(t, undefined, { ...recorded.version, ApiVersion: '1.99', MinAPIVersion: '1.90' });
    await t.rejects(young.connect(), { code: 'GF_DOCKER_API_TOO_NEW' });
  });

  void t.test('tells a missing socket from one that nobody listens on', async (t) => {
    const docker = await fakeDocker(t);
    await t.rejects(connectEngine(docker.host, { socketPath: '/nonexistent/docker.sock' }), {
      code: 'GF_DOCKER_MISSING',
    });
  });

  void t.test('takes no notice of DOCKER_HOST and its kin', async (t) => {
    const before = { ...process.env };
    Object.assign(process.env, {
      DOCKER_HOST: 'tcp://192.0.2.1:1',
      DOCKER_CLIENT_TIMEOUT: '1',
      DOCKER_PATH_PREFIX: '/x',
    });
    t.teardown(() => {
      delete process.env['DOCKER_HOST'];
      delete process.env['DOCKER_CLIENT_TIMEOUT'];
      delete process.env['DOCKER_PATH_PREFIX'];
      Object.assign(process.env, before);
    });
    const docker = await fakeDocker(t);
    await t.resolves(docker.connect());
  });

  void t.test('uses few connections, again and again', async (t) => {
    const docker = await fakeDocker(t, (_, response) => json(response, 200, []));
    const engine = await docker.connect();
    for (let round = 0; round < 20; round += 1) {
      await dockerCall(engine, { method: 'GET', path: ['images', 'json'], doing: 'list' });
    }
    t.ok(docker.connections() <= 2, `${docker.connections()} connections`);
  });
  t.end();
});

void t.test('failures are classified', (t) => {
  const cases = [
    [404, 'No such volume: x', 'GF_DOCKER_NOT_FOUND', 'terminal'],
    [409, 'volume is in use', 'GF_DOCKER_CONFLICT', 'conflict'],
    [400, 'bad', 'GF_DOCKER_BAD_REQUEST', 'terminal'],
    [500, 'boom', 'GF_DOCKER_SERVER_ERROR', 'retryable'],
    [500, 'mkdir /x: no space left on device', 'GF_DOCKER_NO_SPACE', 'terminal'],
    [500, 'failed to allocate gateway (10.0.0.1): Address already in use', 'GF_DOCKER_SUBNET_TAKEN', 'terminal'],
    [500, 'Bind for 0.0.0.0:80 failed: port is already allocated', 'GF_DOCKER_PORT_TAKEN', 'terminal'],
    [403, 'Pool overlaps with other one on this address space', 'GF_DOCKER_SUBNET_TAKEN', 'terminal'],
    [418, 'teapot', 'GF_DOCKER_UNEXPECTED', 'terminal'],
  ] as const;
  for (const [status, message, code, kind] of cases) {
    void t.test(`HTTP ${status} "${message}" is ${code}`, async (t) => {
      const engine = await (await fakeDocker(t, refuse(status, message))).connect();
      await t.rejects(captureVolume(engine, 'x'), { code, class: kind, status });
      await t.rejects(engine.docker.getVolume('x').inspect(), { code, class: kind }, 'dockerode’s own calls too');
    });
  }

  void t.test('a connection that breaks is retryable', async (t) => {
    const engine = await (await fakeDocker(t, (request) => request.socket.destroy())).connect();
    await t.rejects(captureVolume(engine, 'x'), { code: 'GF_DOCKER_UNREACHABLE', class: 'retryable' });
  });

  void t.test('an abort is the caller’s own reason', async (t) => {
    const engine = await (await fakeDocker(t, () => undefined)).connect();
    const controller = new AbortController();
    const pending = captureVolume(engine, 'x', controller.signal);
    controller.abort(new Error('cancelled by user'));
    await t.rejects(pending, { message: 'cancelled by user' });
    await t.rejects(captureVolume(engine, 'x', controller.signal), { message: 'cancelled by user' });
  });
  t.end();
});

void t.test('a secret of the environment is in no error and in no URL', async (t) => {
  const docker = await fakeDocker(t, async (request, response) => {
    request.resume();
    json(response, 400, { message: 'invalid environment variable: PASSWORD=hunter22 is bad' });
  });
  const engine = await docker.connect();
  const failed = await dockerCall(engine, {
    method: 'POST',
    path: ['containers', 'create'],
    query: { name: 'web' },
    body: { Env: ['PASSWORD=hunter22'] },
    doing: 'create container web',
  }).catch((error: unknown) => error);
  t.match(failed, { code: 'GF_DOCKER_BAD_REQUEST', message: /\[redacted\]/ });
  t.notMatch(inspect(failed, { depth: 10, showHidden: true }), 'hunter22');
  t.notMatch(docker.urls.join(), 'hunter22');
  t.equal(scrub('ab abcd abcdef', ['abcd', 'abcdef', 'ab']), 'ab [redacted] [redacted]');
});

void t.test('a name cannot climb to another endpoint', async (t) => {
  const docker = await fakeDocker(t, refuse(404, 'no'));
  const engine = await docker.connect();
  await t.rejects(captureVolume(engine, '../containers/x/kill?signal=9#'), { code: 'GF_DOCKER_NOT_FOUND' });
  t.match(docker.urls.at(-1), /^GET \/v1\.41\/volumes\/\.\.%2F/i);
  await t.rejects(async () => captureVolume(engine, '..'), { code: 'GF_DOCKER_BAD_NAME' });
  await t.rejects(async () => captureVolume(engine, ''), { code: 'GF_DOCKER_BAD_NAME' });
});

void t.test('an upload', (t) => {
  const call = { method: 'POST', path: ['images', 'load'], doing: 'load the image' } as const;
  const drain = async (answer: Readable): Promise<void> => {
    await finished(answer.resume());
  };
  async function* endless(): AsyncGenerator<Buffer> {
    for (;;) yield Buffer.alloc(64 * 1024);
  }

  void t.test('that the engine refuses in the middle ends at once, and leaves the engine usable', async (t) => {
    const docker = await fakeDocker(t, (request, response) => {
      if (request.method === 'GET') json(response, 200, { Name: 'x' });
      else request.once('data', () => json(response, 500, { message: 'no space left on device' }));
    });
    const engine = await docker.connect();
    await t.rejects(upload(engine, call, endless(), drain), { code: 'GF_DOCKER_NO_SPACE' });
    await t.resolves(captureVolume(engine, 'x'));
  });

  void t.test('whose source breaks says so, and the engine sees no end', async (t) => {
    let ended = false;
    const docker = await fakeDocker(t, (request) => {
      request
        .resume()
        .on('end', () => (ended = true))
        .on('error', () => undefined);
    });
    const engine = await docker.connect();
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1000);
      await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error('source is gone');
    }
    await t.rejects(upload(engine, call, broken(), drain), { message: 'source is gone' });
    t.notOk(ended);
  });

  void t.test('can be aborted', async (t) => {
    const engine = await (
      await fakeDocker(t, (request) => void request.resume().on('error', () => undefined))
    ).connect();
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 30);
    await t.rejects(upload(engine, call, endless(), drain, { signal: controller.signal }), { message: 'enough' });
  });
  t.end();
});

void t.test('without a mark nothing is made and nothing is removed', async (t) => {
  const docker = await fakeDocker(t, refuse(500, 'must not be asked'));
  const engine = await docker.connect();
  await t.rejects(removeMarked(engine, {}, ['containers', 'volumes']), { code: 'GF_DOCKER_MARKS_REQUIRED' });
  t.throws(() => requireMarks({ 'gridferry.io/transfer': '' }), { code: 'GF_DOCKER_MARKS_REQUIRED' });
  t.equal(docker.urls.length, 2);
});

void t.test('a volume that somebody else made in the meantime is not taken for ours', async (t) => {
  const docker = await fakeDocker(t, (request, response) => {
    request.resume();
    if (request.method === 'GET') json(response, 404, { message: 'no such volume' });
    else json(response, 201, { Name: 'data', Labels: { owner: 'somebody' } });
  });
  const engine = await docker.connect();
  const volume = {
    name: 'data',
    driver: 'local',
    options: {},
    labels: {},
    mountpoint: '',
    anonymous: false,
    copyMode: 'copy',
  } as const;
  await t.rejects(ensureVolume(engine, volume, { mark: '1' }), { code: 'GF_DOCKER_NAME_TAKEN' });
});

void t.test('what docker-modem prints of the agent on each request stays small', async (t) => {
  const agent = createEngineAgent({ open: () => t.fail('not to be opened') as never, maxSockets: 1 });
  t.equal(inspect(agent, { depth: null, showHidden: true }), '[engine agent]');
});

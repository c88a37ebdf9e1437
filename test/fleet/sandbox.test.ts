import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type ConnectConfig } from 'ssh2';
import t from 'tap';
import { fleetLayout } from '../../src/sandbox/fleet-layout.ts';
import {
  cutLink,
  fleetDown,
  fleetExec,
  fleetStatus,
  fleetUp,
  healLink,
  listFleets,
  shapeLink,
  startServer,
  startService,
  stopServer,
  stopService,
} from '../../src/sandbox/fleet.ts';
import { buildLayeredImage, importTinyImage } from '../../src/sandbox/image.ts';
import { listProcesses } from '../../src/sandbox/process-identity.ts';
import { run } from '../../src/sandbox/run.ts';

const name = 't-sandbox';
const subnet = '10.99.40.0/24';
const alpha = '10.99.40.11';
const layout = fleetLayout(name);

t.setTimeout(300_000);
t.teardown(() => fleetDown(name));
t.before(async () => {
  await fleetDown(name);
  await fleetUp({ name, subnet });
});

void t.test('two servers run, each with its own key, and a second up changes nothing', async (t) => {
  const fleet = await fleetUp({ name, subnet });
  t.match(fleet.servers, [
    { name: 'alpha', address: alpha, running: true, dockerRunning: true, sshRunning: true },
    { name: 'beta', address: '10.99.40.12', running: true, dockerRunning: true, sshRunning: true },
  ]);
  t.match(fleet.servers[0]?.hostKeyFingerprint, /^SHA256:[\w+/]{43}$/);
  t.not(fleet.servers[0]?.hostKeyFingerprint, fleet.servers[1]?.hostKeyFingerprint);
  t.strictSame(await fleetStatus(name), fleet);
  t.ok((await listFleets()).some((listed) => listed.name === name));
});

void t.test('another fleet cannot have the subnet, and this one cannot change it', async (t) => {
  await t.rejects(fleetUp({ name: 't-sandbox-2', subnet: '10.99.40.128/25' }), { code: 'GF_SANDBOX_SUBNET_IN_USE' });
  t.equal(await fleetStatus('t-sandbox-2'), undefined);
  await t.rejects(fleetUp({ name, subnet: '10.99.41.0/24' }), { code: 'GF_SANDBOX_SUBNET_FIXED' });
});

void t.test('commands run inside, as any of its users, with input and exit code', async (t) => {
  t.equal((await fleetExec(name, 'beta', ['hostname'])).stdout, 'beta\n');
  t.equal((await fleetExec(name, 'beta', ['cat'], { input: 'text' })).stdout, 'text');
  t.match(await fleetExec(name, 'beta', ['id'], { user: 'deploy' }), { stdout: /uid=2001\(deploy\).*\(docker\)/ });
  t.match(await fleetExec(name, 'beta', ['docker', 'version'], { user: 'pat' }), { stdout: /Server:/ });
  t.equal((await fleetExec(name, 'beta', ['sh', '-c', 'exit 7'], { reject: false })).exitCode, 7);
  await t.rejects(fleetExec(name, 'beta', ['false']), { code: 'GF_SANDBOX_COMMAND_FAILED', message: /^beta: false/ });
  await t.rejects(fleetExec(name, 'gamma', ['true']), { code: 'GF_SANDBOX_SERVER_UNKNOWN' });
  await t.rejects(fleetExec('t-none', 'beta', ['true']), { code: 'GF_SANDBOX_NOT_FOUND' });
});

void t.test('an aborted command is killed inside the server, too', async (t) => {
  const started = fleetExec(name, 'beta', ['sleep', '4321'], { reject: false, signal: AbortSignal.timeout(300) });
  await started.catch(() => undefined);
  await sleep(100);
  t.notMatch((await fleetExec(name, 'beta', ['ps', 'ax'])).stdout, 'sleep 4321');
});

void t.test("what is done on a server stays there: the machine's folders do not change", async (t) => {
  const marks = ['/etc/t-sandbox', '/usr/local/t-sandbox', '/srv/t-sandbox', '/root/t-sandbox', '/tmp/t-sandbox'];
  await fleetExec(name, 'alpha', ['touch', ...marks]);
  for (const mark of marks) await t.rejects(access(mark), { code: 'ENOENT' });
  t.notMatch(await readFile('/etc/passwd', 'utf8'), 'uid 2001');
});

void t.test('root and deploy log in by key, pat by password, with the announced host key', async (t) => {
  const fleet = (await fleetStatus(name))!;
  const privateKey = await readFile(fleet.privateKeyPath);
  const whoami = (login: ConnectConfig) => sshExec({ host: alpha, ...login }, fleet.servers[0]!.hostKeyFingerprint);
  t.equal(await whoami({ username: 'root', privateKey }), 'root\n');
  t.equal(await whoami({ username: 'deploy', privateKey }), 'deploy\n');
  t.equal(await whoami({ username: 'pat', password: 'correct-horse' }), 'pat\n');
  await t.rejects(whoami({ username: 'pat', password: 'wrong' }));
  await t.rejects(whoami({ username: 'pat', privateKey }));
  await t.rejects(whoami({ username: 'root', password: 'correct-horse' }));
});

void t.test('a container runs from an image made here, within its memory limit, and answers on its port', async (t) => {
  await importTinyImage(name, 'alpha', 'web:1', {
    files: { '/www/index.html': 'hello\n' },
    changes: ['CMD ["httpd","-f","-p","80","-h","/www"]', 'EXPOSE 80', 'STOPSIGNAL SIGKILL', 'VOLUME /data'],
  });
  const id = await buildLayeredImage(name, 'alpha', 'web:2', {
    from: 'web:1',
    layers: [{ '/www/a': 'a' }, { '/www/b': { content: 'b', mode: 0o600, uid: 7, gid: 7 } }],
    instructions: ['RUN echo built >/www/c'],
  });
  t.match(id, /^sha256:[0-9a-f]{64}$/);
  const image = JSON.parse((await fleetExec(name, 'alpha', ['docker', 'image', 'inspect', 'web:2'])).stdout);
  t.match(image, [{ Config: { StopSignal: 'SIGKILL', Volumes: { '/data': {} } } }]);
  t.equal(image[0].RootFS.Layers.length, 4);

  const options = ['-d', '--name', 'web', '--restart', 'unless-stopped', '--memory', '64m', '-p', '8080:80'];
  await fleetExec(name, 'alpha', ['docker', 'run', ...options, 'web:2']);
  t.equal(await get(`http://${alpha}:8080/c`), 'built\n', 'from the machine');
  const wget = ['timeout', '5', 'busybox', 'wget', '-q', '-O', '-', 'http://alpha:8080/index.html'];
  t.equal((await fleetExec(name, 'beta', wget)).stdout, 'hello\n', 'from the other server');
  t.match(await memoryLimits(), ['67108864']);
});

void t.test('a container with a restart policy is back after a power cycle', async (t) => {
  await stopServer(name, 'alpha');
  t.match((await fleetStatus(name))?.servers[0], { running: false, sshRunning: false, dockerRunning: false, pid: 0 });
  await t.rejects(fleetExec(name, 'alpha', ['true']), { code: 'GF_SANDBOX_SERVER_DOWN' });
  await stopServer(name, 'alpha');
  await startServer(name, 'alpha');
  t.match((await fleetStatus(name))?.servers[0], { running: true, sshRunning: true, dockerRunning: true });
  t.equal(await get(`http://${alpha}:8080/index.html`), 'hello\n');
});

void t.test('a service stops and starts by itself', async (t) => {
  await stopService(name, 'alpha', 'sshd');
  await stopService(name, 'beta', 'dockerd');
  t.match((await fleetStatus(name))?.servers, [
    { sshRunning: false, dockerRunning: true },
    { sshRunning: true, dockerRunning: false },
  ]);
  await startService(name, 'alpha', 'sshd');
  await startService(name, 'beta', 'dockerd');
  t.match((await fleetStatus(name))?.servers, [
    { sshRunning: true, dockerRunning: true },
    { sshRunning: true, dockerRunning: true },
  ]);
});

void t.test(
  'a shaped link is slow, towards the other server and towards this machine, until it is reset',
  async (t) => {
    const megabytes = 4;
    await fleetExec(name, 'alpha', [
      'docker',
      'exec',
      'web',
      'sh',
      '-c',
      `head -c ${megabytes}000000 /dev/zero >/www/big`,
    ]);
    const toBeta = () => fleetExec(name, 'beta', ['busybox', 'wget', '-q', '-O', '/dev/null', 'http://alpha:8080/big']);
    const toMachine = () => get(`http://${alpha}:8080/big`);
    await shapeLink(name, 'alpha', { rateMbit: 16 });
    // 32 Mbit take 2 s at this rate; nothing but the rate bounds it from below.
    t.ok((await seconds(toBeta)) > 1, 'between servers');
    t.ok((await seconds(toMachine)) > 1, 'towards this machine');
    await shapeLink(name, 'alpha', undefined);
    t.ok((await seconds(toBeta)) < 1.5);
  },
);

void t.test('a link that is cut is silent, for one peer or for all, also after a power cycle, and heals', async (t) => {
  const probe = ['timeout', '2', 'busybox', 'wget', '-q', '-O', '-', 'http://alpha:8080/a'];
  const fromBeta = async () => (await fleetExec(name, 'beta', probe, { reject: false })).exitCode;
  await cutLink(name, 'alpha', { from: 'beta' });
  t.not(await fromBeta(), 0, 'beta gets nothing');
  t.equal(await get(`http://${alpha}:8080/a`), 'a', 'this machine does');

  await cutLink(name, 'alpha', { from: 'controller' });
  await healLink(name, 'alpha', { from: 'beta' });
  t.equal(await fromBeta(), 0);
  await t.rejects(get(`http://${alpha}:8080/a`, 1000), { name: 'TimeoutError' }, 'a hang, not a refusal');

  await cutLink(name, 'beta');
  await stopServer(name, 'beta');
  await startServer(name, 'beta');
  await healLink(name, 'alpha');
  t.not(await fromBeta(), 0);
  await healLink(name, 'beta');
  t.equal(await fromBeta(), 0);
  t.equal(await get(`http://${alpha}:8080/a`), 'a');
});

void t.test('down leaves nothing, and down again is no error', async (t) => {
  const inside = await namespaces((await fleetStatus(name))!.servers.map(({ pid }) => pid));
  await fleetDown(name);
  t.strictSame(await leftovers(inside), []);
  t.equal(await fleetStatus(name), undefined);
  await fleetDown(name);
});

for (const afterMs of [60, 150, 300, 500, 800]) {
  void t.test(`down cleans up what a start left that was killed after ${afterMs} ms`, async (t) => {
    const module_ = JSON.stringify(join(import.meta.dirname, '../../src/sandbox/fleet.ts'));
    const script = `import { fleetUp } from ${module_}; console.log('go'); await fleetUp(${JSON.stringify({ name, subnet })});`;
    const starting = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(starting.stdout, 'data');
    await sleep(afterMs);
    starting.kill('SIGKILL');
    await fleetDown(name);
    t.strictSame(await leftovers(new Set()), []);
  });
}

void t.test('an up after a killed up makes a whole fleet of what is there', async (t) => {
  const module_ = JSON.stringify(join(import.meta.dirname, '../../src/sandbox/fleet.ts'));
  const script = `import { fleetUp } from ${module_}; console.log('go'); await fleetUp(${JSON.stringify({ name, subnet })});`;
  const starting = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(starting.stdout, 'data');
  await sleep(250);
  starting.kill('SIGKILL');
  const fleet = await fleetUp({ name, subnet, servers: ['alpha', 'beta', 'gamma'] });
  t.strictSame(
    fleet.servers.map((server) => [server.name, server.sshRunning, server.dockerRunning]),
    [
      ['alpha', true, true],
      ['beta', true, true],
      ['gamma', true, true],
    ],
  );
});

/** What is on this machine of the fleet: processes in its namespaces, mounts, interfaces, rules, groups, files. */
async function leftovers(inside: ReadonlySet<string>): Promise<string[]> {
  const found: string[] = [];
  for (const { pid, argv } of await listProcesses()) {
    const own = [...(await namespaces([pid]))];
    if (argv.join(' ').includes(`${layout.dir}/`) || own.some((namespace) => inside.has(namespace))) {
      found.push(`process ${pid} ${argv.join(' ')} ${own.join(' ')}`);
    }
  }
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  found.push(...mounts.filter((mount) => mount.includes(layout.dir)));
  const links = await readdir('/sys/class/net');
  found.push(...links.filter((link) => link.startsWith(layout.interfacePrefix)));
  const rules = (await run(['iptables', '-S'], { reject: false })).stdout.split('\n');
  found.push(...rules.filter((rule) => rule.includes(layout.bridge)));
  const groups = (await run(['find', '/sys/fs/cgroup', '-name', `${layout.cgroupPrefix}*`], { reject: false })).stdout;
  found.push(...groups.split('\n').filter((group) => group !== ''));
  await access(layout.dir).then(
    () => found.push(layout.dir),
    () => undefined,
  );
  return found;
}

/** The process, network and mount namespaces of these processes. */
async function namespaces(pids: readonly number[]): Promise<Set<string>> {
  const paths = pids.flatMap((pid) => ['pid', 'net', 'mnt'].map((kind) => `/proc/${pid}/ns/${kind}`));
  const links = await Promise.all(paths.map((path) => readlink(path).catch(() => undefined)));
  return new Set(links.filter((link) => link !== undefined));
}

async function memoryLimits(): Promise<string[]> {
  const script = 'cat /sys/fs/cgroup/memory/"$1"/*/memory.limit_in_bytes || cat /sys/fs/cgroup/"$1"/*/memory.max';
  const group = `${layout.cgroupPrefix}alpha`;
  return (await fleetExec(name, 'alpha', ['sh', '-c', script, 'sh', group])).stdout.trim().split('\n');
}

/** Tries until the service behind a port that is just being published answers; a hang ends with a TimeoutError. */
async function get(url: string, timeoutMs = 10_000): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  for (;;) {
    try {
      return await (await fetch(url, { signal, headers: { connection: 'close' } })).text();
    } catch (error) {
      if (signal.aborted) throw error;
      await sleep(50);
    }
  }
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function sshExec(login: ConnectConfig, fingerprint: string): Promise<string> {
  const client = new Client();
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('ready', resolve).once('error', reject);
      client.connect({
        ...login,
        hostHash: 'sha256',
        hostVerifier: (hash: string) =>
          `SHA256:${Buffer.from(hash, 'hex').toString('base64').replace(/=+$/, '')}` === fingerprint,
      });
    });
    return await new Promise<string>((resolve, reject) => {
      client.exec('whoami', (error, channel) => {
        if (error) {
          reject(error);
          return;
        }
        let output = '';
        channel.on('data', (chunk: Buffer) => (output += chunk.toString()));
        channel.once('close', () => resolve(output));
      });
    });
  } finally {
    client.end();
  }
}

import t from 'tap';
import { captureContainer, inspectContainer } from '../../src/docker/container-capture.ts';
import { unsupportedBy } from '../../src/docker/container-body.ts';
import { diffCaptures } from '../../src/docker/container-diff.ts';
import { dockerCall } from '../../src/docker/api.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { captureImage } from '../../src/docker/image-capture.ts';
import { sendImage } from '../../src/docker/image-transfer.ts';
import type { ImageProgress, SendImageResult } from '../../src/docker/image-transfer.ts';
import {
  containerLogsTail,
  inspectState,
  setRestartPolicy,
  startContainer,
  waitHealthy,
} from '../../src/docker/lifecycle.ts';
import { readyToStop, stopContainer } from '../../src/docker/stop.ts';
import { ensureContainer, ensureNetwork, ensureVolume, removeMarked } from '../../src/docker/recreate.ts';
import type { Ensured } from '../../src/docker/recreate.ts';
import { captureService } from '../../src/docker/service-capture.ts';
import type { ServiceCapture } from '../../src/docker/service-capture.ts';
import { copyWritableLayer, readWritableChanges } from '../../src/docker/writable-layer.ts';
import { fleetDown, fleetExec, fleetUp, startService, stopService } from '../../src/sandbox/fleet.ts';
import { buildLayeredImage, importTinyImage } from '../../src/sandbox/image.ts';
import type { SshHost } from '../../src/ssh/ssh-host.ts';
import { logIn } from '../support/log-in.ts';

const FLEET = 't-docker';
const marks = { 'gridferry.io/transfer': '6b0c4e0a-uid' };
const noPull = { enabled: false, timeoutMs: 1000 };
const MiB = 1024 * 1024;

t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.42.0/24', servers: ['alpha', 'beta'] });

async function login(server: string, user: string): Promise<SshHost> {
  const found = fleet.servers.find(({ name }) => name === server);
  if (found === undefined) throw new Error(server);
  const host = await logIn(fleet, found, user);
  t.teardown(() => host.close());
  return host;
}

async function connect(server: string): Promise<Engine> {
  // In the docker group and not root: what most users give us.
  const engine = await connectEngine(await login(server, 'deploy'));
  t.teardown(() => engine.close());
  return engine;
}

const [alpha, beta] = await Promise.all([connect('alpha'), connect('beta')]);

async function docker(server: string, ...args: string[]): Promise<string> {
  return (await fleetExec(FLEET, server, ['docker', ...args])).stdout.trim();
}

const filler = (seed: number): Buffer => {
  const bytes = Buffer.alloc(4 * MiB);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(Math.imul(at + seed, 2654435761) >>> 0, at);
  return bytes;
};

const base = { files: { '/base.bin': filler(1) }, changes: ['CMD ["sleep","1000"]', 'STOPSIGNAL SIGKILL'] };
await Promise.all(['alpha', 'beta'].map((server) => importTinyImage(FLEET, server, 'base:1', base)));
await docker('alpha', 'save', '-o', '/tmp/base.tar', 'base:1');
await buildLayeredImage(FLEET, 'alpha', 'app:1', {
  from: 'base:1',
  layers: [{ '/app.bin': Buffer.alloc(MiB, 'app') }, { '/etc/app.conf': 'from the image\n' }],
  instructions: [
    'ENV FROM_IMAGE=yes',
    'VOLUME /imgvol',
    'EXPOSE 8080',
    'ENTRYPOINT ["/bin/sh","-c"]',
    'CMD ["sleep 1000"]',
  ],
});

async function idOf(reference: string): Promise<string> {
  return (await captureImage(alpha, reference)).id;
}

void t.test('images', async (t) => {
  const send = (reference: string, more: object = {}): Promise<SendImageResult> =>
    idOf(reference).then((imageId) => sendImage({ source: alpha, target: beta, imageId, pull: noPull, ...more }));

  await t.test('all of it, when the target shares no layer', async (t) => {
    // The two imports made the same files at different times: another layer, so nothing is shared yet.
    await docker('beta', 'rmi', 'base:1');
    const progress: ImageProgress[] = [];
    const sent = await send('base:1', { onProgress: (one: ImageProgress) => progress.push(one) });
    t.match(sent, { how: 'Whole', layersTotal: 1, layersSent: 1, bytesSkipped: 0, retagged: [] });
    t.ok(sent.bytesSent > 4 * MiB);
    t.ok(progress.every(({ bytesDone, bytesTotal }) => bytesDone <= bytesTotal));
    t.equal(progress.at(-1)?.bytesDone, sent.bytesSent);
  });

  await t.test('only the missing layers, when the base is there', async (t) => {
    const sent = await send('app:1');
    t.match(sent, { how: 'Layers', layersTotal: 3, layersSent: 2, fellThrough: [] });
    t.ok(sent.bytesSkipped > 4 * MiB, `${sent.bytesSkipped} bytes of the base were left out`);
    t.ok(sent.bytesSent < 1.2 * MiB, `${sent.bytesSent} bytes were sent`);
    t.equal((await captureImage(beta, 'app:1')).fingerprint, (await captureImage(alpha, 'app:1')).fingerprint);
    t.equal(
      await docker('beta', 'run', '--rm', '--entrypoint', '/bin/cat', 'app:1', '/etc/app.conf'),
      'from the image',
    );
    t.equal(await docker('beta', 'ps', '-aq'), '', 'the container that proved it is gone');
    t.equal(await docker('beta', 'volume', 'ls', '-q'), '', 'and its anonymous volumes');
  });

  await t.test('nothing, when it is there', async (t) => {
    t.match(await send('app:1'), { how: 'Present', layersSent: 0, bytesSent: 0 });
  });

  await t.test('a tag that meant another image there is moved, and told', async (t) => {
    await docker('beta', 'tag', 'base:1', 'app:2');
    await docker('alpha', 'tag', 'app:1', 'app:2');
    const previousId = (await captureImage(beta, 'base:1')).id;
    t.same((await send('app:1')).retagged, [{ reference: 'app:2', previousId }]);
    t.equal((await captureImage(beta, 'app:2')).id, await idOf('app:1'));
  });

  await t.test('a registry that cannot be reached is passed over', async (t) => {
    const image = await captureImage(alpha, 'app:1');
    t.same(image.repoDigests, []);
    t.same(
      (await send('app:1', { pull: { enabled: true, timeoutMs: 60_000 } })).fellThrough,
      [],
      'no digest, no attempt',
    );
  });

  await t.test('an abort in the middle leaves no image and no broken engine', async (t) => {
    await buildLayeredImage(FLEET, 'alpha', 'large:1', { from: 'base:1', layers: [{ '/large.bin': filler(7) }] });
    const controller = new AbortController();
    const sending = send('large:1', {
      signal: controller.signal,
      limit: 2 * MiB,
      onProgress: ({ bytesDone }: ImageProgress) => bytesDone > MiB && controller.abort(new Error('cancelled')),
    });
    await t.rejects(sending, { message: 'cancelled' });
    await t.rejects(captureImage(beta, 'large:1'), { code: 'GF_DOCKER_NOT_FOUND' });
    t.match(await send('large:1'), { how: 'Layers', layersSent: 1 });
  });
});

async function recreate(service: ServiceCapture): Promise<Ensured['how'][]> {
  const made: Ensured['how'][] = [];
  for (const network of service.networks) made.push((await ensureNetwork(beta, network, marks)).how);
  for (const volume of service.volumes) made.push((await ensureVolume(beta, volume, marks)).how);
  for (const container of service.containers) made.push((await ensureContainer(beta, container, marks)).how);
  return made;
}

void t.test('a container with everything configured', async (t) => {
  await fleetExec(FLEET, 'alpha', ['mkdir', '-p', '/srv/bind']);
  await fleetExec(FLEET, 'beta', ['mkdir', '-p', '/srv/bind']);
  await docker(
    'alpha',
    'network',
    'create',
    '--subnet',
    '172.31.0.0/24',
    '--gateway',
    '172.31.0.1',
    '--ip-range',
    '172.31.0.128/25',
    '--label',
    'a=b',
    '--attachable',
    'netone',
  );
  await docker('alpha', 'network', 'create', '--internal', 'nettwo');
  await docker('alpha', 'volume', 'create', '--label', 'v=1', 'named');
  await docker('alpha', 'volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', 'tmpvol');
  await docker('alpha', 'run', '-d', '--name', 'dep', '--network', 'netone', 'app:1');
  const options = `--env A=B --env EMPTY= --env SECRET=pa$ss --label l=m --user 0:0 -w /w2 -h myhost --domainname dom.test -t -i
    --expose 9000-9002/udp -p 18080:8080 -p 127.0.0.1:18081:8081/udp -p 8082 -p 18090-18091:8090-8091
    -v named:/data:ro -v /anon -v /srv/bind:/b:ro -v tmpvol:/tv:nocopy --mount type=bind,src=/srv/bind,dst=/b2,readonly
    --mount type=volume,src=named,dst=/data2,volume-nocopy --mount type=volume,dst=/anon2 --mount type=tmpfs,dst=/t2,tmpfs-size=1000000,tmpfs-mode=0700
    --tmpfs /t1:rw,size=1m --volumes-from dep --network netone --network-alias al1 --ip 172.31.0.200 --link dep:d
    --restart on-failure:3 -m 64m --memory-reservation 32m --memory-swap 128m --cpus 0.5 --cpu-shares 512 --cpuset-cpus 0 --pids-limit 50
    --shm-size 8m --cap-add NET_ADMIN --cap-drop MKNOD --security-opt no-new-privileges --security-opt seccomp=unconfined
    --ulimit nofile=100:200 --device /dev/null:/dev/xnull:r --log-driver json-file --log-opt max-size=1m --health-interval 5s --health-cmd true
    --stop-signal SIGINT --stop-timeout 3 --add-host h:1.2.3.4 --dns 1.1.1.1 --dns-search s.test --dns-option ndots:2 --init --ipc shareable
    --pid container:dep --cgroupns private --read-only --group-add 29 --oom-score-adj 10 --memory-swappiness 0 --sysctl net.ipv4.ip_unprivileged_port_start=0`;
  await docker(
    'alpha',
    'create',
    '--name',
    'full',
    ...options.split(/\s+/),
    '--entrypoint',
    '',
    'app:1',
    'sleep',
    '500',
  );
  await docker('alpha', 'network', 'connect', '--alias', 'al2', 'nettwo', 'full');
  await docker('alpha', 'start', 'full');
  const captured = await captureService(alpha, { containers: ['full', 'dep'] });
  // Newer command lines refuse --mac-address with this engine; the API takes it.
  const withMac = captured.containers.map((container) =>
    container.name === 'full'
      ? {
          ...container,
          networks: container.networks.map((one, at) => (at === 0 ? { ...one, mac: '02:42:ac:1f:00:c8' } : one)),
        }
      : container,
  );
  const service = { ...captured, containers: withMac };

  await t.test('is captured with its surroundings, in start order', async (t) => {
    t.same(
      service.containers.map(({ name }) => name),
      ['dep', 'full'],
    );
    t.same(
      service.networks.map(({ name }) => name),
      ['netone', 'nettwo'],
    );
    t.equal(service.volumes.filter(({ anonymous }) => anonymous).length, 3);
    t.match(service.binds, [{ path: '/srv/bind', type: 'directory', readOnly: true, hostSpecific: false }]);
    t.same(service.missing, []);
    const full = service.containers[1];
    t.same(full && unsupportedBy(full, beta.info), []);
  });

  await t.test('is made anew without a difference, and twice is once', async (t) => {
    t.ok((await recreate(service)).every((how) => how === 'Created'));
    for (const container of service.containers) {
      const copy = await captureContainer(beta, container.name);
      t.same(diffCaptures(container, copy, { ignoreLabels: Object.keys(marks) }), [], container.name);
      t.notOk(copy.running);
    }
    t.ok((await recreate(service)).every((how) => how === 'Present'));
  });

  await t.test('runs there, in all its networks', async (t) => {
    for (const { name } of service.containers) {
      t.same(await startContainer(beta, name), { started: true });
      t.same(await startContainer(beta, name), { started: false });
    }
    const raw = await inspectContainer(beta, 'full');
    t.same(Object.keys(raw.NetworkSettings?.Networks ?? {}).sort(), ['netone', 'nettwo']);
    t.equal(await docker('beta', 'exec', 'full', '/bin/sh', '-c', 'echo $SECRET'), 'pa$ss');
    t.ok(
      (await recreate(service)).every((how) => how === 'Present'),
      'a running one of ours is left alone',
    );
    for (const container of service.containers) {
      t.same(
        diffCaptures(container, await captureContainer(beta, container.name), { ignoreLabels: Object.keys(marks) }),
        [],
      );
    }
  });

  await t.test('is made again when it was left half done', async (t) => {
    const [dep, full] = service.containers;
    await docker('beta', 'network', 'disconnect', '-f', 'nettwo', 'full');
    t.equal((await ensureContainer(beta, full!, marks)).how, 'Recreated');
    await docker('beta', 'rm', '-f', 'dep');
    t.equal((await ensureContainer(beta, dep!, marks)).how, 'Created');
    t.equal(
      (await ensureContainer(beta, full!, marks)).how,
      'Recreated',
      'it shared the process ids of one that is gone',
    );
  });

  await t.test('goes away with its marks, and nothing else does', async (t) => {
    await docker('beta', 'volume', 'create', 'foreign');
    await docker('beta', 'create', '--name', 'bystander', '--label', 'gridferry.io/transfer=other', 'app:1');
    const removed = await removeMarked(beta, marks, ['containers', 'networks']);
    t.same(removed.containers.sort(), ['dep', 'full']);
    t.same(removed.networks.sort(), ['netone', 'nettwo']);
    t.same(removed.volumes, [], 'volumes only when asked');
    t.equal(
      (await removeMarked(beta, marks, ['containers', 'networks', 'volumes'])).volumes.length,
      service.volumes.length,
    );
    t.same(await removeMarked(beta, marks, ['containers', 'networks', 'volumes']), {
      containers: [],
      networks: [],
      volumes: [],
    });
    t.equal(await docker('beta', 'ps', '-a', '--format', '{{.Names}}'), 'bystander');
    t.match(await docker('beta', 'volume', 'ls', '-q'), /foreign/);
  });

  await t.test('does not take a name that somebody else has', async (t) => {
    await docker('beta', 'create', '--name', 'full', 'app:1');
    await docker('beta', 'volume', 'create', 'named');
    await docker('beta', 'network', 'create', 'nettwo');
    const [netone, nettwo] = service.networks;
    const named = service.volumes.find(({ name }) => name === 'named')!;
    await t.rejects(ensureContainer(beta, service.containers[1]!, marks), { code: 'GF_DOCKER_NAME_TAKEN' });
    await t.rejects(ensureVolume(beta, named, marks), { code: 'GF_DOCKER_NAME_TAKEN' });
    await t.rejects(ensureNetwork(beta, nettwo!, marks), { code: 'GF_DOCKER_NAME_TAKEN' });
    await docker('beta', 'network', 'create', '--subnet', '172.31.0.0/24', 'squatter');
    await t.rejects(ensureNetwork(beta, netone!, marks), { code: 'GF_DOCKER_SUBNET_TAKEN' });
    t.equal((await ensureNetwork(beta, netone!, marks, { subnets: 'any' })).how, 'Created');
    await removeMarked(beta, marks, ['networks']);
    await docker('beta', 'rm', '-f', 'full', 'bystander');
    await docker('beta', 'network', 'rm', 'nettwo', 'squatter');
  });
  await docker('alpha', 'rm', '-fv', 'full', 'dep');
});

void t.test('a compose project, told by its labels', async (t) => {
  const label = (service: string, after = '', oneOff = 'False'): string[] =>
    Object.entries({
      project: 'shop',
      service,
      oneoff: oneOff,
      'container-number': '1',
      depends_on: after,
      'project.working_dir': '/srv/shop',
      'project.config_files': '/srv/shop/compose.yaml',
    }).flatMap(([key, value]) => ['--label', `com.docker.compose.${key}=${value}`]);
  await docker('alpha', 'network', 'create', '--label', 'com.docker.compose.project=shop', 'shop_default');
  const run = (name: string, labels: string[], ...more: string[]): Promise<string> =>
    docker('alpha', 'run', '-d', '--name', name, '--network', 'shop_default', ...labels, ...more, 'base:1');
  await run(
    'shop-web-1',
    label('web', 'db:service_healthy:true'),
    '-v',
    '/var/run/docker.sock:/var/run/docker.sock:ro',
  );
  await run('shop-db-1', label('db'), '-v', 'shop_data:/data');
  await run('shop-job-1', label('job', 'web:service_started:true'));
  await docker('alpha', 'stop', 'shop-job-1');
  await run('shop-web-run-1', label('web', '', 'True'));
  const shop = await captureService(alpha, { composeProject: 'shop' });
  t.same(
    shop.containers.map(({ name, running }) => [name, running]),
    [
      ['shop-db-1', true],
      ['shop-web-1', true],
      ['shop-job-1', false],
    ],
  );
  t.same(shop.compose, {
    project: 'shop',
    workingDir: '/srv/shop',
    configFiles: ['/srv/shop/compose.yaml'],
    envFiles: [],
  });
  t.match(shop.binds, [{ path: '/var/run/docker.sock', type: 'other', hostSpecific: true }]);
  t.same(
    shop.volumes.map(({ name, copyMode }) => [name, copyMode]),
    [['shop_data', 'copy']],
  );
  await t.rejects(captureService(alpha, { composeProject: 'nosuch' }), { code: 'GF_DOCKER_PROJECT_EMPTY' });
  t.ok((await recreate(shop)).every((how) => how === 'Created'));
  await removeMarked(beta, marks, ['containers', 'networks', 'volumes']);
  await docker('alpha', 'rm', '-fv', 'shop-web-1', 'shop-db-1', 'shop-job-1', 'shop-web-run-1');
});

void t.test('the life of a container', async (t) => {
  const always = { name: 'always', maximumRetryCount: 0 };
  const never = { name: 'no', maximumRetryCount: 0 };

  await t.test('it stops by its own signal, is seen gone before Docker says so, and only once', async (t) => {
    const trap = 'trap "echo bye; exit 7" TERM; while :; do sleep 0.05; done';
    await docker(
      'alpha',
      'run',
      '-d',
      '--name',
      'trap',
      '--restart',
      'always',
      '-p',
      '18200:80',
      '--entrypoint',
      '/bin/sh',
      '--stop-signal',
      'TERM',
      'base:1',
      '-c',
      trap,
    );
    t.same(await setRestartPolicy(alpha, 'trap', never), always);
    t.same(await setRestartPolicy(alpha, 'trap', never), never);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const ready = await readyToStop(alpha, ['trap']);
    const stopping = ready.stop('trap');
    await stopping.gone;
    const stopped = await stopping.settled;
    ready.close();
    t.match(stopped, { wasRunning: true, exitCode: 7 });
    const { processGoneMs, stoppedMs } = stopped.timings;
    t.ok(processGoneMs <= stoppedMs);
    t.comment(`gone ${processGoneMs.toFixed(0)} ms, Docker done ${stoppedMs.toFixed(0)} ms after the stop call`);
    t.equal((await containerLogsTail(alpha, 'trap')).trim(), 'bye');
    t.match(await stopContainer(alpha, 'trap'), { wasRunning: false, exitCode: 7 });
    t.match(await inspectState(alpha, 'trap'), { running: false, restartPolicy: never, pid: 0 });
  });

  await t.test('a frozen one is stopped too, and a timeout ends in a kill', async (t) => {
    await docker('alpha', 'run', '-d', '--name', 'stubborn', '--stop-signal', 'TERM', '--stop-timeout', '1', 'base:1');
    await docker('alpha', 'pause', 'stubborn');
    t.match(await stopContainer(alpha, 'stubborn'), { wasRunning: true, exitCode: 137 });
  });

  await t.test('it is healthy, unhealthy, or gone, and its secrets are not told', async (t) => {
    const check = (name: string, cmd: string, ...more: string[]): Promise<string> =>
      docker(
        'alpha',
        'run',
        '-d',
        '--name',
        name,
        '--env',
        'TOKEN=s3cr3t-value',
        '--health-interval',
        '0.2s',
        '--health-retries',
        '1',
        '--health-cmd',
        cmd,
        ...more,
        'base:1',
      );
    await check('well', 'true');
    t.match(await waitHealthy(alpha, 'well', { timeoutMs: 10_000 }), { health: 'Healthy' });
    await check('ill', 'echo cannot log in with $TOKEN; exit 1');
    const error: unknown = await waitHealthy(alpha, 'ill', { timeoutMs: 10_000 }).catch((caught: unknown) => caught);
    t.match(error, { code: 'GF_CONTAINER_UNHEALTHY', message: /cannot log in with \[redacted\]/ });
    await check('slow', 'true', '--health-start-period', '60s', '--health-interval', '60s');
    await t.rejects(waitHealthy(alpha, 'slow', { timeoutMs: 300 }), { code: 'GF_CONTAINER_HEALTH_TIMEOUT' });
    await docker('alpha', 'run', '-d', '--name', 'brief', '--entrypoint', '/bin/sh', 'base:1', '-c', 'exit 3');
    await docker('alpha', 'wait', 'brief');
    await t.rejects(waitHealthy(alpha, 'brief'), { code: 'GF_CONTAINER_EXITED', message: /exit code 3/ });
  });

  await t.test('a port that is taken is named as such', async (t) => {
    await docker('alpha', 'run', '-d', '--name', 'holder', '-p', '18300:80', 'base:1');
    await docker('alpha', 'create', '--name', 'wants', '-p', '18300:80', 'base:1');
    await t.rejects(startContainer(alpha, 'wants'), { code: 'GF_DOCKER_PORT_TAKEN' });
  });
  await docker('alpha', 'rm', '-fv', 'trap', 'stubborn', 'well', 'ill', 'slow', 'brief', 'holder', 'wants');
});

void t.test('what a container wrote outside its volumes goes along, owners and modes too', async (t) => {
  const script = `mkdir -p /new/deep /opt/mix && echo a > /new/deep/f && chown 12:34 /new/deep/f && chmod 640 /new/deep/f &&
    ln -s deep/f /new/link && ln /new/deep/f /new/hard && echo changed > /etc/app.conf && rm /app.bin && echo keep > /opt/mix/keep &&
    echo v > /opt/mix/vol/in-volume && echo x > /tmp/gone && sleep 1000`;
  await docker('alpha', 'run', '-d', '--name', 'writer', '-v', 'wvol:/opt/mix/vol', 'app:1', script);
  await new Promise((resolve) => setTimeout(resolve, 700));
  const changes = await readWritableChanges(alpha, 'writer');
  t.same(changes.changed, ['/etc/app.conf']);
  t.same(changes.deleted, ['/app.bin']);
  t.notOk(changes.added.some((path) => path.includes('vol/') || path.startsWith('/tmp')));
  const writer = await captureService(alpha, { container: 'writer' });
  await recreate(writer);
  for (let round = 0; round < 2; round += 1) {
    const copied = await copyWritableLayer(alpha, 'writer', beta, 'writer', changes);
    t.match(copied, { paths: 5, deleted: ['/app.bin'], skipped: [] });
  }
  const look =
    'stat -c "%n %u:%g %a %h" /new/deep/f; readlink /new/link; cat /etc/app.conf /opt/mix/keep; ls /opt/mix/vol /tmp';
  await dockerCall(beta, {
    method: 'POST',
    path: ['commit'],
    query: { container: 'writer', repo: 'seen', tag: '1' },
    doing: 'commit',
  });
  const seen = await docker('beta', 'run', '--rm', '--entrypoint', '/bin/sh', 'seen:1', '-c', look);
  t.same(
    seen.split('\n').filter((line) => line.trim() !== ''),
    ['/new/deep/f 12:34 640 2', 'deep/f', 'changed', 'keep', '/opt/mix/vol:', '/tmp:'],
  );
  await removeMarked(beta, marks, ['containers', 'volumes']);
  await docker('alpha', 'rm', '-fv', 'writer');
});

void t.test('an engine that cannot be used says why', async (t) => {
  await fleetExec(FLEET, 'beta', ['chgrp', 'root', '/var/run/docker.sock']);
  await t.rejects(connectEngine(await login('beta', 'deploy')), {
    code: 'GF_DOCKER_PERMISSION',
    message: /docker group/,
  });
  await fleetExec(FLEET, 'beta', ['chgrp', 'docker', '/var/run/docker.sock']);
  await t.rejects(connectEngine(await login('beta', 'deploy'), { socketPath: '/nonexistent.sock' }), {
    code: 'GF_DOCKER_MISSING',
  });
  await stopService(FLEET, 'beta', 'dockerd');
  await t.rejects(captureContainer(beta, 'full'), { code: 'GF_DOCKER_UNREACHABLE', class: 'retryable' });
  await t.rejects(connectEngine(await login('beta', 'deploy')), { code: /GF_DOCKER_(?:UNREACHABLE|MISSING)/ });
  await startService(FLEET, 'beta', 'dockerd');
  await t.rejects(captureContainer(beta, 'full'), { code: 'GF_DOCKER_NOT_FOUND' }, 'the old client goes on');
});

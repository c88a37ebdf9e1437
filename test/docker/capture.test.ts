import t from 'tap';
import { belongsToSwarm, createRequest, isRemovedOnStop, unsupportedBy } from '../../src/docker/container-body.ts';
import { toCapture } from '../../src/docker/container-capture.ts';
import type { ContainerCapture } from '../../src/docker/container-capture.ts';
import { diffCaptures } from '../../src/docker/container-diff.ts';
import { without } from '../../src/docker/compact.ts';
import type { RawContainer } from '../../src/docker/container-types.ts';
import { atLeast } from '../../src/docker/engine.ts';
import {
  diffNetworkCaptures,
  networkBody,
  networkUnsupportedBy,
  toNetworkCapture,
} from '../../src/docker/network-capture.ts';
import { diffVolumeCaptures, toVolumeCapture } from '../../src/docker/volume-capture.ts';
import { capture, containers, facts, networks, volumes } from './fixtures.ts';

void t.test('a container with everything configured', (t) => {
  const full = capture('full');

  void t.test('is plain JSON: it survives being stored', async (t) => {
    t.same(JSON.parse(JSON.stringify(full)), full);
  });

  void t.test('names other containers, not their ids', async (t) => {
    t.equal(full.hostConfig['PidMode'], 'container:dep');
    t.same(full.needs, [
      { container: 'dep', why: 'pid' },
      { container: 'dep', why: 'link' },
      { container: 'dep', why: 'volumesFrom' },
    ]);
  });

  void t.test('keeps explicit ports explicit and ephemeral ones ephemeral', async (t) => {
    const ports = full.hostConfig['PortBindings'] as Record<string, { HostIp: string; HostPort: string }[]>;
    t.same(ports['8080/tcp'], [{ HostIp: '', HostPort: '18080' }]);
    t.same(ports['8081/udp'], [{ HostIp: '127.0.0.1', HostPort: '18081' }]);
    t.same(ports['8082/tcp'], [{ HostIp: '', HostPort: '' }]);
  });

  void t.test('has every mount once, those from other containers and from the image made explicit', async (t) => {
    t.same(
      full.mounts.map((mount) => `${mount.kind} ${mount.destination}${mount.readOnly ? ' ro' : ''}`),
      [
        'volume /anon',
        'volume /anon2',
        'bind /b ro',
        'bind /b2 ro',
        'volume /data ro',
        'volume /data2',
        'volume /drv',
        'volume /imgvol',
        'tmpfs /t1',
        'tmpfs /t2',
        'volume /tv',
      ],
    );
    const shared = full.mounts.find(({ destination }) => destination === '/imgvol');
    const owner = capture('dep').mounts.find(({ destination }) => destination === '/imgvol');
    t.ok(shared?.kind === 'volume' && shared.anonymous);
    t.same(shared, owner, 'the very volume of the container it came from');
    t.notOk('VolumesFrom' in full.hostConfig);
  });

  void t.test('has of its networks what was asked for, not what Docker gave', async (t) => {
    t.same(full.networks, [
      { network: 'netone', aliases: ['al1'], links: ['dep:d'], ipv4: '172.31.0.200', mac: '02:42:ac:1f:00:c8' },
      { network: 'nettwo', aliases: ['al2'], links: [] },
    ]);
  });

  void t.test('leaves the engine’s own defaults to the engine', async (t) => {
    for (const field of ['Runtime', 'MaskedPaths', 'ReadonlyPaths', 'ConsoleSize'])
      t.notOk(field in full.hostConfig, field);
    t.equal(full.hostConfig['CgroupnsMode'], 'private', 'with cgroup v1 this was a choice');
    t.notOk('CgroupnsMode' in capture('full', { cgroupVersion: 2 }).hostConfig);
    t.notOk('Hostname' in capture('plain').config, 'generated');
    t.equal(full.config['Hostname'], 'myhost');
  });

  void t.test('does not differ from itself, nor from a copy with other generated values', async (t) => {
    t.same(diffCaptures(full, full), []);
    const copy = structuredClone(containers.full) as unknown as Record<string, Record<string, unknown>>;
    (copy as unknown as { Id: string }).Id = 'f'.repeat(64);
    const endpoints = (copy['NetworkSettings'] as { Networks: Record<string, Record<string, unknown>> }).Networks;
    for (const endpoint of Object.values(endpoints)) {
      Object.assign(endpoint, { EndpointID: 'x', IPAddress: '10.9.9.9', Gateway: '10.9.9.1' });
      endpoint['Aliases'] = (endpoint['Aliases'] as string[]).map((alias) =>
        /^[0-9a-f]{12}$/.test(alias) ? 'f'.repeat(12) : alias,
      );
    }
    const other = toCapture(copy as unknown as RawContainer, facts(), () => 'dep');
    t.same(diffCaptures(full, other), []);
  });

  void t.test('a difference is named, and never quoted', async (t) => {
    const changed: ContainerCapture = {
      ...full,
      env: [...full.env, 'NEW=very-secret'],
      hostConfig: { ...full.hostConfig, Memory: 1, CapAdd: ['CAP_NET_ADMIN'] },
      restartPolicy: { name: 'always', maximumRetryCount: 0 },
      mounts: full.mounts.slice(1),
      networks: full.networks.map((one) => ({ ...one, aliases: ['other'] })),
    };
    const differences = diffCaptures(full, changed);
    t.same(differences, [
      'env',
      'hostConfig.Memory',
      'restartPolicy',
      'mounts./anon',
      'networks.netone.aliases',
      'networks.nettwo.aliases',
    ]);
    t.notMatch(differences.join(), 'very-secret');
  });

  void t.test('labels that mark a copy are not a difference, others are', async (t) => {
    const marked = { ...full, config: { ...full.config, Labels: { l: 'm', 'org.test': 'img', mark: '1' } } };
    t.same(diffCaptures(full, marked), ['config.Labels']);
    t.same(diffCaptures(full, marked, { ignoreLabels: ['mark'] }), []);
  });

  void t.test('an image of the same name but with another id is another image', async (t) => {
    const moved = { ...full, image: { ...full.image, id: 'sha256:other' } };
    t.same(diffCaptures(full, moved), ['image']);
    const elsewhere = { ...moved, image: { ...moved.image, store: 'containerd' } };
    t.same(diffCaptures(full, elsewhere), [], 'ids of different stores cannot be compared');
  });
  t.end();
});

void t.test('the create request', (t) => {
  const full = capture('full');

  void t.test('attaches one network with the old API, and the rest afterwards', async (t) => {
    const { body, connectAfter } = createRequest(full, '1.41', { labels: { mark: '1' } });
    const networking = body['NetworkingConfig'] as { EndpointsConfig: Record<string, unknown> };
    t.same(Object.keys(networking.EndpointsConfig), ['netone']);
    t.same(
      connectAfter.map(({ network }) => network),
      ['nettwo'],
    );
    t.equal(body['MacAddress'], '02:42:ac:1f:00:c8');
    t.match(body['Labels'], { l: 'm', mark: '1' });
  });

  void t.test('attaches all of them at once from 1.44 on, with the MAC address where it belongs', async (t) => {
    const { body, connectAfter } = createRequest(full, '1.44');
    const { EndpointsConfig } = body['NetworkingConfig'] as {
      EndpointsConfig: Record<string, { MacAddress?: string }>;
    };
    t.same(Object.keys(EndpointsConfig), ['netone', 'nettwo']);
    t.equal(EndpointsConfig['netone']?.MacAddress, '02:42:ac:1f:00:c8');
    t.notOk('MacAddress' in body);
    t.same(connectAfter, []);
  });

  void t.test('says "no entrypoint" aloud, lest the image’s comes back', async (t) => {
    const config = without(full.config, ['Entrypoint']);
    t.same(createRequest({ ...full, config }, '1.41').body['Entrypoint'], ['']);
    t.same(createRequest(full, '1.41').body['Entrypoint'], ['/bin/sh']);
  });

  void t.test('gives no endpoint to a container without a network of its own', async (t) => {
    for (const networkMode of ['host', 'none', 'container:dep']) {
      t.notOk('NetworkingConfig' in createRequest({ ...full, networkMode }, '1.44').body, networkMode);
    }
  });
  t.end();
});

void t.test('what an engine cannot do is named', async (t) => {
  const full = capture('full');
  t.same(unsupportedBy(full, facts()), []);
  const demanding: ContainerCapture = {
    ...full,
    hostConfig: { ...full.hostConfig, Annotations: { a: 'b' }, Runtime: 'nvidia', Memory: 1 },
    config: { ...full.config, Healthcheck: { StartInterval: 5 } },
  };
  const says = unsupportedBy(demanding, facts({ missingLimits: ['memory'], cgroupVersion: 2, arch: 'arm64' })).join(
    '\n',
  );
  for (const word of ['Annotations', 'StartInterval', 'nvidia', 'Memory', 'MemorySwappiness', 'arm64'])
    t.match(says, word);
  t.notOk(isRemovedOnStop(full) || belongsToSwarm(full));
  t.ok(isRemovedOnStop({ ...full, hostConfig: { AutoRemove: true } }));
  t.ok(belongsToSwarm({ ...full, config: { Labels: { 'com.docker.swarm.service.id': 'x' } } }));
});

void t.test('API versions are compared as numbers', async (t) => {
  t.ok(atLeast('1.41', '1.9'));
  t.notOk(atLeast('1.40', '1.41'));
  t.ok(atLeast('2.0', '1.52'));
});

void t.test('a network', async (t) => {
  const netone = toNetworkCapture(networks.netone);
  t.same(netone.ipam.pools, [
    { subnet: '172.31.0.0/24', gateway: '172.31.0.1', range: '172.31.0.128/25', auxiliary: { x: '172.31.0.9' } },
  ]);
  t.ok(toNetworkCapture(networks.bridge).builtin);
  t.same(
    diffNetworkCaptures(netone, { ...netone, id: 'other', labels: { ...netone.labels, mark: '1' } }, ['mark']),
    [],
  );
  t.same(diffNetworkCaptures(netone, { ...netone, internal: true }), ['internal']);
  t.match(networkBody(netone, { mark: '1' }, true), {
    CheckDuplicate: true,
    Labels: { a: 'b', mark: '1' },
    Attachable: true,
  });
  t.notOk('Config' in (networkBody(netone, {}, false)['IPAM'] as object), 'the engine may choose the addresses');
  t.match(networkUnsupportedBy({ ...netone, driver: 'weave' }, facts())[0], 'weave');
});

void t.test('how a volume’s content moves depends on what it is', async (t) => {
  const of = (driver: string, options: Record<string, string>): string =>
    toVolumeCapture({ ...volumes.named, Driver: driver, Options: options }).copyMode;
  t.equal(of('local', {}), 'copy');
  t.equal(of('local', { type: 'none', o: 'bind', device: '/srv/data' }), 'copy');
  t.equal(of('local', { type: 'nfs4', o: 'addr=10.0.0.1', device: ':/x' }), 'reattach');
  t.equal(of('local', { type: 'cifs', device: '//a/b' }), 'reattach');
  t.equal(of('local', { type: 'ext4', device: '/dev/sdb1' }), 'unsupported');
  t.equal(of('rexray', {}), 'unsupported');
  t.equal(toVolumeCapture(volumes.tmpvol).copyMode, 'none');
  const named = toVolumeCapture(volumes.named);
  t.same(diffVolumeCaptures(named, { ...named, mountpoint: '/elsewhere' }), []);
  t.same(diffVolumeCaptures(named, { ...named, options: { type: 'nfs' } }), ['options']);
});

import t from 'tap';
import { checks } from '../../../../controllers/transfer/preflight/checks.ts';
import type { ListedContainer, PreflightFacts } from '../../../../controllers/transfer/preflight/facts.ts';
import { capture, facts as engineFacts } from '../../../docker/fixtures.ts';

const plain = capture('plain');
const container = {
  ...plain,
  name: 'web',
  running: true,
  state: { ...plain.state, paused: false },
  platform: 'linux/amd64',
  hostConfig: { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] } },
  networks: [{ network: 'lan', aliases: [], links: [], ipv4: '172.30.0.5' }],
};
const listed = (name: string, more: Partial<ListedContainer> = {}): ListedContainer => ({
  name,
  running: true,
  own: false,
  labels: {},
  ports: [],
  volumes: [],
  ...more,
});
const network = (name: string, subnet: string) => ({
  name,
  builtin: false,
  driver: 'bridge',
  scope: 'local',
  ipv4: true,
  options: {},
  ipam: { driver: 'default', options: {}, pools: [{ subnet }] },
});
const image = { id: 'sha256:1', references: ['web:1'], os: 'linux', architecture: 'amd64', size: 100e6 };
const GIB = 2 ** 30;

/** Facts with which nothing is in the way, changed. */
function factsWith(change: Record<string, unknown> = {}, captured: Record<string, unknown> = {}): PreflightFacts {
  return {
    capture: {
      containers: [container],
      networks: [network('lan', '172.30.0.0/16')],
      volumes: [{ name: 'data', copyMode: 'copy', driver: 'local' }],
      binds: [],
      images: [image],
      missing: [],
      ...captured,
    },
    data: [],
    volumes: [{ name: 'data', bytesTotal: 500e6, files: 1000 }],
    sourceName: 'alpha',
    targetName: 'beta',
    sourceEngine: engineFacts(),
    targetEngine: engineFacts(),
    sourceContainers: [listed('web', { volumes: [{ name: 'data', writable: true }] })],
    targetContainers: [],
    targetNetworks: [network('other', '172.31.0.0/16')],
    ownNetworks: new Set<string>(),
    targetVolumes: [],
    targetPaths: [],
    targetHost: { listeningTcp: [{ address: '0.0.0.0', port: 22 }] },
    targetDisk: { mountPoint: '/', freeBytes: 10 * GIB, totalInodes: 1e6, freeInodes: 9e5 },
    targetPathDisks: new Map(),
    dnsBlocker: undefined,
    targetLayers: new Set<string>(),
    ...change,
  } as unknown as PreflightFacts;
}

const blockers = (facts: PreflightFacts) =>
  checks.flatMap((check) => check.run(facts).map((one) => ({ check: check.name, ...one })));

void t.test('nothing is in the way of an ordinary move', async (t) => {
  t.same(blockers(factsWith()), []);
});

/** By check: facts that it refuses, alone, and what its message has to name. */
const refused: Readonly<Record<string, readonly (readonly [string, PreflightFacts, RegExp])[]>> = {
  running: [
    [
      'nothing runs',
      factsWith({}, { containers: [{ ...container, running: false }] }),
      /web does not run on server alpha: start it/,
    ],
  ],
  paused: [
    [
      'paused',
      factsWith({}, { containers: [{ ...container, state: { ...container.state, paused: true } }] }),
      /docker unpause web/,
    ],
  ],
  'auto-remove': [
    ['--rm', factsWith({}, { containers: [{ ...container, hostConfig: { AutoRemove: true } }] }), /--rm/],
  ],
  swarm: [
    [
      'a swarm service',
      factsWith({}, { containers: [{ ...container, config: { Labels: { 'com.docker.swarm.service.name': 'x' } } }] }),
      /swarm/,
    ],
  ],
  dependencies: [
    [
      'a link',
      factsWith({}, { missing: [{ container: 'db', why: 'link', neededBy: 'web' }] }),
      /web needs container db \(link\)/,
    ],
  ],
  'shared-volumes': [
    [
      'another container writes there, too',
      factsWith({
        sourceContainers: [listed('web'), listed('backup', { volumes: [{ name: 'data', writable: true }] })],
      }),
      /volume data is also used by container backup/,
    ],
  ],
  architecture: [
    [
      'arm64 image',
      factsWith({}, { images: [{ ...image, architecture: 'arm64' }] }),
      /web:1 is for linux\/arm64, server beta is linux\/amd64/,
    ],
  ],
  'engine-kind': [
    [
      'podman',
      factsWith({ targetEngine: engineFacts({ podman: true }) }),
      /server beta has Podman behind its Docker socket/,
    ],
    ['rootless', factsWith({ sourceEngine: engineFacts({ rootless: true }) }), /engine of server alpha is rootless/],
  ],
  'networks-supported': [
    [
      'no IPv4',
      factsWith(
        { targetEngine: engineFacts({ apiVersion: '1.41' }) },
        { networks: [{ ...network('lan', '172.30.0.0/16'), ipv4: false }] },
      ),
      /network lan: .* a network without IPv4 needs API 1.48, this engine has 1.41/,
    ],
    [
      'an option',
      factsWith(
        { targetEngine: engineFacts({ apiVersion: '1.41' }) },
        {
          networks: [
            { ...network('lan', '172.30.0.0/16'), options: { 'com.docker.network.bridge.gateway_mode_ipv4': 'nat' } },
          ],
        },
      ),
      /gateway_mode_ipv4 needs API 1.46/,
    ],
    [
      'a driver',
      factsWith({}, { networks: [{ ...network('lan', '172.30.0.0/16'), driver: 'weave' }] }),
      /the network driver weave is not installed/,
    ],
    [
      'overlay',
      factsWith({}, { networks: [{ ...network('lan', '172.30.0.0/16'), scope: 'swarm' }] }),
      /belongs to a swarm/,
    ],
  ],
  dns: [
    [
      'not ours',
      factsWith({ dnsBlocker: { code: 'GF_DNS_NOT_OURS', message: 'web.example.com points elsewhere' } }),
      /points elsewhere/,
    ],
  ],
  engine: [
    [
      'other platform',
      factsWith({}, { containers: [{ ...container, platform: 'linux/s390x' }] }),
      /container web: .*server beta/,
    ],
  ],
  'volume-drivers': [
    [
      'a driver',
      factsWith({}, { volumes: [{ name: 'nfs', copyMode: 'unsupported', driver: 'rexray' }] }),
      /volume nfs .*driver rexray/,
    ],
  ],
  'container-names': [
    ['a namesake', factsWith({ targetContainers: [listed('web')] }), /already has a container named web/],
  ],
  volumes: [
    ['with data', factsWith({ targetVolumes: [{ name: 'data', own: false, empty: false }] }), /data with data in it/],
    ['empty', factsWith({ targetVolumes: [{ name: 'data', own: false, empty: true }] }), /docker volume rm data/],
  ],
  paths: [
    [
      'occupied',
      factsWith({ targetPaths: [{ name: '/srv', state: 'Occupied', missingFolders: [] }] }),
      /already has \/srv/,
    ],
    ['unreadable', factsWith({ targetPaths: [{ name: '/srv', state: 'Unreadable', missingFolders: [] }] }), /sudo/],
  ],
  ports: [
    [
      'by a container',
      factsWith({
        targetContainers: [listed('proxy', { ports: [{ address: '0.0.0.0', port: 8080, protocol: 'tcp' }] })],
      }),
      /port 8080\/tcp of container web is taken on server beta by container proxy/,
    ],
    [
      'by a program',
      factsWith({ targetHost: { listeningTcp: [{ address: '127.0.0.1', port: 8080 }] } }),
      /by another program/,
    ],
  ],
  networks: [
    [
      'overlapping',
      factsWith({ targetNetworks: [network('old', '172.30.128.0/17')] }),
      /172\.30\.0\.0\/16 of network lan overlaps network old/,
    ],
  ],
  disk: [
    ['bytes', factsWith({ targetDisk: { freeBytes: 600e6, totalInodes: 0, freeInodes: 0 } }), /free at .* are needed/],
    [
      'inodes',
      factsWith({ targetDisk: { freeBytes: 10 * GIB, totalInodes: 1000, freeInodes: 999 } }),
      /999 inodes free .* 1000 files/,
    ],
    [
      'where a path is, although there is room in the folder of Docker',
      factsWith({
        volumes: [{ name: '/srv/site', bytesTotal: 500e6, files: 10 }],
        targetPathDisks: new Map([
          ['/srv/site', { mountPoint: '/srv', freeBytes: 400e6, totalInodes: 0, freeInodes: 0 }],
        ]),
      }),
      /free at \/srv\/site, and .* are needed: make room/,
    ],
  ],
};

void t.test('every check has facts here that it refuses', async (t) => {
  t.same(Object.keys(refused).sort(), checks.map(({ name }) => name).sort());
});

for (const [name, examples] of Object.entries(refused)) {
  for (const [what, facts, message] of examples) {
    void t.test(`${name}: ${what}`, async (t) => {
      const found = blockers(facts);
      t.same([...new Set(found.map((one) => one.check))], [name], 'it alone speaks');
      t.match(found[0]?.message, message);
      t.match(found[0]?.code, name === 'dns' ? /^GF_DNS_/ : /^GF_PREFLIGHT_/);
    });
  }
}

void t.test('what an earlier process of this transfer made is not in the way', async (t) => {
  const own = listed('web', { own: true, ports: [{ address: '0.0.0.0', port: 8080, protocol: 'tcp' }] });
  const facts = factsWith({
    targetContainers: [own],
    targetVolumes: [{ name: 'data', own: true, empty: false }],
    targetNetworks: [network('lan', '172.30.0.0/16')],
    ownNetworks: new Set(['lan']),
    targetHost: { listeningTcp: [{ address: '0.0.0.0', port: 8080 }] },
    targetPaths: [{ name: '/srv', state: 'Empty', missingFolders: [] }],
  });
  t.same(blockers(facts), []);
});

void t.test('what looks alike and does no harm is let through', async (t) => {
  const elsewhere = {
    ...container,
    hostConfig: { PortBindings: { '80/tcp': [{ HostIp: '10.0.0.1', HostPort: '8080' }] } },
  };
  const on = (address: string, protocol = 'tcp') =>
    factsWith(
      { targetContainers: [listed('x', { ports: [{ address, port: 8080, protocol }] })] },
      { containers: [elsewhere] },
    );
  t.same(blockers(on('10.0.0.2')), [], 'the same port of another address');
  t.equal(blockers(on('0.0.0.0')).length, 1, 'but not of all addresses');
  t.same(blockers(on('10.0.0.1', 'udp')), [], 'the same number of another protocol');
  const anyPort = { ...container, hostConfig: { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '' }] } } };
  t.same(blockers(factsWith({}, { containers: [anyPort] })), [], 'a port that Docker chooses');
  const noAddress = { ...container, networks: [{ network: 'lan', aliases: [], links: [] }] };
  t.same(
    blockers(factsWith({ targetNetworks: [network('old', '172.30.0.0/16')] }, { containers: [noAddress] })),
    [],
    'a subnet in which no address is fixed: another one serves as well',
  );
  t.same(blockers(factsWith({ targetNetworks: [network('odd', 'not a subnet')] })), []);
  const bench = listed('bench', {
    labels: { 'gridferry.io/workbench': '1' },
    volumes: [{ name: 'data', writable: true }],
  });
  t.same(blockers(factsWith({ sourceContainers: [listed('web'), bench] })), [], 'our own helper');
  const idle = listed('old', { running: false, volumes: [{ name: 'data', writable: true }] });
  t.same(blockers(factsWith({ sourceContainers: [listed('web'), idle] })), [], 'a container that does not run');
});

void t.test('an image needs its size twice, unless it is there already', async (t) => {
  const free = { freeBytes: 500e6 + 64 * 2 ** 20 + 150e6, totalInodes: 0, freeInodes: 0 };
  t.equal(blockers(factsWith({ targetDisk: free })).length, 1);
  t.same(blockers(factsWith({ targetDisk: free, targetLayers: new Set(['sha256:1']) })), []);
});

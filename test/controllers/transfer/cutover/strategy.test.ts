import t from 'tap';
import { canWrite, decideStrategy } from '../../../../controllers/transfer/cutover/strategy.ts';
import type { StrategyFacts } from '../../../../controllers/transfer/cutover/strategy.ts';
import { capture as captured } from '../../../docker/fixtures.ts';

const web = {
  ...captured('plain'),
  name: 'web',
  running: true,
  mounts: [] as unknown[],
  networkMode: 'bridge',
  hostConfig: { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] } } as Record<string, unknown>,
};
const volume = (name: string, more = {}) => ({
  kind: 'volume',
  name,
  anonymous: false,
  destination: '/data',
  readOnly: false,
  ...more,
});
const bind = (source: string, more = {}) => ({ kind: 'bind', source, destination: '/b', readOnly: false, ...more });

interface Case {
  readonly container?: object;
  readonly others?: readonly object[];
  readonly networks?: readonly object[];
  readonly written?: { added?: string[]; changed?: string[]; deleted?: string[] };
  readonly spec?: Partial<StrategyFacts['spec']>;
}

const nothing = { added: [], changed: [], deleted: [] };

function facts({ container = {}, others = [], networks = [], written = {}, spec = {} }: Case): StrategyFacts {
  return {
    spec: { strategy: 'Auto', writableLayer: 'Copy', ...spec },
    capture: { containers: [{ ...web, ...container }, ...others], networks },
    written: new Map([['web', { ...nothing, ...written }]]),
  } as unknown as StrategyFacts;
}

const hostConfig = (more: object) => ({ hostConfig: { ...web.hostConfig, ...more } });

/** By what is there: the reason why Auto stops the source first. */
const stops: Readonly<Record<string, readonly [Case, string | RegExp]>> = {
  'a volume': [{ container: { mounts: [volume('data')] } }, 'it can write to volume data'],
  'an anonymous volume': [
    { container: { mounts: [volume('f'.repeat(64), { anonymous: true })] } },
    'it can write to volume /data of web',
  ],
  'a bind mount': [{ container: { mounts: [bind('/srv/web')] } }, 'it can write to /srv/web'],
  "Docker's socket": [{ container: { mounts: [bind('/var/run/docker.sock')] } }, /docker\.sock$/],
  'a mount of another kind': [
    { container: { mounts: [{ kind: 'other', destination: '/x', readOnly: false }] } },
    /\/x of web/,
  ],
  'a volume of an addon': [
    { others: [{ ...web, name: 'db', hostConfig: {}, mounts: [volume('db-data')] }] },
    'it can write to volume db-data',
  ],
  'a file written outside volumes': [{ written: { added: ['/app/upload.png'] } }, /\/app\/upload\.png of web, outside/],
  'a file changed outside volumes': [{ written: { changed: ['/etc/app.conf'] } }, /\/etc\/app\.conf of web/],
  'a file deleted outside volumes': [{ written: { deleted: ['/app/once'] } }, /\/app\/once of web/],
  'a log': [{ written: { added: ['/var/log/app.log'] } }, /\/var\/log\/app\.log/],
  'a UDP port': [
    { container: hostConfig({ PortBindings: { '53/udp': [{ HostPort: '53' }] } }) },
    'web publishes 53/udp, which cannot be passed on',
  ],
  'the network of the server': [{ container: { networkMode: 'host' } }, /uses the network of its server/],
  'a network with addresses of its own': [
    { networks: [{ name: 'lan', builtin: false, driver: 'macvlan' }] },
    /network lan \(macvlan\) reaches beyond its server/,
  ],
  devices: [{ container: hostConfig({ Devices: [{ PathOnHost: '/dev/ttyUSB0' }] }) }, 'web uses devices of its server'],
  'a GPU': [{ container: hostConfig({ DeviceRequests: [{ Count: -1 }] }) }, 'web uses devices of its server'],
  privileges: [{ container: hostConfig({ Privileged: true }) }, 'web uses devices of its server'],
  "the server's processes": [{ container: hostConfig({ PidMode: 'host' }) }, 'web sees the processes of its server'],
  'no clients': [{ container: { hostConfig: {} } }, 'no port is published: there are no clients who would notice'],
  'the wish of its user': [{ spec: { strategy: 'StopFirst' } }, 'spec.strategy is StopFirst'],
};

/** Nothing of this is worth stopping a service for. */
const starts: Readonly<Record<string, Case>> = {
  'nothing to write to': {},
  'a volume that it only reads': { container: { mounts: [volume('data', { readOnly: true })] } },
  'a folder that it only reads': { container: { mounts: [bind('/srv/web', { readOnly: true })] } },
  'a tmpfs': { container: { mounts: [{ kind: 'tmpfs', destination: '/scratch', readOnly: false }] } },
  'a cache': { written: { added: ['/var/cache/nginx/temp', '/var/tmp/x', '/root/.cache'], changed: ['/root'] } },
  'files that nobody needs': { written: { added: ['/app/x'] }, spec: { writableLayer: 'Discard' } },
  'a bridge network': { networks: [{ name: 'front', builtin: false, driver: 'bridge' }] },
  'a volume of a container that does not run': {
    others: [{ ...web, name: 'old', running: false, mounts: [volume('data')] }],
  },
  'an addon without ports': { others: [{ ...web, name: 'cache', hostConfig: {} }] },
};

for (const [what, [given, reason]] of Object.entries(stops)) {
  void t.test(`Auto stops the source first for ${what}`, async (t) => {
    const choice = decideStrategy(facts(given));
    t.equal(choice.strategy, 'StopFirst');
    t.match(choice.reason, reason);
    t.same(choice.notKept, []);
  });
}

for (const [what, given] of Object.entries(starts)) {
  void t.test(`Auto starts the target first with ${what}`, async (t) => {
    t.match(decideStrategy(facts(given)), {
      strategy: 'StartFirst',
      reason: /nothing that the service writes/,
      notKept: [],
    });
  });
}

void t.test('forced, it names everything that is not kept in step', async (t) => {
  const spec = { strategy: 'StartFirst' } as const;
  t.match(decideStrategy(facts({ spec })), {
    strategy: 'StartFirst',
    reason: 'spec.strategy is StartFirst',
    notKept: [],
  });
  const choice = decideStrategy(
    facts({
      spec,
      container: { mounts: [volume('data'), bind('/srv/web'), volume('ro', { readOnly: true })] },
      written: { added: ['/app/x'] },
    }),
  );
  t.match(choice.notKept, ['volume data', '/srv/web', /^\/app\/x of web/]);
  t.match(
    choice.reason,
    /copied once, before, and not kept in step while both sides run: volume data, \/srv\/web, \/app\/x/,
  );
  const many = facts({ spec, written: { added: Array.from({ length: 30 }, (_, index) => `/app/${String(index)}`) } });
  t.match(decideStrategy(many).reason, / and 20 more$/);
});

void t.test('data can be written to when a container that runs has them writable', async (t) => {
  const { capture } = facts({
    container: { mounts: [volume('data'), volume('ro', { readOnly: true }), bind('/srv/conf', { readOnly: true })] },
    others: [{ ...web, name: 'writer', mounts: [bind('/srv/shared')] }],
  });
  t.same(
    ['data', 'ro', '/srv/conf', '/srv/shared', '/srv/compose.yaml'].map((name) => canWrite(capture, name)),
    [true, false, false, true, false],
  );
});

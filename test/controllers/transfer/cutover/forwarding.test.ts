import t from 'tap';
import {
  addressesOf,
  forwardSeconds,
  portsToForward,
  portText,
} from '../../../../controllers/transfer/cutover/forwarding.ts';
import { planOf, startFirst, stopFirst } from '../../../../controllers/transfer/plan.ts';
import type { Step } from '../../../../controllers/transfer/step.ts';
import type { ManagedServer, TransferStatus } from '../../../../src/api/resources.ts';
import type { ServiceCapture } from '../../../../src/docker/service-capture.ts';

const prior = (...ttls: number[]): TransferStatus =>
  ({ restore: { dns: { prior: ttls.map((ttl) => ({ ttl })) } } }) as unknown as TransferStatus;

void t.test(
  'connections are passed on for as long as the record was to be remembered, and five minutes at least',
  async (t) => {
    t.equal(forwardSeconds({}, {}), 300);
    t.equal(forwardSeconds({}, prior(60)), 300);
    t.equal(forwardSeconds({}, prior(60, 3600)), 3600);
    t.equal(forwardSeconds({}, prior(1)), 300, 'automatic');
    t.equal(forwardSeconds({ forwardFor: '90s' }, prior(3600)), 90, 'as the user says');
    t.equal(forwardSeconds({ forwardFor: '0s' }, prior(3600)), 0);
  },
);

const container = (
  name: string,
  bindings: Record<string, { HostIp?: string; HostPort: string }[]>,
  running = true,
) => ({
  name,
  running,
  hostConfig: { PortBindings: bindings },
});
const service = (...containers: object[]): ServiceCapture => ({ containers }) as unknown as ServiceCapture;

void t.test('published TCP ports are passed on, and it is said which are not', async (t) => {
  const web = container('web', {
    '80/tcp': [
      { HostIp: '0.0.0.0', HostPort: '8080' },
      { HostIp: '::', HostPort: '8080' },
    ],
    '443/tcp': [{ HostIp: '10.0.0.5', HostPort: '8443' }],
    '53/udp': [{ HostPort: '53' }],
    '81/tcp': [{ HostPort: '' }],
    '82/tcp': [{ HostIp: '127.0.0.1', HostPort: '82' }],
    '83/tcp': [{ HostIp: 'fd00::5', HostPort: '83' }],
  });
  const stopped = container('old', { '90/tcp': [{ HostPort: '90' }] }, false);
  const found = portsToForward(service(web, stopped), { ipv4: '10.0.0.12' });
  t.same(found.ports.map(portText), ['8080', '10.0.0.5:8443']);
  t.same(found.left, [
    '53/udp of web is not TCP',
    '81/tcp of web has another port at each start',
    '83/tcp of web is published on IPv6, and the target has no IPv6 address',
  ]);
  const six = portsToForward(service(web), { ipv6: 'fd00::12' });
  t.same(six.ports.map(portText), ['8080', '[fd00::5]:83']);
  t.match(six.left, [/^443\/tcp of web is published on IPv4/, /not TCP/, /another port/]);
});

void t.test('the source uses the own address of the target before its public one, of each family', async (t) => {
  const server = (spec: object): ManagedServer => ({ metadata: { name: 'beta' }, spec }) as unknown as ManagedServer;
  t.same(await addressesOf(server({ address: '10.0.0.12', publicAddress: '8.8.4.4' })), { ipv4: '10.0.0.12' });
  t.same(await addressesOf(server({ address: '10.0.0.12', publicAddress: '2a00:1450::7' })), {
    ipv4: '10.0.0.12',
    ipv6: '2a00:1450::7',
  });
  t.same(await addressesOf(server({ local: true })), {});
  t.same(await addressesOf(server({ address: '10.0.0.12', publicAddress: '198.51.100.7' })), { ipv4: '10.0.0.12' });
  await t.rejects(addressesOf(server({ address: '127.0.0.1' })), { code: 'GF_ADDRESS_FORBIDDEN' });
});

void t.test('both plans begin alike, and part when the strategy is decided', async (t) => {
  const names = (plan: readonly Step[]): string[] => plan.map(({ name }) => name);
  t.same(names(planOf({})), names(stopFirst));
  t.same(names(planOf({ strategy: 'StopFirst' })), names(stopFirst));
  t.same(names(planOf({ strategy: 'StartFirst' })), names(startFirst));
  const decided = stopFirst.findIndex(({ name }) => name === 'choose-strategy') + 1;
  t.ok(decided > 0);
  t.same(names(startFirst).slice(0, decided), names(stopFirst).slice(0, decided));
  for (const plan of [stopFirst, startFirst]) t.equal(plan.filter(({ commitPoint }) => commitPoint).length, 1);
});

void t.test('with StartFirst the source stops after the commit point, without it before', async (t) => {
  const at = (plan: typeof startFirst, name: string): number => plan.findIndex((step) => step.name === name);
  const order = [
    'start-beside',
    'check-local-health',
    'cut-over-dns',
    'forward-old-address',
    'drain-source',
    'stop-source',
    'check-public-health',
  ];
  const places = order.map((name) => at(startFirst, name));
  t.same(
    places,
    places.toSorted((a, b) => a - b),
  );
  t.ok(!places.includes(-1));
  for (const name of ['quiesce-source', 'start-target', 'copy-final-delta', 'verify-data'])
    t.equal(at(startFirst, name), -1, name);
  t.ok(at(stopFirst, 'clear-forwards') < at(stopFirst, 'quiesce-source'));
  t.ok(at(stopFirst, 'quiesce-source') < at(stopFirst, 'start-target'));
  t.ok(at(stopFirst, 'cut-over-dns') < at(stopFirst, 'forward-old-address'));
});

import t from 'tap';
import { PlatformConfigs } from '../../src/api/resources.ts';
import type { PlatformConfig, Transfer, TransferSpec } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import type { StandInRecord } from '../../src/sandbox/cloudflare-zone.ts';
import { fleetDown, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';

const FLEET = 't-dns';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.49.0/24' });
const [ALPHA, BETA, ELSEWHERE] = [fleet.servers[0]!.address, fleet.servers[1]!.address, '203.0.113.9'];
const { docker, field, leftovers } = fleetShell(FLEET);

const ZONE = 'example.test';
const record = (name: string, content: string, more: Partial<StandInRecord> = {}) => ({
  ...{ name: `${name}.${ZONE}`, type: 'A', content, ttl: 300, proxied: false, comment: 'kept by Ann', tags: [] },
  ...more,
});
const records = [
  ...['plain', 'app', 'rough', 'readonly', 'unknown', 'soaking', 'stuck', 'stale'].map((name) => record(name, ALPHA)),
  record('shield', ALPHA, { proxied: true, ttl: 1 }),
  record('foreign', ELSEWHERE),
];
const cloudflare = await startCloudflareStandIn({ token: 'right-token', zones: [{ name: ZONE, records }] });
// What resolvers say that have not heard of any change.
const oldNews = await startCloudflareStandIn({ token: 'unused', zones: [{ name: ZONE, records }] });
const gridferry = await startGridferry();
t.teardown(async () => {
  await gridferry.stop();
  await Promise.all([cloudflare.close(), oldNews.close()]);
});
await Promise.all([
  gridferry.addServers(fleet),
  gridferry.addSecret('other-cloudflare', { token: 'wrong-token' }),
  importTinyImage(FLEET, 'alpha', 'web:1', webImage),
]);

/** The address record of a name, as Cloudflare has it. */
function recordOf(name: string): StandInRecord | undefined {
  return cloudflare.records(ZONE).find((one) => one.name === `${name}.${ZONE}`);
}

/** Starts a container of that name at the source and its transfer, whose public name follows from it. */
async function move(name: string, spec: Partial<TransferSpec> = {}): Promise<void> {
  await docker('alpha', 'run', '-d', '--name', name, '--restart', 'always', '-v', `${name}:/data`, 'web:1');
  await gridferry.transfer(name, { container: name, ...spec });
}

async function configure(spec: Partial<PlatformConfig['spec']>): Promise<void> {
  await gridferry.client.patch(
    PlatformConfigs,
    { namespace: 'default', name: 'default' },
    { type: 'merge', body: { spec } },
  );
}

async function completed(name: string): Promise<Transfer> {
  const transfer = await gridferry.ended(name, 60_000);
  t.equal(transfer.status?.phase, 'Completed', JSON.stringify(transfer.status?.failure));
  return transfer;
}

const step = ({ status }: Transfer, name: string) => status?.steps?.find((one) => one.name === name);
const condition = ({ status }: Transfer) => findCondition(status?.conditions, 'DNSUpdated');

/** What was sent to Cloudflare about a record, oldest first. */
function written(name: string): Record<string, unknown>[] {
  const id = recordOf(name)?.id;
  return cloudflare.requests
    .filter(({ method }) => method !== 'GET')
    .flatMap(({ body }) => Object.values(body as Record<string, Record<string, unknown>[]>).flat())
    .filter((change) => change['id'] === id);
}

void t.test('without a PlatformConfig a condition says what to do by hand', async (t) => {
  await move('plain');
  const transfer = await completed('plain');
  t.match(condition(transfer), {
    reason: 'NoPlatformConfig',
    message: /no PlatformConfig "default": point .* to server beta by hand/,
  });
  t.equal(step(transfer, 'plan-dns')?.state, 'Skipped');
  t.equal(recordOf('plain')?.content, ALPHA);

  await gridferry.addPlatform(ZONE, cloudflare, 'right-token');
});

void t.test('the record moves to the target, with a short TTL meanwhile and its own afterwards', async (t) => {
  const before = recordOf('app');
  await move('app');
  const transfer = await completed('app');
  t.same(recordOf('app'), { ...before, content: BETA });
  t.match(transfer.status?.restore?.dns, {
    name: `app.${ZONE}`,
    prior: [{ id: before?.id, content: ALPHA, ttl: 300, comment: 'kept by Ann' }],
    wrote: [BETA],
  });
  t.same(
    written('app').map(({ content = ALPHA, ttl }) => [content, ttl]),
    [
      [ALPHA, 60],
      [BETA, 60],
      [BETA, 300],
    ],
  );
  t.match(condition(transfer), { status: 'True', message: `app.${ZONE} points to ${BETA}` });
  t.match(step(transfer, 'check-dns'), { state: 'Done', message: `app.${ZONE} is answered with ${BETA}` });
  t.notMatch(JSON.stringify(transfer.status) + gridferry.logged(), 'right-token');
});

void t.test('a proxied record never turns grey', async (t) => {
  const before = recordOf('shield');
  await move('shield');
  const transfer = await completed('shield');
  t.same(recordOf('shield'), { ...before, content: BETA });
  t.same(
    written('shield').filter(({ proxied, ttl }) => proxied === false || (ttl !== undefined && ttl !== 1)),
    [],
  );
  t.equal(step(transfer, 'check-dns')?.state, 'Skipped');
});

void t.test('an API that refuses, breaks and loses answers does not lead astray', async (t) => {
  const before = recordOf('rough');
  for (const how of ['rate-limited', 'server-error', 'not-json', 'lost-answer'] as const)
    cloudflare.fail({ how, path: 'dns_records' });
  cloudflare.fail({ how: 'lost-answer', path: 'batch', method: 'POST', times: 2 });
  await move('rough');
  await completed('rough');
  t.same(recordOf('rough'), { ...before, content: BETA });
  t.equal(cloudflare.records(ZONE).length, records.length);
});

void t.test('a token without permission is found out before anything is touched', async (t) => {
  const refused = async (name: string, at: string): Promise<void> => {
    const started = await field('alpha', name, '{{.State.StartedAt}}');
    const transfer = await gridferry.ended(name, 30_000);
    t.match(transfer.status, {
      phase: 'Failed',
      failure: { step: at, code: 'GF_DNS_AUTH', message: /permissions Zone:Read and DNS:Edit/ },
    });
    t.equal(
      await field('alpha', name, '{{.State.StartedAt}} {{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'),
      `${started} true always`,
    );
    t.equal(recordOf(name)?.content, ALPHA);
    t.same(
      (await leftovers('beta')).filter((line) => line.includes(name)),
      [],
    );
  };
  await configure({ cloudflare: { apiTokenRef: { name: 'other-cloudflare' } } } as never);
  await move('unknown');
  await refused('unknown', 'preflight');
  await configure({ cloudflare: { apiTokenRef: { name: 'cloudflare' } } } as never);
  // It may read, and not write.
  cloudflare.fail({ how: 'auth-error', path: 'batch', method: 'POST' });
  await move('readonly');
  await refused('readonly', 'lower-dns-ttl');
});

void t.test('a record that points elsewhere is left alone, unless the user says it is his', async (t) => {
  const before = recordOf('foreign');
  await move('foreign');
  const transfer = await gridferry.ended('foreign');
  t.match(transfer.status, {
    phase: 'Failed',
    failure: { step: 'preflight', code: 'GF_DNS_NOT_OURS', message: /203\.0\.113\.9, which is not the source server/ },
  });
  t.same(recordOf('foreign'), before);
  t.equal(await field('alpha', 'foreign', '{{.State.Running}}'), 'true');

  await gridferry.change('foreign', { dns: { adopt: true } as never, retryToken: 'mine' });
  await gridferry.until('foreign', ({ status }) => status?.attempts?.length === 1);
  await completed('foreign');
  t.same(recordOf('foreign'), { ...before, content: BETA });
});

void t.test('a cancel after the cutover puts the record back as it was', async (t) => {
  const before = recordOf('soaking');
  await move('soaking', { soak: { duration: '60s', failureThreshold: 3 } });
  const there = await gridferry.until('soaking', (transfer) => step(transfer, 'soak')?.state === 'Running', 60_000);
  t.match(there.status, { phase: 'Verifying' });
  t.equal(recordOf('soaking')?.content, BETA);
  await gridferry.change('soaking', { cancel: true });
  const transfer = await gridferry.ended('soaking');
  t.equal(transfer.status?.phase, 'Cancelled', transfer.status?.message ?? '');
  t.same(recordOf('soaking'), before);
  t.match(condition(transfer), { status: 'False', reason: 'Undone', message: 'the records are as they were' });
  t.equal(await field('alpha', 'soaking', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'), 'true always');
});

void t.test('a cancel while the provider fails to cut over puts everything back', async (t) => {
  const before = recordOf('stuck');
  await move('stuck');
  await gridferry.until('stuck', (transfer) => step(transfer, 'lower-dns-ttl')?.state === 'Done');
  cloudflare.fail({ how: 'server-error', path: 'batch', method: 'POST', times: 12 });
  const there = await gridferry.until(
    'stuck',
    (transfer) => step(transfer, 'cut-over-dns')?.state === 'Running',
    60_000,
  );
  t.match(there.status, { phase: 'DNSCutover' });
  await gridferry.change('stuck', { cancel: true });
  const transfer = await gridferry.ended('stuck', 100_000);
  t.equal(transfer.status?.phase, 'Cancelled', transfer.status?.message ?? '');
  t.same(recordOf('stuck'), before);
  t.equal(await field('alpha', 'stuck', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'), 'true always');
  t.same(
    (await leftovers('beta')).filter((line) => line.includes('stuck')),
    [],
  );
});

void t.test('resolvers that remember the old address are told of, and do not fail a move that is right', async (t) => {
  await configure({ resolvers: [oldNews.dnsAddress] });
  await move('stale');
  const transfer = await completed('stale');
  t.match(step(transfer, 'check-dns'), {
    state: 'Done',
    attempts: 4,
    message: /is still answered with .* they may remember that for \d+ s more/,
  });
  t.match(condition(transfer), { status: 'True', reason: 'Propagating' });
  t.equal(recordOf('stale')?.content, BETA);
});

import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Events } from '../../src/api/core.ts';
import type { Transfer, TransferSpec } from '../../src/api/resources.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import { fleetDown, fleetExec, fleetUp, startService, stopService } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import type { ServerName } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';
import type { TestGridferry } from '../support/gridferry.ts';
import { bodyOf, lookupAt, startHttpClients } from '../support/http-clients.ts';
import { keepAliveImage } from '../support/keep-alive-service.ts';

const FLEET = 't-first';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.84.0/24' });
const [ALPHA, BETA] = [fleet.servers[0]!.address, fleet.servers[1]!.address];
const { docker, sh, field } = fleetShell(FLEET);
const ZONE = 'example.test';
const records = ['site', 'shop'].map((name) => ({
  name: `${name}.${ZONE}`,
  type: 'A',
  content: ALPHA,
  ttl: 300,
  proxied: false,
}));
const cloudflare = await startCloudflareStandIn({ token: 'token', zones: [{ name: ZONE, records }] });
t.teardown(() => cloudflare.close());
await Promise.all([
  importTinyImage(FLEET, 'alpha', 'site:1', keepAliveImage),
  importTinyImage(FLEET, 'alpha', 'web:1', webImage),
]);

// As Docker does on a server that passed nothing on before.
await sh('alpha', 'iptables -P FORWARD DROP');

async function gridferryAs(user: 'root' | 'deploy'): Promise<TestGridferry> {
  const gridferry = await startGridferry();
  await Promise.all([
    gridferry.addServers(fleet, (server) => {
      server.spec.ssh!.user = user;
    }),
  ]);
  await gridferry.addPlatform(ZONE, cloudflare, 'token');
  return gridferry;
}

const step = ({ status }: Transfer, name: string) => status?.steps?.find((one) => one.name === name);

/** Our rules and helpers on a server. */
async function forwards(server: ServerName): Promise<string[]> {
  const found = await sh(
    server,
    'iptables-save | grep GRIDFERRY; docker ps -a --filter label=gridferry.io/forward --format "helper {{.Names}}"; true',
  );
  return found.split('\n').filter((line) => line !== '');
}

/** Starts a service with a volume at the source. */
async function run(name: string, port: number): Promise<void> {
  await docker('alpha', 'run', '-d', '--name', name, '-p', `${String(port)}:80`, '-v', `${name}-data:/data`, 'web:1');
}

function ask(address: string, port: number): Promise<string> {
  return bodyOf({ host: address, port, path: '/', agent: false });
}

function completed(transfer: Transfer): void {
  t.equal(transfer.status?.phase, 'Completed', JSON.stringify(transfer.status?.failure));
}

const spec = (container: string, change: Partial<TransferSpec>): Partial<TransferSpec> => ({ container, ...change });

void t.test('a service that writes nothing moves without one failed request, new and old address alike', async (t) => {
  const gridferry = await gridferryAs('root');
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= gridferry.stop());
  t.teardown(stop);
  await docker('alpha', 'run', '-d', '--name', 'site', '--restart', 'always', '-p', '8080:80', 'site:1');
  const following = startHttpClients(`site.${ZONE}`, 8080, lookupAt(cloudflare.dnsAddress));
  const stale = startHttpClients(ALPHA, 8080);
  await delay(500);
  const healthCheck = { http: { path: '/', port: 80 } } as TransferSpec['healthCheck'];
  await gridferry.transfer('site', spec('site', { forwardFor: '12s', connectionDrain: '4s', ...{ healthCheck } }));
  const transfer = await gridferry.ended('site');
  const { status } = transfer;
  completed(transfer);
  await delay(500);
  await Promise.all([following.stop(), stale.stop()]);

  t.same(following.failures, [], 'by name');
  t.same(stale.failures, [], 'by the old address');
  t.ok(following.answered() > 100 && stale.answered() > 100);
  t.same([following.servers(), stale.servers()], [2, 2], 'both were answered by both');
  t.comment(`${String(following.answered())} and ${String(stale.answered())} requests`);
  t.match(status, {
    strategy: 'StartFirst',
    strategyReason: /nothing that the service writes outlives it/,
    downtimeSeconds: 0,
    forward: { state: 'Active', to: BETA, ports: ['8080'] },
  });
  t.equal(await field('alpha', 'site', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'), 'false no');
  t.equal(await field('beta', 'site', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'), 'true always');
  t.match((await forwards('alpha')).join('\n'), `gridferry.io/transfer=${transfer.metadata.uid ?? ''},default.site`);

  // Nobody is there any more who could take it away.
  await stop();
  const there = (await field('beta', 'site', '{{.Id}}')).slice(0, 12);
  t.equal(await ask(ALPHA, 8080), there);
  t.equal(await sh('alpha', 'wget -qO- "http://$1:8080/"', ALPHA), there, 'on the server itself');
  await sh('alpha', 'until [ -z "$(iptables-save | grep GRIDFERRY)" ]; do sleep 0.2; done');
  await sh('alpha', 'until [ -z "$(docker ps -aq --filter label=gridferry.io/forward)" ]; do sleep 0.2; done');
  t.ok(Date.now() >= Date.parse(status?.forward?.until ?? '') - 1500, 'not before its time');
  await t.rejects(ask(ALPHA, 8080), { code: 'ECONNREFUSED' });
});

void t.test('with a login that is only in the docker group', async (t) => {
  const gridferry = await gridferryAs('deploy');
  t.teardown(() => gridferry.stop());

  await run('forced', 8081);
  await run('walled', 8084);
  const wall = ['PREROUTING', '-t', 'raw', '-s', ALPHA, '-p', 'tcp', '--dport', '8084', '-j', 'DROP'];
  await fleetExec(FLEET, 'beta', ['iptables', '-A', ...wall]);
  // Side by side.
  await gridferry.transfer(
    'forced',
    spec('forced', { strategy: 'StartFirst', forwardFor: '3s', connectionDrain: '1s' }),
  );
  await gridferry.transfer('walled', spec('walled', {}));

  await t.test('forced, it says which data are not kept in step', async (t) => {
    const transfer = await gridferry.ended('forced');
    completed(transfer);
    t.match(transfer.status, {
      strategy: 'StartFirst',
      strategyReason: /not kept in step while both sides run: volume forced-data$/,
      forward: { ports: ['8081'] },
    });
    const { items } = await gridferry.client.list(Events);
    const warning = items.find(({ reason }) => reason === 'ChooseStrategyWarning');
    t.match(warning, { type: 'Warning', message: /volume forced-data/ });
    await gridferry.until('forced', ({ status }) => status?.forward?.state === 'Ended');
  });

  await t.test('a target that the source does not reach leaves the move alone', async (t) => {
    const transfer = await gridferry.ended('walled');
    completed(transfer);
    t.match(transfer.status?.forward, { state: 'Unavailable', reason: /server alpha does not reach .* port 8084/ });
    t.same(await forwards('alpha'), []);
  });

  await t.test('a service that was stopped first is served at its old address afterwards', async (t) => {
    await run('shop', 8082);
    await sh(
      'alpha',
      'until wget -qO- http://localhost:8082/ >/dev/null; do sleep 0.1; done; docker exec shop sh -c "echo shop >/data/index.html"',
    );
    await gridferry.transfer('shop', spec('shop', {}));
    const transfer = await gridferry.ended('shop');
    completed(transfer);
    t.match(transfer.status, { strategy: 'StopFirst', strategyReason: 'it can write to volume shop-data' });
    const left = Date.parse(transfer.status?.forward?.until ?? '') - Date.now();
    t.ok(left > 200_000 && left <= 300_000, 'for the TTL that the record had');
    t.equal(await ask(ALPHA, 8082), 'shop\n');

    await stopService(FLEET, 'alpha', 'dockerd');
    t.equal(await ask(ALPHA, 8082), 'shop\n', 'while dockerd is stopped');
    await startService(FLEET, 'alpha', 'dockerd');
    t.equal(await ask(ALPHA, 8082), 'shop\n', 'after it was started again');
  });

  await t.test('a move back takes away what would lead its clients in circles', async (t) => {
    await docker('alpha', 'rm', 'shop');
    await docker('alpha', 'volume', 'rm', 'shop-data');
    await gridferry.transfer(
      'back',
      spec('shop', { sourceServerRef: { name: 'beta' }, targetServerRef: { name: 'alpha' } }),
    );
    const transfer = await gridferry.ended('back');
    completed(transfer);
    t.match(step(transfer, 'clear-forwards'), { state: 'Done', message: 'ports 8082 lead nowhere else any more' });
    t.same(await forwards('alpha'), []);
    t.not((await forwards('beta')).length, 0);
    for (const address of [ALPHA, BETA]) t.equal(await ask(address, 8082), 'shop\n');
  });

  await t.test('a cancel takes the forward away, and the source serves again', async (t) => {
    await run('brief', 8083);
    await gridferry.transfer('brief', spec('brief', { soak: { duration: '60s', failureThreshold: 3 } }));
    await gridferry.until('brief', (transfer) => step(transfer, 'soak')?.state === 'Running');
    t.equal(await ask(ALPHA, 8083), 'hello\n');
    t.equal(await field('alpha', 'brief', '{{.State.Running}}'), 'false');
    await gridferry.change('brief', { cancel: true });
    const transfer = await gridferry.ended('brief');
    t.match(transfer.status, { phase: 'Cancelled', forward: { state: 'Ended' } });
    t.same(await forwards('alpha'), []);
    t.equal(await field('alpha', 'brief', '{{.State.Running}}'), 'true');
    t.equal(await ask(ALPHA, 8083), 'hello\n');
  });
});

import t from 'tap';
import { Services, Transfers } from '../../src/api/resources.ts';
import type { Service, Transfer, TransferSpec } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import { fleetDown, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { appendImage, startAppending } from '../support/append-service.ts';
import { fleetShell } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';

const FLEET = 't-rollback';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.85.0/24' });
const [ALPHA, BETA] = [fleet.servers[0]!.address, fleet.servers[1]!.address];
const { docker, sh, inspect, field, leftovers } = fleetShell(FLEET);

/** Serves what is in /data; when told to stop, it writes there as much as the file `grow` says, in MiB. */
const stubbornImage = {
  files: {
    '/start': {
      content: `#!/bin/sh
stop() {
  [ ! -e /data/grow ] || dd if=/dev/urandom of=/data/big bs=1M count="$(cat /data/grow)" 2>/dev/null
  exit 0
}
trap stop TERM
[ -e /data/index.html ] || echo hello >/data/index.html
httpd -p 80 -h /data
while :; do sleep 3600 & wait $!; done
`,
      mode: 0o755,
    },
  },
  changes: ['ENTRYPOINT ["/start"]', 'EXPOSE 80'],
};

const ZONE = 'example.test';
const address = {
  name: `shop.${ZONE}`,
  type: 'A',
  content: ALPHA,
  ttl: 300,
  proxied: false,
  comment: 'by Ann',
  tags: [],
};
const cloudflare = await startCloudflareStandIn({ token: 'right-token', zones: [{ name: ZONE, records: [address] }] });
const gridferry = await startGridferry();
t.teardown(async () => {
  await gridferry.stop();
  await cloudflare.close();
});
await Promise.all([
  gridferry.addServers(fleet),
  importTinyImage(FLEET, 'alpha', 'append:1', appendImage),
  importTinyImage(FLEET, 'alpha', 'stubborn:1', stubbornImage),
]);
await gridferry.addPlatform(ZONE, cloudflare, 'right-token');

async function start(name: string, ...flags: string[]): Promise<void> {
  await docker('alpha', 'run', '-d', '--name', name, '--restart', 'on-failure:2', ...flags);
}

async function moved(name: string, spec: Partial<TransferSpec> = {}): Promise<Transfer> {
  await gridferry.transfer(name, { container: name, ...spec });
  const transfer = await gridferry.ended(name, 60_000);
  t.equal(transfer.status?.phase, 'Completed', transfer.status?.message ?? '');
  return transfer;
}

async function rolledBack(name: string): Promise<Transfer> {
  const transfer = await gridferry.until(name, over, 60_000);
  t.equal(transfer.status?.phase, 'RolledBack', transfer.status?.message ?? '');
  return transfer;
}

const over = ({ status }: Transfer): boolean =>
  status?.phase === 'RolledBack' || status?.rollback?.outcome === 'Failed';
const said = ({ status }: Transfer, type: string): string => {
  const found = findCondition(status?.conditions, type);
  return `${found?.status ?? ''} ${found?.reason ?? ''}`;
};

void t.test(
  'Sync: everything that was written since comes back, the records as they were, the Service too',
  async (t) => {
    await gridferry.client.create(Services, {
      apiVersion: 'gridferry.io/v1alpha1',
      kind: 'Service',
      metadata: { name: 'shop', namespace: 'default' },
      spec: { container: 'shop', serverRef: { name: 'alpha' }, publicName: 'shop' },
    } as unknown as Service);
    const before = cloudflare.records(ZONE);
    await start('shop', '-p', '8080:80', '-v', 'shop-data:/data', 'append:1');
    const load = startAppending([ALPHA, BETA], 8080);
    t.teardown(() => load.stop());
    await gridferry.transfer('shop', {
      serviceRef: { name: 'shop' },
      healthCheck: { http: { path: '/health', port: 80 } } as never,
    });
    const completed = await gridferry.ended('shop', 60_000);
    t.equal(completed.status?.phase, 'Completed', completed.status?.message ?? '');
    t.equal(completed.status?.canRollback, true);
    t.equal(cloudflare.records(ZONE)[0]?.content, BETA);
    await sh('beta', 'docker exec shop sh -c "echo kept >/etc/written-at-the-target"');
    const atTarget = load.acknowledged.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    t.ok(load.acknowledged.length > atTarget, 'clients write at the target');

    await gridferry.change('shop', { rollback: { data: 'Sync' } });
    const transfer = await rolledBack('shop');
    await load.stop();
    const written = new Set(
      (await sh('alpha', 'cat /var/lib/docker/volumes/shop-data/_data/writes')).split('\n').map(Number),
    );
    t.same(
      load.acknowledged.filter((number) => !written.has(number)),
      [],
      'no acknowledged write is lost',
    );
    t.same(cloudflare.records(ZONE), before, 'the records are as they were');
    t.equal(await sh('alpha', 'docker exec shop cat /etc/written-at-the-target'), 'kept');
    const { State, HostConfig } = await inspect('alpha', 'shop');
    t.equal(State.Running, true);
    t.same(HostConfig['RestartPolicy'], { Name: 'on-failure', MaximumRetryCount: 2 });
    const service = await gridferry.client.get(Services, { namespace: 'default', name: 'shop' });
    t.equal(service.status?.server, 'alpha');
    t.same(await leftovers('alpha'), []);
    t.same(await leftovers('beta'), []);
    t.equal(await docker('beta', 'ps', '-aq'), '');
    const { rollback, steps } = transfer.status ?? {};
    t.match(rollback, { data: 'Sync', cause: 'User', outcome: 'RolledBack', downtimeSeconds: Number });
    t.comment(`down for ${String(rollback?.downtimeSeconds)} s on the way back`);
    t.same(
      steps?.filter(({ name, state }) => name.startsWith('return-') && !['Done', 'Skipped'].includes(state)),
      [],
    );

    await gridferry.change('shop', { rollback: { data: 'Discard' } });
    await gridferry.until('shop', (one) => said(one, 'RolledBack') === 'True AlreadyRolledBack');
  },
);

void t.test('Discard: the source starts as it was when it stopped, and the target keeps its data', async (t) => {
  await start('drop', '-v', 'drop-data:/data', 'stubborn:1');
  await moved('drop');
  await sh('beta', 'docker exec drop sh -c "echo new >/data/index.html"');
  await gridferry.change('drop', { rollback: { data: 'Discard' } });
  const transfer = await rolledBack('drop');
  t.equal(await sh('alpha', 'docker exec drop cat /data/index.html'), 'hello');
  t.equal(await sh('beta', 'cat /var/lib/docker/volumes/drop-data/_data/index.html'), 'new');
  t.equal(await field('beta', 'drop', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'), 'false no');
  t.match(transfer.status?.message, /kept, stopped, on server beta/);
  await sh('beta', 'docker rm drop && docker volume rm drop-data');
});

void t.test('when the source has no room for what was written, the service runs on at the target', async (t) => {
  await sh('alpha', 'mkdir -p /srv/small && mount -t tmpfs -o size=8m tmpfs /srv/small');
  t.teardown(() => sh('alpha', 'docker rm -f full; umount /srv/small'));
  await start('full', '-v', '/srv/small:/data', 'stubborn:1');
  await moved('full');
  await sh('beta', 'docker exec full sh -c "echo 20 >/data/grow"');
  await gridferry.change('full', { rollback: { data: 'Sync' } });
  const transfer = await gridferry.until('full', over, 90_000);
  t.equal(transfer.status?.phase, 'Completed');
  t.match(transfer.status?.rollback, {
    outcome: 'Failed',
    failure: { step: 'return-final-delta', code: 'GF_VOLUME_NO_SPACE' },
  });
  t.equal(said(transfer, 'RolledBack'), 'False Failed');
  t.equal(await field('beta', 'full', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}'), 'true on-failure');
  t.equal(await field('alpha', 'full', '{{.State.Running}}'), 'false');
  t.equal(await sh('beta', 'docker exec full sh -c "wc -c </data/big"'), String(20 << 20), 'its data are whole');
  t.same(await leftovers('alpha'), []);
  await docker('beta', 'rm', '-f', 'full');
});

void t.test('a port that is taken at the source is found before anything is touched', async (t) => {
  await start('busy', '-p', '8090:80', '-v', 'busy-data:/data', 'stubborn:1');
  await moved('busy', { forwardFor: '0s' });
  await docker('alpha', 'run', '-d', '--name', 'squatter', '-p', '8090:80', 'stubborn:1');
  const started = await field('beta', 'busy', '{{.State.StartedAt}}');
  await gridferry.change('busy', { rollback: { data: 'Sync' } });
  const found = await gridferry.until('busy', (one) =>
    /^False (Failed|NameOrPortTaken)$/.test(said(one, 'RolledBack')),
  );
  t.match(findCondition(found.status?.conditions, 'RolledBack')?.message, /port 8090 of container busy is taken/);
  t.equal(await field('beta', 'busy', '{{.State.StartedAt}}'), started, 'the service was not touched');
  await docker('alpha', 'rm', '-f', 'squatter');
  await gridferry.change('busy', { retryToken: 'free' });
  await gridferry.until('busy', ({ status }) => status?.phase === 'RolledBack', 60_000);
  t.equal(await field('alpha', 'busy', '{{.State.Running}}'), 'true');
});

void t.test('a controller that goes away in the middle of a rollback is replaced by another one', async (t) => {
  await start('relay', '-v', 'relay-data:/data', 'stubborn:1');
  await moved('relay');
  await sh('beta', 'docker exec relay sh -c "echo new >/data/index.html; echo 60 >/data/grow"');
  await gridferry.change('relay', { rollback: { data: 'Sync' } });
  await gridferry.until('relay', ({ status }) => status?.rollback?.downtimeStart !== undefined);
  await gridferry.restart();
  await rolledBack('relay');
  t.equal(await sh('alpha', 'docker exec relay cat /data/index.html'), 'new');
  t.equal(await sh('alpha', 'docker exec relay sh -c "wc -c </data/big"'), String(60 << 20));
  t.same(await leftovers('beta'), []);
});

void t.test('a service that fails after the cutover returns by itself, with what was written', async (t) => {
  await start('weak', '-v', 'weak-data:/data', 'stubborn:1');
  await gridferry.transfer('weak', {
    container: 'weak',
    soak: { duration: '60s', failureThreshold: 2 },
    onSoakFailure: 'Rollback',
  });
  await gridferry.until('weak', ({ status }) => (status?.soak?.probes ?? 0) > 0);
  await sh('beta', 'docker exec weak sh -c "echo late >/data/index.html"; docker stop weak');
  const transfer = await rolledBack('weak');
  t.match(transfer.status?.rollback, { cause: 'SoakFailure', data: 'Sync' });
  t.match(transfer.status?.soak, { probes: Number, message: /stopped with exit code/ });
  t.equal(await sh('alpha', 'docker exec weak cat /data/index.html'), 'late');
  t.same(await leftovers('alpha'), []);
  t.same(await leftovers('beta'), []);
});

void t.test('after the window: refused; and of the source only what is its own is deleted', async (t) => {
  await docker('alpha', 'network', 'create', 'old-net');
  await docker('alpha', 'network', 'create', 'shared-net');
  await start('old', '--network', 'old-net', '-v', 'old-data:/data', '-v', 'shared-data:/shared', 'stubborn:1');
  await docker('alpha', 'network', 'connect', 'shared-net', 'old');
  await docker('alpha', 'create', '--name', 'other', '--network', 'shared-net', '-v', 'shared-data:/s', 'stubborn:1');
  const retention = { source: 'DeleteAfterWindow' } as const;
  await start('woken', '-v', 'woken-data:/data', 'stubborn:1');
  await moved('old', { rollbackWindow: '4s', retention });
  await moved('woken', { rollbackWindow: '4s', retention });
  await gridferry.until('woken', (one) => said(one, 'SourceRetained') === 'True UntilWindowOver');
  await docker('alpha', 'start', 'woken');

  const gone = await gridferry.until('old', ({ status }) => status?.sourceDeletedAt !== undefined, 30_000);
  t.equal(gone.status?.canRollback, false);
  t.match(
    findCondition(gone.status?.conditions, 'SourceRetained')?.message,
    /kept: volume shared-data, network shared-net/,
  );
  const names = (kind: string): Promise<string> => docker('alpha', kind, 'ls', '--format', '{{.Name}}');
  t.notMatch(await names('volume'), /^old-data$/m);
  t.match(await names('volume'), /^shared-data$/m);
  t.notMatch(await names('network'), /^old-net$/m);
  t.match(await names('network'), /^shared-net$/m);
  t.notMatch(await docker('alpha', 'ps', '-a', '--format', '{{.Names}}'), /^old$/m);
  t.match(await docker('alpha', 'images', '-q', 'stubborn:1'), /./, 'images stay');
  t.equal(await field('beta', 'old', '{{.State.Running}}'), 'true');

  await gridferry.change('old', { rollback: { data: 'Sync' } });
  await gridferry.until('old', (one) => said(one, 'RolledBack') === 'False SourceDeleted');
  const kept = await gridferry.until('woken', (one) => said(one, 'SourceRetained') === 'True Changed', 30_000);
  t.match(findCondition(kept.status?.conditions, 'SourceRetained')?.message, /woken runs on server alpha/);
  t.match(await names('volume'), /^woken-data$/m);
  t.same(await leftovers('alpha'), [], 'the marks are gone');
  await gridferry.client.delete(Transfers, { namespace: 'default', name: 'woken' });
});

import t from 'tap';
import type { Test } from 'tap';
import type { Transfer } from '../../src/api/resources.ts';
import { connectEngine } from '../../src/docker/engine.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { fleetDown, fleetUp, shapeLink } from '../../src/sandbox/fleet.ts';
import type { FleetServer } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { copyTree } from '../../src/volumes/copy.ts';
import { openWorkbench } from '../../src/volumes/open-workbench.ts';
import type { Workbench } from '../../src/volumes/workbench.ts';
import { appendImage, startAppending } from '../support/append-service.ts';
import { fleetShell } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';

const FLEET = 't-precopy';
const MIB = 1 << 20;
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.82.0/24' });
const { docker, sh, python, field } = fleetShell(FLEET);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
await Promise.all([gridferry.addServers(fleet), importTinyImage(FLEET, 'alpha', 'append:1', appendImage)]);

const DATA = '/var/lib/docker/volumes';
const addresses = fleet.servers.map(({ address }) => address);

async function startService(name: string, port: number): Promise<void> {
  await docker('alpha', 'run', '-d', '--name', name, '-p', `${String(port)}:80`, '-v', `${name}:/data`, 'append:1');
}

const startedAt = (name: string): Promise<string> =>
  field('alpha', name, '{{.State.Running}} {{.State.StartedAt}} {{.HostConfig.RestartPolicy.Name}}');

function conditionOf({ status }: Transfer, type: string): string {
  const found = findCondition(status?.conditions, type);
  return `${found?.status ?? ''} ${found?.reason ?? ''}`;
}

function passesOf({ status }: Transfer, name: string) {
  return status?.volumes?.find((volume) => volume.name === name)?.passes ?? [];
}

async function completed(t: Test, name: string): Promise<Transfer> {
  const transfer = await gridferry.ended(name);
  t.equal(transfer.status?.phase, 'Completed', JSON.stringify(transfer.status?.failure));
  return transfer;
}

async function openBench(t: Test, server: FleetServer): Promise<Workbench> {
  const host = await logIn(fleet, server);
  const engine = await connectEngine(host);
  const bench = await openWorkbench({
    host,
    docker: engine.docker,
    locations: [{ kind: 'volume', name: 'lanes' }],
    name: 'lanes',
    labels: {},
  });
  t.teardown(async () => {
    await bench.close();
    engine.close();
    await host.close();
  });
  return bench;
}

/** Rewrites this many of a file's pages, spread over all of it. */
const rewritePages = `
import os, random, sys
path, pages = sys.argv[1], int(sys.argv[2])
random.seed(7)
with open(path, 'r+b') as file:
    for page in random.sample(range(os.path.getsize(path) // 8192), pages):
        file.seek(page * 8192)
        file.write(os.urandom(8192))
`;
import { logIn } from '../support/log-in.ts';

await t.test('a held transfer stays fresh, and of a big file only what changed is sent', async (t) => {
  await startService('held', 8081);
  await sh('alpha', 'dd if=/dev/urandom of="$1" bs=1M count=100 status=none', `${DATA}/held/_data/big`);
  const before = await startedAt('held');
  const load = startAppending(addresses, 8081);
  await gridferry.transfer('held', { container: 'held', cutover: 'Manual' });
  const ready = await gridferry.until('held', (transfer) => conditionOf(transfer, 'ReadyToCutOver') === 'True Fresh');
  t.match(ready.status, {
    currentStep: 'await-cutover',
    phase: 'Uploading',
    message: /set spec\.cutoverNow to true/,
    precopy: { converged: true, bytesPerSecond: Number, predictedDowntimeSeconds: Number, lastSyncTime: String },
    predictedDowntimeSeconds: Number,
  });

  await sh('alpha', 'echo "while it was held" >"$1"', `${DATA}/held/_data/note`);
  await python('alpha', rewritePages, `${DATA}/held/_data/big`, String(Math.floor((100 * MIB) / 8192 / 100)));
  const written = Date.now();
  await gridferry.until('held', ({ status }) => Date.parse(status?.precopy?.lastSyncTime ?? '') > written);
  t.equal(await sh('beta', 'cat "$1"', `${DATA}/held/_data/note`), 'while it was held', 'it was brought while held');

  await gridferry.restart();
  const restarted = Date.now();
  await gridferry.until('held', ({ status }) => Date.parse(status?.precopy?.lastSyncTime ?? '') > restarted);
  await gridferry.change('held', { suspend: true });
  await gridferry.until('held', (transfer) => conditionOf(transfer, 'Succeeded') === 'Unknown Suspended');
  await gridferry.change('held', { suspend: false });
  await gridferry.until('held', (transfer) => conditionOf(transfer, 'Succeeded') === 'Unknown Progressing');
  t.equal(await startedAt('held'), before, 'the service was never touched');

  await gridferry.change('held', { cutoverNow: true });
  const { status } = await completed(t, 'held');
  await load.stop();
  t.equal(status?.steps?.find(({ name }) => name === 'await-cutover')?.attempts, 1, 'holding is no attempt');
  const stored = new Set((await sh('beta', 'cat "$1"', `${DATA}/held/_data/writes`)).split('\n'));
  t.same(
    load.acknowledged.filter((number) => !stored.has(String(number))),
    [],
    'every acknowledged write is at the target',
  );
  const later = passesOf({ status } as Transfer, 'held').slice(1);
  t.ok(later.some(({ kind }) => kind === 'Final'));
  const sent = later.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  t.ok(sent <= 100 * MIB * 0.06, `${String(sent)} bytes after the first copy`);
});

await t.test('a service is stopped at its time, not before, and the bandwidth limit is kept', async (t) => {
  await startService('timed', 8082);
  await sh('alpha', 'dd if=/dev/urandom of="$1" bs=1M count=20 status=none', `${DATA}/timed/_data/file`);
  const time = new Date(Date.now() + 12_000).toISOString();
  await gridferry.transfer('timed', { container: 'timed', cutover: time, bandwidthLimit: '5M' });
  await gridferry.until('timed', (transfer) => conditionOf(transfer, 'ReadyToCutOver') === 'True Fresh');
  const { status } = await completed(t, 'timed');
  t.ok(Date.parse(status?.downtimeStart ?? '') >= Date.parse(time), `${status?.downtimeStart ?? ''} is before ${time}`);
  const [first] = passesOf({ status } as Transfer, 'timed');
  t.ok((first?.durationMs ?? 0) >= (20 * MIB) / 5000 - 500, `${String(first?.durationMs)} ms for 20 MiB at 5 MB/s`);
});

await t.test('over a slow link, data that shrink are compressed once the link is known', async (t) => {
  await startService('text', 8084);
  await sh('alpha', 'od -An -x /dev/urandom | head -c 80M >"$1"', `${DATA}/text/_data/file`);
  await shapeLink(FLEET, 'beta', { rateMbit: 60 });
  t.teardown(() => shapeLink(FLEET, 'beta', undefined));
  await gridferry.transfer('text', { container: 'text' });
  const { status } = await completed(t, 'text');
  t.equal(status?.transport?.compression, 'zstd');
  const [first] = passesOf({ status } as Transfer, 'text');
  t.ok((first?.bytesSent ?? Infinity) < 75 * MIB, `${String(first?.bytesSent)} bytes sent`);
});

await t.test('files go through several channels into an empty tree, and arrive as they were', async (t) => {
  const root = `${DATA}/lanes/_data`;
  for (const server of ['alpha', 'beta'] as const) await docker(server, 'volume', 'create', 'lanes');
  await sh(
    'alpha',
    `cd "$1" && head -c 70M /dev/urandom >big && chmod 640 big && chown 1000:1001 big && mkdir -p "a b/c" && ln -s /etc out
    for i in $(seq 30); do head -c 1M /dev/urandom >"a b/c/file $i"; done
    printf x >"$(printf 'new\\nline')" && echo y >one && ln one two && truncate -s 4M holes && chmod 700 "a b" && touch -d 2001-02-03 "a b"`,
    root,
  );
  const [source, target] = (await Promise.all(fleet.servers.map((server) => openBench(t, server)))) as [
    Workbench,
    Workbench,
  ];
  const pass = await copyTree({ source, sourcePath: root, target, targetPath: root, running: true, channels: 4 });
  t.ok(pass.bytesOnWire > 100 * MIB && pass.bytesOnWire < 110 * MIB, `${String(pass.bytesOnWire)} bytes sent`);
  const list = `cd "$1" && find . -printf '%p %y %m %U:%G %s %T@ %n %l\\n' | sort && find . -type f -print0 | sort -z | xargs -0 md5sum`;
  t.equal(await sh('beta', list, root), await sh('alpha', list, root));
});

await t.test(
  'a service that writes faster than the link: Fail leaves it alone, Wait goes on, Proceed stops it',
  async (t) => {
    await startService('busy', 8083);
    await docker(
    'alpha', 'exec', '-d', 'busy', 'sh', '-c',
    'while :; do dd if=/dev/urandom of=/data/hot bs=1M count=10 conv=notrunc 2>/dev/null; sleep 0.3; done',
  ); // prettier-ignore
    const before = await startedAt('busy');
    await shapeLink(FLEET, 'beta', { rateMbit: 60 });
    t.teardown(() => shapeLink(FLEET, 'beta', undefined));
    const spec = { container: 'busy', maxDowntime: '1500ms' };
    await gridferry.transfer('busy', { ...spec, onNoConvergence: 'Fail' });
    const failed = await gridferry.ended('busy');
    t.match(failed.status, { phase: 'Failed', failure: { code: 'GF_TRANSFER_NOT_CONVERGING' } });
    t.match(failed.status?.failure?.message, /predicted downtime .* maxDowntime \(1500ms\).*was not stopped/);
    t.equal(await startedAt('busy'), before, 'the service was never touched');

    await gridferry.change('busy', { onNoConvergence: 'Wait', retryToken: '2' });
    const waiting = await gridferry.until(
      'busy',
      (transfer) => conditionOf(transfer, 'ReadyToCutOver') === 'False NotConverging',
    );
    t.match(waiting.status?.message, /further rounds do not help: .*spec\.cutoverNow/);
    t.equal(waiting.status?.precopy?.converged, false);
    await gridferry.until(
      'busy',
      ({ status }) => (status?.precopy?.rounds ?? 0) > (waiting.status?.precopy?.rounds ?? Infinity),
    );
    t.equal(await startedAt('busy'), before, 'the service was never touched');

    await gridferry.change('busy', { onNoConvergence: 'Proceed' });
    const { status } = await completed(t, 'busy');
    t.match(status?.conditions?.find(({ type }) => type === 'ReadyToCutOver')?.message, /Proceed/);
  },
);

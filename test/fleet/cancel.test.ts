import t from 'tap';
import { Transfers } from '../../src/api/resources.ts';
import type { Transfer, TransferSpec } from '../../src/api/resources.ts';
import { findCondition } from '../../src/runtime/conditions.ts';
import { fleetDown, fleetUp, shapeLink } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';

const FLEET = 't-cancel';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.48.0/24' });
const { docker, sh, inspect, field, everything, leftovers, clear } = fleetShell(FLEET);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
await Promise.all([
  gridferry.addServers(fleet),
  ...(['alpha', 'beta'] as const).map((server) => importTinyImage(FLEET, server, 'web:1', webImage)),
]);

/** All of the target but untagged images: one that has arrived stays, and spares the next try the way. */
async function target(): Promise<string[]> {
  return (await everything('beta', '/srv')).filter((line) => !line.startsWith('image <none>'));
}

// Both servers have an image of this name, and not the same one.
const imageAtTarget = await docker('beta', 'image', 'inspect', '-f', '{{.Id}}', 'web:1');

async function clearBoth(): Promise<void> {
  await Promise.all([clear('alpha', '/srv'), clear('beta', '/srv')]);
  await docker('beta', 'tag', imageAtTarget, 'web:1');
}

const targetAtFirst = await target();

interface ServiceOptions {
  readonly flags?: readonly string[];
  readonly command?: readonly string[];
}

/** A service with everything that has to be undone: network, volume, bind mount, port. */
async function startService(name: string, { flags = [], command = [] }: ServiceOptions = {}): Promise<void> {
  await docker('alpha', 'network', 'create', `${name}-net`);
  await sh('alpha', 'mkdir -p "/srv/$1/site" && echo "page of $1" >"/srv/$1/site/page"', name);
  await docker(
    'alpha',
    'run',
    '-d',
    '--name',
    name,
    '--restart',
    'on-failure:2',
    '--network',
    `${name}-net`,
    '-p',
    '8080:80',
    '-v',
    `${name}-data:/data`,
    '-v',
    `/srv/${name}/site:/site`,
    ...flags,
    'web:1',
    ...command,
  );
  await sh('alpha', 'until docker exec "$1" wget -qO- http://127.0.0.1/ 2>/dev/null; do sleep 0.1; done', name);
}

/** A service, its transfer, and a wait until the transfer is where it shall be disturbed. */
async function under(
  test: Pick<typeof t, 'teardown'>,
  name: string,
  spec: Partial<TransferSpec>,
  condition: (transfer: Transfer) => boolean,
  options: ServiceOptions = {},
): Promise<Transfer> {
  test.teardown(clearBoth);
  await startService(name, options);
  await gridferry.transfer(name, { container: name, ...spec });
  return gridferry.until(name, condition, 30_000);
}

const runs =
  (step: string) =>
  ({ status }: Transfer): boolean =>
    status?.steps?.some(({ name, state }) => name === step && state === 'Running') === true;

async function cancelled(name: string): Promise<Transfer> {
  await gridferry.change(name, { cancel: true });
  const transfer = await gridferry.ended(name, 60_000);
  t.equal(transfer.status?.phase, 'Cancelled', transfer.status?.message ?? '');
  t.match(findCondition(transfer.status?.conditions, 'Succeeded'), { status: 'False', reason: 'Cancelled' });
  return transfer;
}

type Assertions = Pick<typeof t, 'match' | 'notMatch' | 'same' | 'equal'>;

/** The source runs as it did, and nothing tells that there ever was a transfer. */
async function asBefore(test: Assertions, name: string): Promise<void> {
  const { State, HostConfig } = await inspect('alpha', name);
  test.match(State, { Running: true, Status: 'running' }, 'the source runs');
  test.same(
    HostConfig['RestartPolicy'],
    { Name: 'on-failure', MaximumRetryCount: 2 },
    'its restart policy is as it was',
  );
  await sh('alpha', 'until docker exec "$1" wget -qO- http://127.0.0.1/ 2>/dev/null; do sleep 0.1; done', name);
  test.equal(await sh('alpha', 'cat "/srv/$1/site/page"', name), `page of ${name}`);
  test.same(await leftovers('alpha'), [], 'nothing is left at the source');
  test.same(await leftovers('beta'), [], 'nothing is left at the target');
  for (const server of ['alpha', 'beta'] as const) {
    test.notMatch(await sh(server, 'iptables-save'), /gridferry/i, `no connection is passed on by ${server}`);
  }
  test.same(await target(), targetAtFirst, 'the target is as it was');
}

void t.test('Pending: a transfer that waits for another one goes without a trace', async (t) => {
  await under(
    t,
    'pending',
    { suspend: false, soak: { duration: '60s', failureThreshold: 3 } },
    ({ status }) => status?.sourceServer !== undefined,
  );
  await gridferry.transfer('waiting', { container: 'pending' });
  await gridferry.until('waiting', ({ status }) => status?.queuePosition === 1);
  const waiting = await cancelled('waiting');
  t.equal(waiting.status?.startTime, undefined, 'it never began');
  await cancelled('pending');
  await asBefore(t, 'pending');
});

void t.test('Preparing: a cancel ends the wait for another Gridferry, whose mark stays', async (t) => {
  const until = String(Number(await sh('beta', 'date +%s')) + 600);
  const mark = `gridferry-lock-preparing.${until}.abcdef012345`;
  const labels = { lock: 'preparing', 'lock-holder': 'other', 'lock-holder-name': 'x/y', 'lock-until': until };
  await docker(
    'beta',
    ...['volume', 'create', '--name', mark],
    ...Object.entries(labels).flatMap(([key, value]) => ['--label', `gridferry.io/${key}=${value}`]),
  );
  const { status } = await under(
    t,
    'preparing',
    {},
    (transfer) =>
      transfer.status?.steps?.some(({ name, reason }) => name === 'lock-servers' && reason !== undefined) === true,
  );
  t.equal(status?.phase, 'Preparing');
  t.match(
    status?.message,
    /server beta says that preparing is being moved by Transfer x\/y of another Gridferry.*it may be taken in \d+ s; or remove the mark there: docker volume rm gridferry-lock-preparing\./,
  );
  await cancelled('preparing');
  t.same(await leftovers('beta'), [`volume ${mark}`]);
  t.same(await leftovers('alpha'), []);
  await docker('beta', 'volume', 'rm', mark);
  await asBefore(t, 'preparing');
});

void t.test('Uploading: a copy is broken off, and suspend lets it end but nothing begin', async (t) => {
  t.teardown(() => shapeLink(FLEET, 'beta', {}));
  await shapeLink(FLEET, 'beta', { rateMbit: 20 });
  await startService('upload');
  await docker('alpha', 'exec', 'upload', 'dd', 'if=/dev/urandom', 'of=/data/big', 'bs=1M', 'count=8');
  const id = await field('alpha', 'upload', '{{.State.StartedAt}}');
  await gridferry.transfer('upload', { container: 'upload', forwardFor: '0s' });
  t.teardown(clearBoth);
  const { status } = await gridferry.until(
    'upload',
    (transfer) => runs('upload')(transfer) && (transfer.status?.bytesDone ?? 0) > 0,
  );
  t.equal(status?.phase, 'Uploading');
  await cancelled('upload');
  t.equal(await field('alpha', 'upload', '{{.State.StartedAt}}'), id, 'the source never stopped');
  await asBefore(t, 'upload');

  await gridferry.change('upload', { cancel: false, retryToken: '2' });
  await gridferry.until('upload', runs('upload'));
  await gridferry.change('upload', { suspend: true });
  const held = await gridferry.until(
    'upload',
    (transfer) => transfer.status?.message?.startsWith('suspended') === true,
  );
  t.match(held.status, {
    phase: 'Uploading',
    message: /suspended before step create-containers: set spec.suspend to false/,
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  t.equal(await docker('beta', 'ps', '-aq', '--filter', 'name=upload'), '', 'nothing more was made');
  await shapeLink(FLEET, 'beta', {});
  await gridferry.change('upload', { suspend: false });
  const done = await gridferry.ended('upload');
  t.equal(done.status?.phase, 'Completed', done.status?.message ?? '');
  t.match(done.status?.attempts, [{ phase: 'Cancelled' }]);
});

void t.test('Restoring: a container that is slow to stop is started again', async (t) => {
  // It ignores the signal, and dies by the timeout.
  const { status } = await under(t, 'slow', {}, runs('quiesce-source'), {
    flags: ['--stop-timeout', '3', '--stop-signal', 'SIGURG'],
  });
  t.equal(status?.phase, 'Restoring');
  await cancelled('slow');
  await asBefore(t, 'slow');
});

void t.test('Restoring: a health check that never passes can be given up', async (t) => {
  const healthCheck = { http: { path: '/missing', port: 80 }, timeout: '100s' } as never;
  await under(t, 'hopeless', { healthCheck }, runs('check-local-health'));
  t.equal(await field('alpha', 'hopeless', '{{.State.Running}}'), 'false');
  await cancelled('hopeless');
  await asBefore(t, 'hopeless');
});

void t.test('a failing health check at the target puts the source back, and a retry can mend it', async (t) => {
  const healthCheck = { http: { path: '/later', port: 80 }, timeout: '1s' } as never;
  await under(t, 'sick', { healthCheck, forwardFor: '0s' }, ({ status }) => status !== undefined);
  const failed = await gridferry.ended('sick');
  t.match(failed.status, { phase: 'Failed', failure: { step: 'check-local-health', code: 'GF_HEALTH_TIMEOUT' } });
  t.match(failed.status?.message, /HTTP 404.* Look at the container's logs, or correct .* The source is as it was\./s);
  await asBefore(t, 'sick');

  await docker('alpha', 'exec', 'sick', 'sh', '-c', 'echo ok >/data/later');
  await gridferry.change('sick', { retryToken: 'now' });
  await gridferry.until('sick', ({ status }) => status?.attempts?.length === 1);
  const done = await gridferry.ended('sick');
  t.equal(done.status?.phase, 'Completed', done.status?.message ?? '');
  t.match(done.status?.attempts, [{ phase: 'Failed' }]);
  t.equal(await docker('beta', 'exec', 'sick', 'cat', '/data/later'), 'ok');
});

void t.test('a container that dies at the target puts the source back', async (t) => {
  // The host's name is the server's own, and so is not carried along.
  const dies = 'read -r name <"$SERVER"; [ "$name" != beta ] || exit 7; exec /start';
  const flags = ['-e', 'SERVER=/server', '-v', '/etc/hostname:/server:ro', '--entrypoint', 'sh'];
  await under(t, 'dying', {}, () => true, { flags, command: ['-c', dies] });
  const failed = await gridferry.ended('dying', 90_000);
  t.match(failed.status, { phase: 'Failed', failure: { code: 'GF_CONTAINER_EXITED' } });
  t.match(failed.status?.message, /dying.* ended with exit code 7/);
  await asBefore(t, 'dying');
});

void t.test('Verifying: what was written at the target comes back to the source', async (t) => {
  const { status } = await under(t, 'verifying', { soak: { duration: '60s', failureThreshold: 3 } }, runs('soak'));
  t.equal(status?.phase, 'Verifying');
  t.ok(status?.committedAt);
  t.match(status?.forward, { state: 'Active', ports: ['8080'] });
  await docker(
    'beta',
    'exec',
    'verifying',
    'sh',
    '-c',
    'echo new >/data/index.html; echo more >/data/more; chown 70:70 /data/more; echo "page of verifying" >/site/page; echo also >/site/also; echo outside >/etc/outside',
  );
  await cancelled('verifying');
  t.equal(
    await docker(
      'alpha',
      'exec',
      'verifying',
      'sh',
      '-c',
      'cat /data/index.html /data/more /site/also /etc/outside; stat -c %u /data/more',
    ),
    'new\nmore\nalso\noutside\n70',
  );
  await asBefore(t, 'verifying');
});

void t.test('deleting an active transfer undoes it; then the object is gone', async (t) => {
  await under(
    t,
    'deleted',
    { healthCheck: { http: { path: '/missing', port: 80 }, timeout: '100s' } as never },
    runs('check-local-health'),
  );
  await gridferry.client.delete(Transfers, { namespace: 'default', name: 'deleted' });
  const gone = async (): Promise<boolean> =>
    (await gridferry.client.list(Transfers, { namespace: 'default' })).items.every(
      ({ metadata }) => metadata.name !== 'deleted',
    );
  for (const end = Date.now() + 30_000; !(await gone()) && Date.now() < end;)
    await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(await gone(), true);
  await asBefore(t, 'deleted');
});

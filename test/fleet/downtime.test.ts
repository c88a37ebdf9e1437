import t from 'tap';
import type { Transfer } from '../../src/api/resources.ts';
import { fleetDown, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { appendImage, startAppending } from '../support/append-service.ts';
import { fleetShell } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';

const FLEET = 't-downtime';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.54.0/24' });
const { docker, sh, inspect, field, leftovers } = fleetShell(FLEET);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
await Promise.all([gridferry.addServers(fleet), importTinyImage(FLEET, 'alpha', 'app:1', appendImage)]);
const addresses = fleet.servers.map(({ address }) => address);

async function completed(name: string): Promise<Transfer> {
  const transfer = await gridferry.ended(name);
  t.equal(transfer.status?.phase, 'Completed', JSON.stringify(transfer.status?.failure));
  return transfer;
}

/** A container that notes when it begins, and does this when it is told to stop. */
async function run(name: string, onStop: string, ...flags: string[]): Promise<void> {
  await docker(
    'alpha',
    ...['run', '-d', '--name', name, '-v', `${name}:/data`, ...flags, '--entrypoint', 'sh', 'app:1', '-c'],
    `trap '${onStop}' TERM; echo begun >>/data/log; while :; do sleep 0.1; done`,
  );
}

/** Runs a script on alpha as soon as the container's first process is gone. */
async function whenGone(name: string, script: string): Promise<{ readonly ended: Promise<string> }> {
  const pid = await field('alpha', name, '{{.State.Pid}}');
  return { ended: sh('alpha', `tail -s 0.01 --pid="$1" -f /dev/null; ${script}`, pid) };
}

/** Milliseconds since the epoch; Docker tells nanoseconds. */
async function time(server: 'alpha' | 'beta', name: string, what: 'StartedAt' | 'FinishedAt'): Promise<number> {
  return Date.parse(await field(server, name, `{{.State.${what}}}`));
}

async function logOf(name: string): Promise<string> {
  return sh('beta', 'cat "$(docker volume inspect -f "{{.Mountpoint}}" "$1")/log"', name);
}

const stepOf = ({ status }: Transfer, name: string): { readonly state: string } | undefined =>
  status?.steps?.find((step) => step.name === name);

void t.test('the status says where the downtime went, and nothing acknowledged is lost', async (t) => {
  await docker('alpha', 'run', '-d', '--name', 'app', '-p', '8080:80', '-v', 'app:/data', 'app:1');
  const load = startAppending(addresses, 8080);
  await gridferry.transfer('app', {
    forwardFor: '0s',
    container: 'app',
    healthCheck: { http: { path: '/health', port: 80 } } as never,
  });
  const { status } = await completed('app');
  await load.stop();
  const { downtimeStart = '', downtimeEnd = '', downtimeSeconds = 0, downtime = {} } = status ?? {};
  const totalMs = Date.parse(downtimeEnd) - Date.parse(downtimeStart);
  t.equal(downtimeSeconds * 1000, totalMs);
  t.same(Object.keys(downtime).toSorted(), ['deltaMs', 'healthyMs', 'otherMs', 'startMs', 'stopMs', 'verifyMs']);
  const sum = Object.values(downtime).reduce<number>((all, ms) => all + (ms ?? 0), 0);
  // Each part is rounded to the millisecond.
  t.ok(Math.abs(sum - totalMs) <= 6, `${JSON.stringify(downtime)} of ${String(totalMs)} ms`);
  const written = new Set((await docker('beta', 'exec', 'app', 'cat', '/data/writes')).split('\n'));
  t.same(
    load.acknowledged.filter((number) => !written.has(String(number))),
    [],
  );
});

void t.test('while Docker cleans up, data are copied and compared, and nothing starts at the target', async (t) => {
  await run('frozen', 'echo ended >>/data/log; exit 0');
  const freeze = await whenGone('frozen', 'kill -STOP $(pidof dockerd)');
  await gridferry.transfer('frozen', { forwardFor: '0s', container: 'frozen', writableLayer: 'Discard' });
  await freeze.ended;
  const thaw = (): Promise<string> => sh('alpha', 'kill -CONT $(pidof dockerd)');
  try {
    await gridferry.until('frozen', (transfer) => stepOf(transfer, 'start-target')?.state === 'Running', 30_000);
    t.equal(await logOf('frozen'), 'begun\nended', 'the last write is there');
    t.equal((await inspect('beta', 'frozen')).State.Status, 'created');
  } finally {
    await thaw();
  }
  await completed('frozen');
  t.ok((await time('beta', 'frozen', 'StartedAt')) > (await time('alpha', 'frozen', 'FinishedAt')));
});

void t.test('without the watch on its processes the stop is known a little later', async (t) => {
  await run('unwatched', 'sleep 1; echo ended >>/data/log; exit 0');
  await gridferry.transfer('unwatched', { forwardFor: '0s', container: 'unwatched' });
  // The shell around the watch ends with it; the container's own shell is not meant.
  await sh('alpha', 'until pkill -x tail; do sleep 0.02; done');
  const { status } = await completed('unwatched');
  t.equal(await logOf('unwatched'), 'begun\nended\nbegun');
  t.type(status?.downtime?.stopMs, 'number');
});

void t.test('a connection that breaks right after the stop costs time and nothing else', async (t) => {
  await run('cut', 'echo ended >>/data/log; exit 0');
  const cut = await whenGone('cut', 'pkill -f "^sshd: root"');
  await gridferry.transfer('cut', { forwardFor: '0s', container: 'cut' });
  await cut.ended;
  await completed('cut');
  t.equal(await logOf('cut'), 'begun\nended\nbegun');
  t.equal((await inspect('alpha', 'cut')).State.Running, false);
});

void t.test('a container that does not listen is killed after its own timeout', async (t) => {
  await run('deaf', '', '--stop-timeout', '1');
  await gridferry.transfer('deaf', { forwardFor: '0s', container: 'deaf' });
  await completed('deaf');
  t.equal(await field('alpha', 'deaf', '{{.State.ExitCode}}'), '137');
  t.equal(await logOf('deaf'), 'begun\nbegun');
});

void t.test('dependents stop first and start last, and those that do not depend on each other at once', async (t) => {
  const labels = (service: string, dependsOn: string): string[] =>
    Object.entries({
      project: 'blog',
      service,
      depends_on: dependsOn,
      oneoff: 'False',
      'container-number': '1',
    }).flatMap(([key, value]) => ['--label', `com.docker.compose.${key}=${value}`]);
  const quick = 'sleep 0.3; exit 0';
  await run('blog-db-1', quick, ...labels('db', ''));
  await run('blog-cache-1', quick, ...labels('cache', ''));
  await run('blog-web-1', quick, ...labels('web', 'db:service_started:false,cache:service_started:false'));
  await gridferry.transfer('blog', { forwardFor: '0s', composeProject: 'blog' });
  await completed('blog');
  for (const needed of ['blog-db-1', 'blog-cache-1']) {
    t.ok((await time('alpha', 'blog-web-1', 'FinishedAt')) < (await time('alpha', needed, 'FinishedAt')));
    t.ok((await time('beta', needed, 'StartedAt')) < (await time('beta', 'blog-web-1', 'StartedAt')));
  }
});

void t.test('nothing is left that stood by', async (t) => {
  // By their names: the look itself has these words in its arguments.
  const standing = 'ps -eo comm= | grep -xE "rsync|tail|python3" || true';
  for (const server of ['alpha', 'beta'] as const) {
    t.equal(await sh(server, standing), '');
    t.same(
      // What was moved bears the transfer's mark, and stays.
      (await leftovers(server)).filter((line) => !/^(container|volume|network) [a-z0-9]/.test(line)),
      [],
    );
  }
});

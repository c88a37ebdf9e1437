import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Transfer } from '../../src/api/resources.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import { fleetDown, fleetUp, shapeLink } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell } from '../support/fleet-shell.ts';
import type { ServerName } from '../support/fleet-shell.ts';
import { prepareProcessHome, startGridferryProcess } from '../support/gridferry-process.ts';
import type { ProcessHome } from '../support/gridferry-process.ts';
import { watchContainers } from '../support/sightings.ts';

/** kill -9 of the real program at every place where it hurts, and the next start: on real servers. */

const FLEET = 't-crash';
const AT_ONCE = 4;
t.setTimeout(600_000);

/** It stops slowly, and writes to its volume as it does: what makes the moments of a stop and a last copy long. */
const image = {
  files: {
    '/start': {
      content: `#!/bin/sh
stop() {
  [ -z "$LAST_MB" ] || dd if=/dev/urandom of=/data/last bs=1M count="$LAST_MB" 2>/dev/null
  sleep "\${STOP_SECONDS:-0}"
  exit 0
}
trap stop TERM
httpd -p 80 -h /www
while :; do sleep 3600 & wait $!; done
`,
      mode: 0o755,
    },
    '/www/index.html': 'here\n',
  },
  changes: ['ENTRYPOINT ["/start"]', 'EXPOSE 80'],
};

interface View {
  readonly status: Transfer['status'];
  /** Whether Docker reported that of the case's container. */
  seen(server: ServerName, action: string): boolean;
}

interface Case {
  readonly name: string;
  readonly when: string;
  readonly dies: (view: View) => boolean;
  /** When the user cancels. */
  readonly cancels?: (view: View) => boolean;
  readonly megabytes?: number;
  readonly lastMegabytes?: number;
  readonly stopSeconds?: number;
  readonly soak?: string;
  readonly dns?: true;
}

const running = (view: View, step: string): boolean => stateOf(view, step) === 'Running';
const stateOf = ({ status }: View, step: string): string | undefined =>
  status?.steps?.find(({ name }) => name === step)?.state;
const undoing = ({ status }: View): boolean =>
  status?.steps?.some(({ state }) => state === 'Undoing' || state === 'Undone') === true;

const cloudflare = await startCloudflareStandIn({
  token: 'demo',
  zones: [
    { name: 'ferry.example', records: [{ type: 'A', name: 'dns.ferry.example', content: '10.99.51.11', ttl: 300 }] },
  ],
});
const dnsContent = (): string | undefined =>
  cloudflare.records('ferry.example').find(({ name }) => name === 'dns.ferry.example')?.content;

const cases: readonly Case[] = [
  {
    name: 'uploading',
    when: 'while it uploads',
    megabytes: 40,
    dies: (view) => running(view, 'upload') && (view.status?.bytesDone ?? 0) > 0,
  },
  { name: 'pending', when: 'while it is Pending', dies: ({ status }) => status?.phase === 'Pending' },
  { name: 'preparing', when: 'while it prepares', dies: ({ status }) => status?.phase === 'Preparing' },
  { name: 'created', when: 'when the container was created at the target', dies: ({ seen }) => seen('beta', 'create') },
  { name: 'stopping', when: 'while the source stops', stopSeconds: 2, dies: (view) => running(view, 'quiesce-source') },
  { name: 'stopped', when: 'right after the source was stopped', dies: ({ seen }) => seen('alpha', 'die') },
  {
    name: 'delta',
    when: 'in the middle of the last copy',
    lastMegabytes: 24,
    dies: (view) => running(view, 'copy-final-delta'),
  },
  { name: 'started', when: 'right after the target was started', dies: ({ seen }) => seen('beta', 'start') },
  {
    name: 'dns',
    when: 'when DNS was changed and the answer is lost',
    dns: true,
    dies: () => dnsContent() === '10.99.51.12',
  },
  {
    name: 'verifying',
    when: 'while it watches the service at the target',
    soak: '3s',
    dies: (view) => running(view, 'soak'),
  },
  {
    name: 'undoing',
    when: 'while a cancelled move is undone',
    lastMegabytes: 24,
    cancels: (view) => running(view, 'copy-final-delta'),
    dies: undoing,
  },
  {
    name: 'cancelled',
    when: 'when it was cancelled while the source stops',
    stopSeconds: 5,
    cancels: (view) => running(view, 'quiesce-source'),
    dies: ({ status }) => status?.outcome === 'Cancelled',
  },
];

t.teardown(() => fleetDown(FLEET));
t.teardown(() => cloudflare.close());
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.51.0/24', servers: ['alpha', 'beta'] });
const { docker, sh, leftovers } = fleetShell(FLEET);
const folder = await mkdtemp(join(tmpdir(), 'gridferry-crash-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

const sightings = await watchContainers(t, FLEET);
await Promise.all((['alpha', 'beta'] as const).map((server) => importTinyImage(FLEET, server, 'crash:1', image)));
await shapeLink(FLEET, 'beta', { rateMbit: 160 });

async function hashOf(server: ServerName, volume: string): Promise<string> {
  const script =
    'cd "/var/lib/docker/volumes/$1/_data" && find . -type f ! -name last | sort | xargs sha256sum | sha256sum';
  return sh(server, script, volume);
}

async function wholeHashOf(server: ServerName, volume: string): Promise<string> {
  return sh(
    server,
    'cd "/var/lib/docker/volumes/$1/_data" && find . -type f | sort | xargs sha256sum | sha256sum',
    volume,
  );
}

async function startService(one: Case, port: number): Promise<void> {
  const { name, megabytes = 4 } = one;
  await docker('alpha', 'volume', 'create', name);
  const fill =
    'cd "/var/lib/docker/volumes/$1/_data" && dd if=/dev/urandom of=big bs=1M count="$2" 2>/dev/null && mkdir many && for i in 1 2 3 4 5 6 7 8 9; do echo $i >many/$i; done';
  await sh('alpha', fill, name, String(megabytes));
  await docker(
    'alpha',
    ...['run', '-d', '--name', name, '--restart', 'always', '-v', `${name}:/data`, '-p', `${String(port)}:80`],
    ...['-e', `STOP_SECONDS=${String(one.stopSeconds ?? 0)}`, '-e', `LAST_MB=${String(one.lastMegabytes ?? '')}`],
    'crash:1',
  );
}

interface Home extends ProcessHome {
  cancel(): Promise<void>;
}

async function prepareHome(one: Case): Promise<Home> {
  const home = await prepareProcessHome(t, join(folder, one.name), fleet);
  if (one.dns) {
    await home.write(
      'platform.yaml',
      `apiVersion: gridferry.io/v1alpha1
kind: PlatformConfig
metadata: {name: default}
spec:
  domain: ferry.example
  cloudflare: {apiTokenRef: {name: cloudflare, key: token}, apiBaseURL: ${cloudflare.baseUrl}}
  resolvers: ['${cloudflare.dnsAddress}']
`,
    );
  }
  const writeTransfer = (cancel: boolean): Promise<void> =>
    home.write(
      'move.yaml',
      `apiVersion: gridferry.io/v1alpha1
kind: Transfer
metadata: {name: move}
spec:
  container: ${one.name}
  sourceServerRef: {name: alpha}
  targetServerRef: {name: beta}
  healthCheck: {http: {path: /, port: 80}}
  soak: { duration: ${one.soak ?? '500ms'} }
  forwardFor: 0s
  cancel: ${String(cancel)}
`,
    );
  await writeTransfer(false);
  return { ...home, cancel: () => writeTransfer(true) };
}

/** Runs until the moment has come, and kills. Answers the state it left behind. */
async function runAndKill(one: Case, home: Home): Promise<Transfer['status']> {
  const { child, exit, said } = startGridferryProcess(t, home.args);
  const seen: View['seen'] = (server, action) => sightings.count(server, one.name, action) > 0;
  let cancelled = false;
  for (const deadline = Date.now() + 180_000; Date.now() < deadline;) {
    const status = await home.status();
    const view = { status, seen };
    if (one.cancels?.(view) === true && !cancelled) {
      cancelled = true;
      await home.cancel();
    }
    if (one.dies(view)) {
      child.kill('SIGKILL');
      await exit;
      return home.status();
    }
    if (status?.completionTime !== undefined || child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  child.kill('SIGKILL');
  throw new Error(`the moment never came: ${said()}\n${JSON.stringify(await home.status(), null, 1)}`);
}

async function tryCase(one: Case, port: number): Promise<() => Promise<unknown>> {
  const home = await prepareHome(one);
  await startService(one, port);
  const before = await hashOf('alpha', one.name);
  if (one.dns === true) cloudflare.fail({ how: 'lost-answer', method: 'POST', path: 'batch' });
  const left = await runAndKill(one, home);
  const again = startGridferryProcess(t, [...home.args, '--once']);
  const code = await again.exit;
  const status = await home.status();

  return () =>
    t.test(`killed ${one.when}`, async (t) => {
      t.comment(`left ${left?.phase ?? 'nothing'} at ${left?.currentStep ?? '-'}: ${left?.message ?? ''}`);
      t.equal(left?.completionTime, undefined, 'it was killed before its end');
      const wanted = one.cancels === undefined ? 'Completed' : 'Cancelled';
      t.equal(status?.phase, wanted, `${status?.message ?? ''} ${again.said()}`);
      t.equal(sightings.overlaps(one.name), 0, 'never did both run');
      const state = (server: ServerName): Promise<string> =>
        docker(server, 'inspect', '-f', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', one.name);
      if (wanted === 'Completed') {
        t.equal(code, 0, again.said());
        t.equal(await state('alpha'), 'false no');
        t.equal(await state('beta'), 'true always');
        t.equal(await wholeHashOf('beta', one.name), await wholeHashOf('alpha', one.name), 'all data are there');
        t.equal(await hashOf('beta', one.name), before);
        if (one.dns === true) t.equal(dnsContent(), '10.99.51.12');
      } else {
        t.equal(await state('alpha'), 'true always');
        t.equal(await hashOf('alpha', one.name), before, 'the source is intact');
        t.equal(await docker('beta', 'ps', '-aq', '--filter', `name=^${one.name}$`), '', 'no container is left');
        t.equal(await docker('beta', 'volume', 'ls', '-q', '--filter', `name=^${one.name}$`), '', 'no volume is left');
      }
    });
}

const waiting = cases.map((one, index) => ({ one, port: 8100 + index }));
const verdicts: (() => Promise<unknown>)[] = [];
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { one, port } = next;
      const verdict = await tryCase(one, port).catch(
        (error: unknown) => async () => t.fail(`${one.name}: ${(error as Error).message}`),
      );
      verdicts.push(verdict);
    }
  }),
);
for (const verdict of verdicts) await verdict();

await t.test('nothing of any transfer is left over on either server', async (t) => {
  for (const server of ['alpha', 'beta'] as const) {
    // What was moved keeps the mark of who made it.
    const moved = cases.flatMap(({ name, cancels }) =>
      server === 'beta' && cancels === undefined ? [`container ${name}`, `volume ${name}`] : [],
    );
    t.same(
      (await leftovers(server)).filter((line) => !moved.includes(line)),
      [],
      server,
    );
    t.equal(await sh(server, 'ls -A /var/lib/gridferry 2>/dev/null || true'), '', server);
  }
});

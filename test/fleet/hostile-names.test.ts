import t from 'tap';
import { fleetDown, fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { fleetShell, webImage } from '../support/fleet-shell.ts';
import type { InspectedContainer } from '../support/fleet-shell.ts';
import { startGridferry } from '../support/gridferry.ts';

/** Names that a shell, a template, a log or a list could take for something else, wherever Docker allows them. */

const FLEET = 't-names';
t.setTimeout(240_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.58.0/24' });
const { docker, sh, inspect, leftovers } = fleetShell(FLEET);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());

/** What would be there if any of the names had been run as a program. */
const PROOF = '/tmp/gridferry-was-here';
const HOSTILE = `-rf --help $(touch ${PROOF}) \`touch ${PROOF}\` ';touch ${PROOF};' "&& touch ${PROOF}" \\ ! * ~ {{.ID}} %s\n#ü☃\t`;
/** And as a key, where the command line of Docker lets no white space through. */
const KEY = HOSTILE.replaceAll(/[\s=]/g, '');
/** The same, as a part of a path. */
const PART = HOSTILE.replaceAll('/', '⁄').replaceAll(':', '');
const project = `/srv/${PART}`;
const conf = `${project}/conf ${PART}`.slice(0, 240);

await Promise.all([
  gridferry.addServers(fleet, (server) => {
    // One of the two in the docker group only, so that both ways to a volume meet these names.
    if (server.metadata.name === 'alpha' && server.spec.ssh !== undefined) server.spec.ssh.user = 'deploy';
  }),
  importTinyImage(FLEET, 'alpha', 'odd.name-1/web__x:v1.0_-.', webImage),
]);
await sh(
  'alpha',
  'mkdir -p "$1" "$2" && cd "$2" && echo inside >"$3" && echo compose >"$1/compose.yaml"',
  project,
  conf,
  `-${PART}`.slice(0, 120),
);
await docker('alpha', 'volume', 'create', '--label', `${KEY}=${HOSTILE}`, 'odd.vol_-1');
await docker('alpha', 'network', 'create', '--label', `note=${HOSTILE}`, 'odd.net_-1');
await docker(
  'alpha',
  ...['run', '-d', '--name', 'odd_.-1', '--restart', 'always', '--network', 'odd.net_-1'],
  ...['--network-alias', `alias-${HOSTILE}`, '--network-alias', '-dash'],
  ...['-v', 'odd.vol_-1:/data', '-v', `${conf}:/conf ${PART}`],
  ...['-e', `HOSTILE=${HOSTILE}`, '-e', `${KEY.replaceAll('/', '')}=x`, '-w', `/work ${PART}`],
  ...['--label', `note=${HOSTILE}`, '--label', `${KEY}=y`],
  ...['--label', 'com.docker.compose.project=odd', '--label', 'com.docker.compose.service=web'],
  ...['--label', `com.docker.compose.project.working_dir=${project}`],
  ...['--label', `com.docker.compose.project.config_files=${project}/compose.yaml`],
  ...['--log-opt', `tag=${HOSTILE.replaceAll('{{.ID}}', '')}`],
  ...['odd.name-1/web__x:v1.0_-.', HOSTILE, '--', '-x'],
);
await fleetExec(
  FLEET,
  'alpha',
  [
    'docker',
    'exec',
    '-i',
    'odd_.-1',
    'sh',
    '-c',
    'cat >"/data/$1" && cat "/data/$1" >"/layer $1"',
    'sh',
    `-${PART}`.slice(0, 120),
  ],
  {
    input: 'kept',
  },
);

function told({ Config, HostConfig, Mounts, NetworkSettings }: InspectedContainer): unknown {
  const { Env, Cmd, WorkingDir, Labels } = Config;
  const own = Object.entries(Labels).filter(([name]) => !name.startsWith('gridferry.io/'));
  const aliases = NetworkSettings.Networks['odd.net_-1']?.Aliases?.filter((alias) => !/^[0-9a-f]{12}$/.test(alias));
  return {
    ...{ Env, Cmd, WorkingDir, aliases: aliases?.toSorted(), log: HostConfig['LogConfig'] },
    labels: own.toSorted(),
    mounts: Mounts.map(({ Destination }) => Destination).toSorted(),
  };
}

void t.test('a service with hostile names everywhere moves, and every name arrives as it was', async (t) => {
  const before = await inspect('alpha', 'odd_.-1');
  await gridferry.transfer('odd', { container: 'odd_.-1', healthCheck: { http: { path: '/', port: 80 } } as never });
  const { status } = await gridferry.ended('odd');
  t.equal(status?.phase, 'Completed', JSON.stringify(status?.failure));
  t.same(told(await inspect('beta', 'odd_.-1')), told(before));
  const labels =
    'docker volume inspect -f "{{json .Labels}}" odd.vol_-1; docker network inspect -f "{{json .Labels}}" odd.net_-1';
  const withoutOurs = (text: string): unknown[] =>
    text
      .split('\n')
      .map((line) => Object.entries(JSON.parse(line) as object).filter(([name]) => !name.startsWith('gridferry.io/')));
  t.same(withoutOurs(await sh('beta', labels)), withoutOurs(await sh('alpha', labels)));
  for (const path of ['/data', '/']) {
    const list = [
      'docker',
      'cp',
      `odd_.-1:${path === '/' ? `/layer -${PART}`.slice(0, 127) : `/data/-${PART}`.slice(0, 126)}`,
      '-',
    ];
    t.match((await fleetExec(FLEET, 'beta', list)).stdout, 'kept', path);
  }
  t.equal(await sh('beta', 'cd "$1" && cat ./-*', conf), 'inside');
  t.equal(await sh('beta', 'cat "$1/compose.yaml"', project), 'compose');
});

void t.test('no name was run as a program, and nothing is left behind', async (t) => {
  for (const server of ['alpha', 'beta'] as const) {
    t.equal(await sh(server, `find / -xdev -name gridferry-was-here 2>/dev/null`), '', server);
    t.same(
      (await leftovers(server)).filter((line) => !/^(?:container|volume|network) odd/.test(line)),
      [],
    );
  }
  t.notMatch(gridferry.logged(), /GF_UNEXPECTED/);
});

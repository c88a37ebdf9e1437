import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { PlatformConfigs } from '../../src/api/resources.ts';
import type { PlatformConfig, TransferSpec } from '../../src/api/resources.ts';
import { messageOf } from '../../src/errors.ts';
import { startCloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import type { StandInFault } from '../../src/sandbox/cloudflare-stand-in.ts';
import { cutLink, fleetDown, fleetUp, healLink, shapeLink } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import { poll } from '../../src/sandbox/poll.ts';
import { clearAway, failing, runFaulted } from '../support/faulted-move.ts';
import type { Controller, Fault, FaultBench, Move, OwnProcess, Status } from '../support/faulted-move.ts';
import { faultedImage } from '../support/faulted-service.ts';
import { fleetShell } from '../support/fleet-shell.ts';
import { prepareProcessHome, startGridferryProcess } from '../support/gridferry-process.ts';
import { startGridferry } from '../support/gridferry.ts';
import { realFaults } from '../support/real-faults.ts';
import { watchServices } from '../support/running-services.ts';

/**
 * Faults on real servers, each in the middle of a move of a service that is written to all the time. What became of it is
 * judged by code that shares nothing with the controller. Pairs of servers go through their faults side by side.
 *
 * `FAULT_RESULTS=write` writes test/faults/real-results.json, from which docs/faults.md is made.
 */

const FLEET = process.env['FAULT_FLEET'] ?? 't-faults';
const SUBNET = process.env['FAULT_SUBNET'] ?? '10.99.57.0/24';
/** No fault lasts so long; on a machine that does many things at once everything takes long. */
const PATIENCE_MS = 300_000;
t.setTimeout(1_200_000);

/** The copy has found another way, or is tried again. */
const goesOn = (status: Status): boolean => status?.transport?.mode === 'Relay' || failing('upload')(status);
const isUndoing = (status: Status): boolean => status?.outcome !== undefined;
const cannotRestore = (status: Status): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === 'SourceRestored' && value === 'False') === true;

const { cutConnections, restartSshd, restartEngine, setLiveRestore, freezeEngine, reboot, ...disk } = realFaults(FLEET);
const { docker, sh } = fleetShell<string>(FLEET);

const onTarget =
  (strike: (server: string) => Promise<unknown>) =>
  ({ target }: Move) =>
    strike(target);
const onSource =
  (strike: (server: string) => Promise<unknown>) =>
  ({ source }: Move) =>
    strike(source);

async function metBeforeEnd({ until }: Move, condition: (status: Status) => boolean): Promise<void> {
  const status = await until((now) => condition(now) || now?.completionTime !== undefined);
  if (!condition(status)) throw new Error(`the fault was not noticed: ${status?.message ?? ''}`);
}

/** Nothing gets through until the transfer says what is asked for. */
async function cutUntil(move: Move, server: string, from: string, condition: (status: Status) => boolean) {
  await cutLink(FLEET, server, { from });
  await metBeforeEnd(move, condition).finally(() => healLink(FLEET, server, { from }));
}

async function fillUntil(move: Move, what: 'bytes' | 'inodes', condition: (status: Status) => boolean) {
  await disk.fill(move.target, what);
  await metBeforeEnd(move, condition).finally(() => disk.empty(move.target));
}

/** The next changes of the zone that a pair of servers has to itself. */
const dnsFails =
  (how: StandInFault['how'], times: number) =>
  async ({ zone }: Move) => {
    const answer = await fetch(`${cloudflare.baseUrl}/zones?name=${zone}`, {
      headers: { authorization: 'Bearer demo' },
    });
    const { result } = (await answer.json()) as { readonly result: readonly { readonly id: string }[] };
    cloudflare.fail({ how, times, method: 'POST', path: `${result[0]?.id ?? ''}/dns_records/batch` });
  };

/** One list for each pair of servers: what comes first takes longest. */
const faults: readonly (readonly Fault[])[] = [
  [
    {
      fault: 'no way between controller and target',
      ...{ when: 'right after the start', ends: 'undone' },
      strike: (move) => cutUntil(move, move.target, 'controller', cannotRestore),
    },
    {
      fault: 'SSH connection to the source cut',
      ...{ when: 'while it is copied', ends: 'done', strike: onSource(cutConnections) },
    },
    {
      fault: 'SSH connection to the target cut',
      ...{ when: 'right after the stop', ends: 'done', strike: onTarget(cutConnections) },
    },
    {
      fault: 'sshd of the source restarted',
      ...{ when: 'right after the stop', ends: 'done', strike: onSource(restartSshd) },
    },
    {
      fault: 'sshd of the target restarted',
      ...{ when: 'right after the start', ends: 'done', strike: onTarget(restartSshd) },
    },
    {
      fault: 'user starts the source by hand',
      ...{ when: 'right after the stop', ends: 'undone' },
      strike: ({ source, name }) => docker(source, 'start', name),
    },
  ],
  [
    {
      fault: 'connection to the source half open',
      ...{ when: 'while it is copied', ends: 'done' },
      strike: (move) => cutUntil(move, move.source, 'controller', failing('upload')),
    },
    {
      fault: 'dockerd of the source restarted',
      ...{ when: 'while it is copied', ends: 'done', strike: onSource(restartEngine) },
    },
    {
      fault: 'dockerd of the source restarted',
      ...{ when: 'right after the stop', ends: 'done', strike: onSource(restartEngine) },
    },
    {
      fault: 'dockerd of the target restarted',
      ...{ when: 'right after the stop', ends: 'done', strike: onTarget(restartEngine) },
    },
    {
      fault: 'dockerd of the target restarted',
      ...{ when: 'right after the start', ends: 'done', strike: onTarget(restartEngine) },
    },
    {
      fault: 'dockerd of the target frozen',
      ...{ when: 'right after the stop', ends: 'done' },
      strike: ({ target }) => freezeEngine(target, 6_000),
    },
  ],
  [
    {
      fault: 'source rebooted',
      ...{ when: 'right after the stop', ends: 'done', strike: onSource(reboot) },
    },
    {
      fault: 'target rebooted',
      ...{ when: 'while it is copied', ends: 'done', strike: onTarget(reboot) },
    },
    {
      fault: 'target rebooted',
      ...{ when: 'right after the start', ends: 'done', strike: onTarget(reboot) },
    },
    {
      fault: 'dockerd of the source restarted, live-restore',
      ...{ when: 'while it is copied', ends: 'done', strike: onSource(restartEngine) },
      prepare: ({ source }) => setLiveRestore(source, true),
      tidy: ({ source }) => setLiveRestore(source, false),
    },
    {
      fault: 'dockerd of the target restarted, live-restore',
      ...{ when: 'right after the start', ends: 'done', strike: onTarget(restartEngine) },
      prepare: ({ target }) => setLiveRestore(target, true),
      tidy: ({ target }) => setLiveRestore(target, false),
    },
    {
      fault: 'source container crashes by itself',
      ...{ when: 'while it is copied', ends: 'done' },
      strike: ({ source, name }) => sh(source, 'kill -9 "$(docker inspect -f "{{.State.Pid}}" "$1")"', name),
    },
  ],
  [
    {
      fault: 'no way between source and target',
      ...{ when: 'while it is copied', ends: 'done' },
      strike: (move) => cutUntil(move, move.source, move.target, goesOn),
    },
    {
      fault: "target's disk full",
      ...{ when: 'while it is copied', ends: 'done' },
      prepare: onTarget(disk.shrinkVolumes),
      strike: (move) => fillUntil(move, 'bytes', failing('upload')),
    },
    {
      fault: "target's disk full",
      ...{ when: 'right after the stop', ends: 'undone' },
      strike: (move) => fillUntil(move, 'bytes', isUndoing),
    },
    {
      fault: "target's inodes used up",
      ...{ when: 'while it is copied', ends: 'done' },
      strike: (move) => fillUntil(move, 'inodes', failing('upload')),
      tidy: onTarget(disk.growVolumes),
    },
    {
      fault: 'no way between controller and source',
      ...{ when: 'right after the stop', ends: 'undone' },
      strike: (move) => cutUntil(move, move.source, 'controller', isUndoing),
    },
    {
      fault: 'user removes the target container',
      ...{ when: 'right after the stop', ends: 'undone' },
      strike: ({ target, name }) => docker(target, 'rm', '-f', name),
    },
    {
      fault: 'user removes the target container',
      ...{ when: 'right after the start', ends: 'undone' },
      strike: ({ target, name }) => docker(target, 'rm', '-f', name),
    },
  ],
  [
    {
      fault: 'link at 1 Mbit/s',
      ...{ when: 'while it is copied', ends: 'done' },
      async strike({ target, until }) {
        await shapeLink(FLEET, target, { rateMbit: 1 });
        const since = performance.now();
        await until(() => performance.now() - since > 8_000);
        await shapeLink(FLEET, target, undefined);
      },
    },
    {
      fault: 'DNS API answers 429',
      ...{ when: 'right after the start', ends: 'done', strike: dnsFails('rate-limited', 2) },
    },
    {
      fault: 'DNS API answers 500',
      ...{ when: 'right after the start', ends: 'done', strike: dnsFails('server-error', 2) },
    },
    {
      fault: 'DNS API does not answer',
      ...{ when: 'right after the start', ends: 'done', strike: dnsFails('no-answer', 1) },
    },
    {
      fault: 'DNS API loses its answers',
      ...{ when: 'right after the start', ends: 'done', strike: dnsFails('lost-answer', 1) },
    },
    {
      fault: 'controller killed, and the source rebooted before it is started again',
      ...{ when: 'right after the stop', ends: 'done', strike: onSource(reboot), controllerDies: true },
    },
    {
      fault: 'target rebooted',
      ...{ when: 'while it is watched', ends: 'done', strike: onTarget(reboot) },
    },
  ],
];

type Pair = Pick<Move, 'source' | 'target' | 'zone'>;
const pairs = faults.map((_, index): Pair => {
  const number = String(index + 1);
  return { source: `alpha${number}`, target: `beta${number}`, zone: `pair${number}.test` };
});
const servers = pairs.flatMap(({ source, target }) => [source, target]);
const nameOf = (pair: number, index: number): string => `move${String(pair + 1)}${String(index + 1)}`;

t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: SUBNET, servers });
const addressOf = (server: string): string => fleet.servers.find(({ name }) => name === server)?.address ?? '';
const zones = pairs.map(({ source, zone }, pair) => ({
  name: zone,
  records: (faults[pair] ?? []).map((_, index) => ({
    ...{ type: 'A', name: `${nameOf(pair, index)}.${zone}`, content: addressOf(source), ttl: 300 },
  })),
}));
const cloudflare = await startCloudflareStandIn({ token: 'demo', zones });
const gridferry = await startGridferry();
t.teardown(async () => {
  await gridferry.stop();
  await cloudflare.close();
});
await Promise.all([
  gridferry.addServers(fleet),
  gridferry.addSecret('cloudflare', { token: 'demo' }),
  ...servers.map((server) => importTinyImage(FLEET, server, 'faults:1', faultedImage)),
]);
const platform = {
  apiVersion: 'gridferry.io/v1alpha1',
  kind: 'PlatformConfig',
  metadata: { name: 'default', namespace: 'default' },
  spec: {
    domain: 'ferry.test',
    cloudflare: { apiTokenRef: { name: 'cloudflare', key: 'token' }, apiBaseURL: cloudflare.baseUrl },
    resolvers: [cloudflare.dnsAddress],
  },
};
await gridferry.client.create(PlatformConfigs, platform as unknown as PlatformConfig);
await Promise.all(servers.map((server) => docker(server, 'run', '--rm', '--entrypoint', '/bin/true', 'faults:1')));
const watched = await watchServices(FLEET, servers);
t.teardown(() => watched.stop());

const folder = await mkdtemp(join(tmpdir(), 'gridferry-faults-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

const shared: Controller = {
  begin: (name, spec) => gridferry.transfer(name, spec as Partial<TransferSpec>),
  status: async (name) => (await gridferry.until(name, () => true)).status,
};

async function ownProcess(pair: Pair): Promise<OwnProcess> {
  const home = await prepareProcessHome(t, join(folder, pair.source), fleet, [pair.source, pair.target]);
  await home.write('platform.yaml', JSON.stringify(platform));
  let program = startGridferryProcess(t, home.args);
  return {
    // It has but one transfer, which always has the same name.
    begin: (_name, spec) =>
      home.write(
        'move.yaml',
        JSON.stringify({ apiVersion: platform.apiVersion, kind: 'Transfer', metadata: { name: 'move' }, spec }),
      ),
    status: () => home.status(),
    start: () => void (program = startGridferryProcess(t, home.args)),
    async kill() {
      program.child.kill('SIGKILL');
      await program.exit;
    },
  };
}

const bench: FaultBench = {
  fleet: FLEET,
  watched,
  addressOf,
  whereIs: ({ name, zone }) => cloudflare.records(zone).find((one) => one.name === `${name}.${zone}`)?.content ?? '',
};

async function untilStatus(read: () => Promise<Status>, condition: (status: Status) => boolean): Promise<Status> {
  let status: Status;
  const met = await poll(async () => condition((status = await read())), PATIENCE_MS, 50);
  if (met === undefined) throw new Error(`not reached: ${JSON.stringify(status)}`);
  return status;
}

async function problemsOf(one: Fault, pair: Pair, name: string, port: number): Promise<readonly string[]> {
  const own = one.controllerDies === true ? await ownProcess(pair) : undefined;
  const controller = own ?? shared;
  const move: Move = {
    ...{ ...pair, name, controller },
    until: (condition) => untilStatus(() => controller.status(name), condition),
  };
  async function strike(): Promise<void> {
    await own?.kill();
    await one.strike(move);
    own?.start();
  }
  const problems = await runFaulted(bench, { ...one, strike }, move, port).catch((error: unknown) => [
    messageOf(error),
  ]);
  await own?.kill();
  await clearAway(bench, move);
  return problems;
}

/** Such as `move4,move13`: what of it is run. */
const only = process.env['FAULT']?.split(',');
const verdicts = await Promise.all(
  pairs.map(async (pair, number) => {
    const done = [];
    for (const [index, one] of (faults[number] ?? []).entries()) {
      const name = nameOf(number, index);
      if (only !== undefined && !only.some((wanted) => name.startsWith(wanted))) continue;
      const began = performance.now();
      const problems = await problemsOf(one, pair, name, 8100 + index);
      t.comment(`${name}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
      done.push({ ...one, name, problems });
    }
    return done;
  }),
);

for (const { name, fault, when, ends, problems } of verdicts.flat()) {
  void t.test(`${name}: ${fault}, ${when}: ${ends}`, (t) => {
    t.same(problems, []);
    t.end();
  });
}

void t.test('everything was looked at all the time', (t) => {
  t.ok(watched.looks() > 100, `${String(watched.looks())} looks`);
  t.end();
});

if (process.env['FAULT_RESULTS'] === 'write' && only === undefined) {
  const results = verdicts.flat().map(({ fault, when, ends, problems }) => ({
    ...{ fault, when, outcome: problems.length === 0 ? ends : 'broke a rule', test: 'test/fleet/faults.test.ts' },
  }));
  const path = join(import.meta.dirname, '../faults/real-results.json');
  await writeFile(path, `${JSON.stringify(results, null, 2)}\n`);
}

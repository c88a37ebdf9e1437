import type { Transfer } from '../../src/api/resources.ts';
import { poll } from '../../src/sandbox/poll.ts';
import { startAppending } from './append-service.ts';
import type { AppendLoad } from './append-service.ts';
import { fleetShell } from './fleet-shell.ts';
import type { RunningServices } from './running-services.ts';
import { serverTraces } from './server-traces.ts';

/** A move of a service that is written to all the time, a fault in the middle of it, and what became of both. */

export type Status = Transfer['status'];

/** A move that a fault strikes. */
export interface Move {
  readonly name: string;
  readonly source: string;
  readonly target: string;
  readonly zone: string;
  readonly controller: Controller;
  /** Waits until the transfer says so. */
  until(condition: (status: Status) => boolean): Promise<Status>;
}

/** The Gridferry that does a move. */
export interface Controller {
  /** With a spec as its user writes it: defaults are left out. */
  begin(name: string, spec: Readonly<Record<string, unknown>>): Promise<unknown>;
  status(name: string): Promise<Status>;
}

/** One that can be killed. */
export interface OwnProcess extends Controller {
  start(): void;
  /** As the kernel does when memory runs out. */
  kill(): Promise<unknown>;
}

interface Moment {
  readonly reached: (status: Status) => boolean;
  /** What makes it long enough to be met. */
  readonly env?: Readonly<Record<string, number>>;
  readonly bandwidthLimit?: string;
  readonly megabytes?: number;
  readonly soak?: string;
}

export interface Fault {
  readonly fault: string;
  readonly when: keyof typeof moments;
  /** done: the service runs at the target. undone: at the source, as if nothing had been. */
  readonly ends: 'done' | 'undone';
  /** A program of its own does the move, and it is killed until the fault is over. */
  readonly controllerDies?: true;
  readonly prepare?: (move: Move) => Promise<unknown>;
  readonly strike: (move: Move) => Promise<unknown>;
  readonly tidy?: (move: Move) => Promise<unknown>;
}

const stepOf = (status: Status, step: string) => status?.steps?.find(({ name }) => name === step);
const runs =
  (step: string) =>
  (status: Status): boolean =>
    stepOf(status, step)?.state === 'Running';
export const failing =
  (step: string) =>
  (status: Status): boolean =>
    (stepOf(status, step)?.attempts ?? 0) > 1;

/** When a fault strikes: where it hurts most. */
export const moments = {
  'while it is copied': {
    reached: (status: Status) => runs('upload')(status) && (status?.bytesDone ?? 0) > 1_000_000,
    ...{ megabytes: 16, bandwidthLimit: '2Mi' },
  },
  'right after the stop': { reached: runs('copy-final-delta'), env: { LAST_MB: 10 }, bandwidthLimit: '4Mi' },
  'right after the start': { reached: runs('check-local-health'), env: { START_SECONDS: 3 } },
  'while it is watched': { reached: runs('soak'), soak: '4s' },
} satisfies Record<string, Moment>;

/** What moves are done on, and how it is looked at past the code under test. */
export interface FaultBench {
  readonly fleet: string;
  readonly watched: RunningServices;
  addressOf(server: string): string;
  /** The address that clients use: what the DNS record of the move says. */
  whereIs(move: Move): string;
}

const dataOf = (name: string): string => `/var/lib/docker/volumes/${name}/_data`;

const fixedHash = ({ fleet }: FaultBench, server: string, name: string): Promise<string> =>
  fleetShell<string>(fleet).sh(server, 'cd "$1" && sha256sum big many/* | sha256sum', dataOf(name));

/** Does a move, with its fault, and answers what is wrong with how it ended. */
export async function runFaulted(bench: FaultBench, one: Fault, move: Move, port: number): Promise<string[]> {
  const { name, source, target, zone, until } = move;
  const moment: Moment = moments[one.when];
  await one.prepare?.(move);
  const before = (await tracesOf(bench, move)).filter((line) => !line.startsWith('process '));
  await startService(bench, move, moment, port);
  const load = startAppending(() => bench.whereIs(move), port);
  try {
    await progresses(load);
    const fixed = await fixedHash(bench, source, name);
    await move.controller.begin(name, {
      container: name,
      sourceServerRef: { name: source },
      targetServerRef: { name: target },
      dns: { name: `${name}.${zone}` },
      healthCheck: { http: { path: '/health', port: 80 } },
      forwardFor: '0s',
      soak: { duration: moment.soak ?? '500ms' },
      ...(moment.bandwidthLimit !== undefined && { bandwidthLimit: moment.bandwidthLimit }),
    });
    const status = await until((now) => now?.completionTime !== undefined || moment.reached(now));
    if (!moment.reached(status)) return [`the moment never came: ${status?.message ?? ''}`];
    await one.strike(move);
    const ended = await until((now) => now?.completionTime !== undefined);
    await progresses(load);
    await load.stop();
    return await judge(bench, one.ends, move, { status: ended, acknowledged: load.acknowledged, fixed, before });
  } finally {
    await load.stop();
    await one.tidy?.(move);
  }
}

/** Removes the service, wherever it is. */
export async function clearAway({ fleet }: FaultBench, { name, source, target }: Move): Promise<void> {
  const script = 'docker rm -f "$1" >/dev/null 2>&1; docker volume rm -f "$1" >/dev/null 2>&1; true';
  await Promise.all([source, target].map((server) => fleetShell<string>(fleet).sh(server, script, name)));
}

async function startService(
  { fleet }: FaultBench,
  { name, source }: Move,
  { env = {}, megabytes = 1 }: Moment,
  port: number,
): Promise<void> {
  const { docker, sh } = fleetShell<string>(fleet);
  await docker(source, 'volume', 'create', name);
  const fill = `cd "$1" && dd if=/dev/urandom of=big bs=1M count="$2" 2>/dev/null
mkdir many && for i in 1 2 3 4 5; do echo $i >many/$i; done`;
  await sh(source, fill, dataOf(name), String(megabytes));
  await docker(
    source,
    ...['run', '-d', '--name', name, '--restart', 'always', '-v', `${name}:/data`, '-p', `${String(port)}:80`],
    ...Object.entries(env).flatMap(([key, value]) => ['-e', `${key}=${String(value)}`]),
    ...['faults:1', name],
  );
}

async function progresses({ acknowledged }: AppendLoad): Promise<void> {
  const enough = acknowledged.length + 5;
  const ok = await poll(() => acknowledged.length >= enough, 60_000, 50);
  if (ok === undefined) throw new Error('the service does not answer');
}

async function tracesOf({ fleet }: FaultBench, { source, target }: Move): Promise<string[]> {
  return (await Promise.all([source, target].map((server) => serverTraces(fleet, server)))).flat().toSorted();
}

interface Found {
  readonly status: Status;
  readonly acknowledged: readonly number[];
  /** The hash of what nobody changes. */
  readonly fixed: string;
  /** The traces before the move. */
  readonly before: readonly string[];
}

async function judge(
  bench: FaultBench,
  ends: Fault['ends'],
  move: Move,
  { status, acknowledged, fixed, before }: Found,
): Promise<string[]> {
  const { name, source, target } = move;
  const { docker, sh } = fleetShell<string>(bench.fleet);
  const isMoved = ends === 'done';
  const [active, other] = isMoved ? [target, source] : [source, target];
  const problems: string[] = [];
  const expect = (what: string, found: unknown, wanted: unknown): void => {
    const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
    if (a !== b) problems.push(`${what}: ${a}, and not ${b}`);
  };
  const state = async (server: string): Promise<string> => {
    const id = await docker(server, 'ps', '-aq', '--filter', `name=^${name}$`);
    return id === ''
      ? 'none'
      : docker(server, 'inspect', '-f', '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}', id);
  };
  const wanted = isMoved ? 'Completed' : 'Failed';
  if (status?.phase !== wanted) return [`it ended ${status?.phase ?? ''}, and not ${wanted}: ${status?.message ?? ''}`];
  expect('its DNS record', bench.whereIs(move), bench.addressOf(active));
  expect('the container where it serves', await state(active), 'true always');
  expect('the container elsewhere', await state(other), isMoved ? 'false no' : 'none');
  expect('a process where it serves', await bench.watched.runs(active, name), true);
  expect('a process elsewhere', await bench.watched.runs(other, name), false);
  expect('two at once', bench.watched.doubles(name), []);
  expect('data from before', await fixedHash(bench, active, name), fixed);
  const written = new Set((await sh(active, 'cat "$1/writes"', dataOf(name))).split('\n'));
  const lost = acknowledged.filter((write) => !written.has(String(write)));
  expect('acknowledged writes that are lost', lost, []);
  const allowed = [...before, ...(isMoved ? [`container ${name}`, `volume ${name}`] : [])].toSorted();
  // Programs that were told to end may take a moment for it, and now and then a server is looked at by its own controller.
  let traces: readonly string[] = [];
  await poll(async () => (traces = await tracesOf(bench, move)).join() === allowed.join(), 15_000, 200);
  expect('what is left', traces, allowed);
  return problems;
}

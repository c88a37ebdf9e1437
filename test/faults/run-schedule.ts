import { ManagedServers, PlatformConfigs, Services, Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import type { Mutation } from './controller-process.ts';
import { faultNamed, userSets } from './faults.ts';
import { checkEnd, lookBefore } from './invariants.ts';
import type { Outcome } from './invariants.ts';
import {
  furnish,
  namespace,
  platformObject,
  scenarios,
  serverObject,
  serviceObject,
  transferName,
  transferObject,
} from './scenario.ts';
import type { Scenario } from './scenario.ts';
import { Supervisor } from './supervisor.ts';
import { World } from './world.ts';
import type { Point } from './world.ts';

/** One fault at one instant. */
export interface Strike {
  readonly fault: string;
  readonly when:
    | { readonly step: string; readonly way: 'do' | 'undo'; readonly nth: number; readonly at: Point['at'] }
    | { readonly index: number; readonly at: Point['at'] };
  /** How long it lasts, in ms; absent: until the transfer has ended or says what it waits for. */
  readonly lastsMs?: number;
}

/** A whole run: the same schedule always gives the same trace. */
export interface Schedule {
  /** From which it is made again; see schedules.ts. */
  readonly name: string;
  readonly seed: number;
  readonly scenario: number;
  readonly strikes: readonly Strike[];
}

export interface Result {
  readonly schedule: Schedule;
  readonly outcome: Outcome;
  /** Where the first fault struck; absent: the schedule never came there. */
  readonly struckIn: { readonly step: string; readonly way: 'do' | 'undo' } | undefined;
  readonly attempts: number;
  readonly message: string;
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  readonly points: readonly Point[];
  /** Virtual time, in ms. */
  readonly tookMs: number;
}

export interface RunOptions {
  readonly mutate?: Mutation;
  readonly scenario?: Scenario;
}

/** After all faults are over, a transfer has to end within this time, in ms. */
const PATIENCE_MS = 30 * 60_000;
/** So long a fault that stays is let stay. */
const STAYS_MS = 10 * 60_000;
const STEP_MS = 1_000;

export async function runSchedule(schedule: Schedule, options: RunOptions = {}): Promise<Result> {
  const scenario = options.scenario ?? scenarios[schedule.scenario % scenarios.length]!;
  const world = new World(scenario, schedule.seed);
  furnish(world);
  const before = lookBefore(world);
  await fillHome(world);
  const replicas = schedule.strikes.some(({ fault }) => faultNamed(fault).replicas === true);
  const supervisor = new Supervisor({ world, mutate: options.mutate, replicas });
  const open = new Set(schedule.strikes);
  let struckIn: Result['struckIn'];
  world.onPoint = (point) => {
    for (const strike of open) {
      if (!isReached(strike, point)) continue;
      open.delete(strike);
      struckIn ??= { step: point.step, way: point.way };
      world.note(`** ${strike.fault} (${point.at} ${point.op})`);
      faultNamed(strike.fault).strike({ world, supervisor, point, lastsMs: strike.lastsMs ?? Infinity });
    }
  };
  const outcome = await untilEnd(world, schedule);
  // What is still on its way arrives.
  await world.clock.advance(5_000);
  const ended = outcome === 'Waits' ? outcome : await checkEnd(world, before);
  const transfer = await transferOf(world);
  supervisor.kill();
  return {
    ...{ schedule, outcome: ended, struckIn, violations: world.violations, trace: world.trace, points: world.points },
    attempts: Math.max(0, ...(transfer?.status?.steps ?? []).map((step) => step.attempts)),
    message: transfer?.status?.message ?? '',
    tookMs: world.clock.monotonic(),
  };
}

function isReached({ when }: Strike, point: Point): boolean {
  if (when.at !== point.at) return false;
  if ('index' in when) return when.index === point.index;
  return when.step === point.step && when.way === point.way && when.nth === point.nth;
}

async function fillHome({ api, scenario, alpha, beta }: World): Promise<void> {
  for (const { name, address } of [alpha, beta]) {
    const server = serverObject(name, address);
    const created = await api.create(ManagedServers, server);
    await api.updateStatus(ManagedServers, { ...created, status: server.status! });
  }
  await api.create(PlatformConfigs, platformObject());
  await api.create(Services, serviceObject(scenario));
  await api.create(Transfers, transferObject(scenario));
}

function transferOf({ api }: World): Promise<Transfer | undefined> {
  return api.get(Transfers, { namespace, name: transferName }).catch(() => undefined);
}

/** Lets time pass until the transfer is over; ends faults that were to stay, when it has had time to react to them. */
async function untilEnd(world: World, schedule: Schedule): Promise<Outcome | undefined> {
  const heals = schedule.strikes.reduce((sum, { lastsMs }) => sum + (lastsMs ?? STAYS_MS), 0);
  // The window runs by the wall clock.
  const isSetBack = schedule.strikes.some(({ fault }) => fault === 'clock jumps an hour back');
  const limit = heals + PATIENCE_MS + (isSetBack ? 3_600_000 : 0);
  while (world.clock.monotonic() < limit) {
    await world.clock.advance(STEP_MS);
    const transfer = await transferOf(world);
    if (transfer === undefined) return undefined;
    if (world.clock.monotonic() >= STAYS_MS && world.healing.length > 0) {
      checkExplained(world, transfer);
      for (const heal of world.healing.splice(0)) heal();
    }
    if (wantsMore(world, transfer)) continue;
    if (!isOver(transfer) || world.deleted || world.clock.monotonic() < world.busyUntil) continue;
    const hasServed = SERVED.has(transfer.status?.phase ?? '');
    if (world.startsAgain && transfer.status?.retryToken !== 'again' && !hasServed) continue;
    // A fault that would have stayed is over with the transfer: what is left behind is looked at on whole servers.
    for (const heal of world.healing.splice(0)) heal();
    if (tidiesUp(transfer)) continue;
    return undefined;
  }
  const last = await transferOf(world);
  world.violate(
    `it has not ended ${String(PATIENCE_MS / 60_000)} min after the last fault: ${last?.status?.message ?? ''}`,
  );
  return 'Waits';
}

/** A server was away at its end: what was left there goes when the server is back. */
function tidiesUp({ status }: Transfer): boolean {
  const passed = (status?.steps ?? []).some(
    ({ name, state, message }) =>
      (TIDYING.has(name) && state === 'Failed') || message?.startsWith('its helpers may still be') === true,
  );
  return passed || status?.credentials !== undefined;
}

const TIDYING = new Set(['release', 'return-release', 'return-clean-target']);

/** What the user does next, and whether that is waited for. */
function wantsMore(world: World, transfer: Transfer): boolean {
  const { spec, status } = transfer;
  if (spec.mode === 'Plan' && status?.phase === 'Planned') userSets(world, { mode: 'Apply' });
  // Also where no copy will ever be as fresh as was wished.
  const isAsked = status?.message?.includes('set spec.cutoverNow') === true;
  if (isAsked && !spec.cutoverNow) userSets(world, { cutoverNow: true });
  if (spec.retention.source === 'DeleteAfterWindow' && status?.phase === 'Completed' && !world.deleted) {
    const said = status.conditions?.find(({ type }) => type === 'SourceRetained')?.reason;
    if (status.sourceDeletedAt === undefined && said !== 'Changed' && said !== 'MarkGone') return true;
  }
  return wantsWayBack(world, transfer);
}

/** Asks for the way back once the move is over, and waits for an answer. */
function wantsWayBack(world: World, { status }: Transfer): boolean {
  const { then } = world.scenario;
  if (then === undefined || status?.phase !== 'Completed' || world.deleted) return false;
  if (!world.rollsBack) {
    world.rollsBack = true;
    userSets(world, { rollback: then });
    return true;
  }
  return !(status.conditions ?? []).some((one) => one.type === 'RolledBack' && one.status === 'False');
}

/** With nothing to start again. */
const SERVED = new Set(['Completed', 'RolledBack']);

const OVER = new Set(['Completed', 'Failed', 'Cancelled', 'RolledBack']);

function isOver({ status }: Transfer): boolean {
  return OVER.has(status?.phase ?? '');
}

/** A transfer that cannot go on says why. */
function checkExplained(world: World, { status }: Transfer): void {
  if (isOver({ status } as Transfer)) return;
  const said = status?.message ?? '';
  const reasons = (status?.conditions ?? []).filter(({ type, status: value }) => type === 'Ready' && value !== 'True');
  if (said === '' || reasons.length === 0) world.violate(`it waits and does not say for what: "${said}"`);
}

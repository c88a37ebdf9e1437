import { seededRandom } from '../support/seeded-random.ts';
import { faultNamed, faults } from './faults.ts';
import type { Fault } from './faults.ts';
import { runSchedule } from './run-schedule.ts';
import type { Schedule, Strike } from './run-schedule.ts';
import { scenarios } from './scenario.ts';
import type { Scenario } from './scenario.ts';
import type { Point } from './world.ts';

/**
 * Names of schedules, from which they are made anew:
 *
 * - `kill/SCENARIO/INDEX/before`: the controller dies at that effect.
 * - `cancel/SCENARIO/INDEX/before`: the user cancels at that effect.
 * - `frozen/SCENARIO/INDEX/before`: the leader is frozen at that effect, the next one is told to cancel, then the first
 *   one thaws.
 * - `cell/FAULT/STEP/N`: one fault somewhere in one step; its place, length and scenario follow from N.
 * - `random/SEED`: up to three faults anywhere, often while the transfer is being undone.
 */
export type ScheduleName = string;

const frozenFault = 'controller frozen past its lease, then thawed';

/** The effects of a move in which nothing goes wrong, by scenario. */
export type Profiles = readonly (readonly Point[])[];

export async function profile(): Promise<Profiles> {
  const profiles: (readonly Point[])[] = [];
  for (const [scenario] of scenarios.entries()) {
    const { points, outcome, violations, message } = await runSchedule({
      name: 'profile',
      seed: 1,
      scenario,
      strikes: [],
    });
    const { then, unheardAtTarget } = scenarios[scenario]!;
    const usual = then === undefined && unheardAtTarget !== true ? 'Completed' : 'RolledBack';
    if (outcome !== usual || violations.length > 0) {
      throw new Error(`scenario ${String(scenario)} without any fault: ${outcome} ${message} ${violations.join('; ')}`);
    }
    profiles.push(points);
  }
  return profiles;
}

const LENGTHS_MS = [2_000, 15_000, 90_000];

export function scheduleNamed(name: ScheduleName, profiles: Profiles): Schedule {
  const [kind = '', ...rest] = name.split('/');
  if (kind === 'kill') {
    const [scenario = '0', index = '0', at = 'before'] = rest;
    const when = { index: Number(index), at: at as Point['at'] };
    return { name, seed: 1, scenario: Number(scenario), strikes: [{ fault: 'controller killed', when, lastsMs: 0 }] };
  }
  if (kind === 'cancel' || kind === 'frozen') {
    const [scenario = '0', index = '0', at = 'before'] = rest;
    const when = { index: Number(index), at: at as Point['at'] };
    const cancels = (place: Strike['when']): Strike => ({ fault: 'user cancels', when: place, lastsMs: 0 });
    const strikes =
      kind === 'cancel'
        ? [cancels(when)]
        : [{ fault: frozenFault, when, lastsMs: 0 }, cancels({ index: when.index + 1, at: 'before' })];
    return { name, seed: 1, scenario: Number(scenario), strikes };
  }
  if (kind === 'cell') return cell(name, rest.slice(0, -2).join('/'), rest.at(-2) ?? '', Number(rest.at(-1)), profiles);
  return randomSchedule(name, Number(rest[0]), profiles);
}

/** One before each effect of each scenario, and one after it; with `stride`, every so many only. */
export function everywhere(
  kind: 'kill' | 'cancel' | 'frozen',
  profiles: Profiles,
  stride = 1,
  step?: string,
): ScheduleName[] {
  return profiles.flatMap((points, scenario) =>
    points
      .filter((point) => step === undefined || point.step === step)
      .filter((_point, n) => (n + scenario) % stride === 0)
      .map(({ index, at }) => `${kind}/${String(scenario)}/${String(index)}/${at}`),
  );
}

/** Each fault in each step, `perCell` times; with `stride`, every so many only. */
export function cellNames(profiles: Profiles, perCell: number, stride = 1): ScheduleName[] {
  const steps = stepsOf(profiles);
  const names = faults.flatMap((fault) =>
    steps.flatMap((step) => {
      const fits = scenarios.some((scenario, n) => suits(fault, scenario) && reaches(profiles, n, step));
      return fits ? Array.from({ length: perCell }, (_, n) => `cell/${fault.name}/${step}/${String(n)}`) : [];
    }),
  );
  return names.filter((_name, n) => n % stride === 0);
}

export function randomNames(count: number, from = 1): ScheduleName[] {
  return Array.from({ length: count }, (_, n) => `random/${String(from + n)}`);
}

/** The steps of all scenarios, in their order. */
export function stepsOf(profiles: Profiles): string[] {
  const steps = new Set(profiles.flatMap((points) => points.map(({ step }) => step)));
  steps.delete('none');
  return [...steps];
}

/** Whether a fault makes sense for what is moved. */
function suits({ needs }: Fault, { writable, dns, restartPolicy, spec }: Scenario): boolean {
  if (needs === 'dns') return dns;
  if (needs === 'data') return writable;
  if (needs === 'contents compared') return writable && spec.verify !== 'Metadata';
  if (needs === 'restart policy') return restartPolicy !== 'no';
  return true;
}

function reaches(profiles: Profiles, scenario: number, step: string): boolean {
  return profiles[scenario]?.some((point) => point.step === step) === true;
}

function cell(name: string, faultName: string, step: string, n: number, profiles: Profiles): Schedule {
  const fault = faultNamed(faultName);
  const seed = hash(name);
  const random = seededRandom(seed);
  const fitting = scenarios.flatMap((scenario, index) =>
    suits(fault, scenario) && reaches(profiles, index, step) ? [index] : [],
  );
  const scenario = fitting[(n + Math.floor(random() * fitting.length)) % fitting.length] ?? 0;
  const points = profiles[scenario]!.filter((point) => point.step === step);
  const point = points[Math.floor(random() * points.length)]!;
  const length = pick(LENGTHS_MS, random);
  const stays = fault.mayStay === true && n % 3 === 2;
  const strike: Strike = { fault: fault.name, when: placeOf(point), ...(stays ? {} : { lastsMs: length }) };
  return { name, seed, scenario, strikes: [strike] };
}

function randomSchedule(name: string, seed: number, profiles: Profiles): Schedule {
  const random = seededRandom(seed);
  const scenario = Math.floor(random() * scenarios.length);
  const points = profiles[scenario]!;
  const fitting = faults.filter((fault) => suits(fault, scenarios[scenario]!));
  const strikes: Strike[] = [];
  const undone = random() < 0.4;
  const first = Math.floor(random() * points.length);
  if (undone) {
    strikes.push({ fault: 'user cancels', when: { index: points[first]!.index, at: points[first]!.at }, lastsMs: 0 });
  }
  const count = 1 + Math.floor(random() * 3);
  for (let n = 0; n < count; n++) {
    const fault = pick(fitting, random);
    const index = undone ? points[first]!.index + 1 + Math.floor(random() * 60) : pick(points, random).index;
    const at = random() < 0.5 ? 'before' : 'after';
    strikes.push({ fault: fault.name, when: { index, at }, lastsMs: pick(LENGTHS_MS, random) });
  }
  return { name, seed, scenario, strikes };
}

function placeOf({ step, way, nth, at }: Point): Strike['when'] {
  return { step, way, nth, at };
}

function pick<T>(from: readonly T[], random: () => number): T {
  return from[Math.floor(random() * from.length)]!;
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ char.charCodeAt(0), 0x01000193);
  return value >>> 0;
}

import type { TransferStatus } from '../../../src/api/resources.ts';
import { parseDuration } from '../../../src/runtime/duration.ts';
import type { Host } from '../../../src/ssh/host.ts';
import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import { measureLink } from '../copying/measure-link.ts';
import type { PlanOf } from '../plan.ts';
import { describeStep } from './plan-steps.ts';
import { dataPart, imageParts, layerParts, measureData } from './plan-parts.ts';
import type { DataEstimate, PlannedPart } from './plan-parts.ts';
import { predict } from '../copying/precopy-model.ts';
import { blockerOf } from '../preflight/blocker.ts';
import type { Blocker } from '../preflight/blocker.ts';
import { checks } from '../preflight/checks.ts';
import { gatherFacts } from '../preflight/facts.ts';
import { isReachable } from './reachable.ts';
import { strategyOf } from '../steps/choose-strategy.ts';

export type PlannedMove = NonNullable<TransferStatus['plan']>;

/** The schema's limits. */
const MOST_PARTS = 400;
const MOST_BLOCKERS = 100;

/** What is known to stand in the way before anybody looks at a server; and which server can be looked at. */
export interface Outlook {
  readonly blockers: readonly Blocker[];
  readonly sourceOnline: boolean;
  readonly targetOnline: boolean;
}

/**
 * What the move would do, how long it would take, and everything that stands in its way. Reads only: what it cannot find
 * out is a blocker as well, and the rest is found out all the same.
 */
export async function planMove(context: TransferContext, planOf: PlanOf, outlook: Outlook): Promise<PlannedMove> {
  const blockers = [...outlook.blockers];
  const attempt = async <R>(work: () => Promise<R>): Promise<R | undefined> => {
    try {
      return await work();
    } catch (error) {
      context.signal.throwIfAborted();
      const blocker = blockerOf(error);
      if (!blockers.some(({ code, message }) => code === blocker.code && message === blocker.message)) {
        blockers.push(blocker);
      }
      return undefined;
    }
  };
  const found = outlook.sourceOnline ? await look(context, outlook, attempt, blockers) : undefined;
  const strategy = await (found && attempt(() => strategyOf(context)));
  const parts = (found?.parts ?? []).slice(0, MOST_PARTS);
  const bytesTotal = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const steps = planOf({ ...(strategy === undefined ? {} : { strategy: strategy.strategy }) });
  const { redactor } = context.dependencies;
  const told = { context, parts, data: found?.data ?? [], strategy: strategy?.strategy ?? 'StopFirst' };
  return {
    time: timestamp(context.clock),
    strategy: strategy === undefined ? 'not known yet' : `${strategy.strategy}: ${strategy.reason}`,
    transport: found?.transport ?? 'not known yet',
    steps: steps.map(({ name, phase }) => {
      const message = describeStep(name, told);
      return { name, phase, ...(message === undefined ? {} : { message: redactor.redact(message) }) };
    }),
    parts,
    bytesTotal,
    ...(found === undefined ? {} : timesOf(context, found, bytesTotal, strategy?.strategy)),
    blockers: blockers
      .slice(0, MOST_BLOCKERS)
      .map(({ code, message }) => ({ code, message: redactor.redact(message).slice(0, 2000) })),
    warnings: warningsOf(found, strategy?.notKept ?? []),
  };
}

interface Found {
  readonly data: readonly DataEstimate[];
  readonly parts: readonly PlannedPart[];
  readonly scanMs: number;
  readonly bytesPerSecond: number | undefined;
  readonly transport: string;
}

type Attempt = <R>(work: () => Promise<R>) => Promise<R | undefined>;

/** Everything there is to see; `undefined` when not even the service is found. */
async function look(
  context: TransferContext,
  { targetOnline }: Outlook,
  attempt: Attempt,
  blockers: Blocker[],
): Promise<Found | undefined> {
  const source = await attempt(() => context.session.source(context));
  const target = targetOnline ? await attempt(() => context.session.target(context)) : undefined;
  if (source === undefined || (await attempt(() => context.session.capture(context))) === undefined) return undefined;
  const begin = context.clock.monotonic();
  const data = (await attempt(() => measureData(context))) ?? [];
  const scanMs = context.clock.monotonic() - begin;
  const layers = (await attempt(() => layerParts(context))) ?? [];
  const images = target === undefined ? [] : ((await attempt(() => imageParts(context))) ?? []);
  if (target !== undefined) {
    const volumes = data.map(({ item, bytes, files }) => ({ name: item.name, bytesTotal: bytes, files: files ?? 0 }));
    const facts = await attempt(() => gatherFacts({ ...context, status: { ...context.status, volumes } }));
    if (facts !== undefined) blockers.push(...checks.flatMap((check) => check.run(facts)));
  }
  const bytesPerSecond =
    target === undefined ? undefined : await measureLink(source.host, target.host, context).catch(() => undefined);
  const transport = await transportOf(context, source.host, target?.host);
  return { data, parts: [...images, ...data.map(dataPart), ...layers], scanMs, bytesPerSecond, transport };
}

/** What no copy tells: containers made, steps written down, answers waited for; in seconds. As measured on moves of nothing. */
const FIXED_SECONDS = 4;

function timesOf(
  { transfer: { spec } }: TransferContext,
  { scanMs, bytesPerSecond }: Found,
  bytesTotal: number,
  strategy: string | undefined,
): Partial<PlannedMove> {
  // The final pass looks at every file again; how fast the service changes its data only the copy will tell.
  const model = { rounds: 1, dirtyBytesPerSecond: 0, bytesPerSecond, scanMs, checkMs: 0, costMs: scanMs, fruitless: 0 };
  const downtime = strategy === 'StartFirst' ? 0 : (predict(model, 0) ?? 0) / 1000;
  const predicted = { predictedDowntimeSeconds: Math.round(downtime * 10) / 10 };
  if (bytesPerSecond === undefined || bytesPerSecond === 0) return predicted;
  const soakSeconds = parseDuration(spec.soak.duration) / 1000;
  const etaSeconds = Math.ceil(bytesTotal / bytesPerSecond + scanMs / 1000 + downtime + soakSeconds + FIXED_SECONDS);
  return { ...predicted, bytesPerSecond, etaSeconds };
}

/** What `choose-transport` is likely to find: it logs in to find out, which a plan must not. */
async function transportOf(context: TransferContext, source: Host, target: Host | undefined): Promise<string> {
  const { transport } = context.transfer.spec;
  if (transport === 'Relay') return 'Relay: spec.transport is Relay';
  if (target === undefined) return 'not known yet';
  const [there, back] = await Promise.all([
    isReachable(source, context.targetServer, context),
    isReachable(target, context.sourceServer, context),
  ]);
  if (there) return `Direct: sshd of server ${target.name} answers server ${source.name}`;
  if (back) return `Direct: sshd of server ${source.name} answers server ${target.name}, though not the other way`;
  const neither = 'neither server seems to reach the sshd of the other';
  return transport === 'Direct' ? `Direct, as spec.transport says, but ${neither}` : `Relay: ${neither}`;
}

function warningsOf(found: Found | undefined, notKept: readonly string[]): string[] {
  const warnings: string[] = [];
  if (found === undefined) return warnings;
  if (notKept.length > 0) warnings.push(`not kept in step while both sides run: ${notKept.join(', ')}`);
  if (found.data.some(({ files }) => files === undefined)) {
    warnings.push('the number of files is not known: log in as root, or allow sudo, to have the inodes checked');
  }
  if (found.data.length > 0) {
    warnings.push(
      'how fast the service changes its data shows only while it is copied: the downtime supposes few changes',
    );
  }
  return warnings;
}

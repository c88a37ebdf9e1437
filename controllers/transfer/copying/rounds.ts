import type { TransferStatus } from '../../../src/api/resources.ts';
import { parseDuration } from '../../../src/runtime/duration.ts';
import type { Compression } from '../../../src/volumes/rsync-command.ts';
import { formatBytes } from '../../format-bytes.ts';
import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import { copyEnds } from './copy-ends.ts';
import { hashAgain } from './hash-alongside.ts';
import type { PlacedItem } from './hash-alongside.ts';
import { decide, FRUITLESS_ROUNDS, learn, predict, STOP_AND_START_MS, untaught } from './precopy-model.ts';
import type { Obstacle, PrecopyModel, Round, Verdict } from './precopy-model.ts';
import { dataProgress } from './progress.ts';
import type { DataProgress } from './progress.ts';
import { sideBySide } from './side-by-side.ts';

type PrecopyStatus = NonNullable<TransferStatus['precopy']>;

interface Tuning {
  readonly compression?: Compression;
  readonly channels?: number;
}

/** The rounds that one run of a step makes, and what is known after each. */
export interface Rounds {
  readonly progress: DataProgress;
  readonly model: PrecopyModel;
  /** Since the last round began, in ms; Infinity before the first. */
  ageMs(): number;
  /** What to do now; it is shown, too. */
  verdict(): Verdict;
  /** The last verdict in words. */
  explanation(): string;
  /** The downtime if the service were stopped at this moment, in words. */
  prediction(): string;
  /** What was found out about the link: used by further copies, and shown. */
  tune(tuning: Tuning): void;
  tuning(): Pick<Tuning, 'compression'>;
  /** The first copy was made. */
  begun(round: Round, startedAt: number): void;
  /** Copies what changed in everything the service can write, and hashes it again. */
  another(): Promise<void>;
}

/** Goes on from what is recorded of the rounds before, by whatever process. */
export function openRounds(context: TransferContext, items: readonly PlacedItem[]): Rounds {
  const recorded = context.status.precopy;
  const writable = items.filter(([, item]) => item.writable);
  let shown: PrecopyStatus | undefined;
  let model = modelOf(recorded);
  let tuned: Tuning = {};
  let startedAt = recorded?.lastSyncTime === undefined ? undefined : Date.parse(recorded.lastSyncTime);

  const progress = dataProgress(context, (status) => {
    if (status.transport !== undefined) {
      const bytesPerSecond =
        model.bytesPerSecond === undefined ? {} : { bytesPerSecond: Math.round(model.bytesPerSecond) };
      status.transport = { ...status.transport, ...tuned, ...bytesPerSecond };
    }
    if (shown === undefined) return;
    status.precopy = { ...shown };
    if (shown.predictedDowntimeSeconds !== undefined) status.predictedDowntimeSeconds = shown.predictedDowntimeSeconds;
  });

  function begun(round: Round, since: number): void {
    model = learn(model, round);
    startedAt = since;
    rounds.verdict();
  }

  const rounds: Rounds = {
    progress,
    get model() {
      return model;
    },
    begun,
    tune(tuning) {
      tuned = { ...tuned, ...tuning };
      context.report(progress.change);
    },
    tuning: () => (tuned.compression === undefined ? {} : { compression: tuned.compression }),
    ageMs: () => (startedAt === undefined ? Infinity : Math.max(0, context.clock.now() - startedAt)),
    verdict() {
      const longest = parseDuration(context.transfer.spec.maxDowntime);
      const verdict = decide(model, rounds.ageMs(), longest);
      shown = describeRounds(context, model, verdict, startedAt);
      context.report(progress.change);
      return verdict;
    },
    explanation: () => shown?.message ?? '',
    prediction() {
      const predictedMs = predict(model, rounds.ageMs());
      return predictedMs === undefined ? 'unknown' : showSeconds(predictedMs);
    },
    async another() {
      const begin = context.clock.now();
      const from = context.clock.monotonic();
      const passes = await sideBySide(context, writable, async ([, item]) => {
        const pass = await context.dataPlane.copyTree({
          ...(await copyEnds(context, item)),
          ...rounds.tuning(),
          running: true,
          onProgress: progress.bytes(item.name),
        });
        progress.add(item.name, 'PreCopy', pass);
        return pass;
      });
      const copied = context.clock.monotonic();
      const checks = await sideBySide(context, writable, (placed) => hashAgain(context, placed));
      const checked = context.clock.monotonic();
      begun(
        {
          durationMs: copied - from,
          bytesSent: passes.reduce((sum, pass) => sum + pass.bytesOnWire, 0),
          changedBytes: passes.reduce((sum, pass) => sum + (pass.changedBytes ?? pass.bytesOnWire), 0),
          // Where nothing is hashed before the stop, the comparison takes what it took beside the first copy.
          checkMs: checks.includes(undefined) ? (model.checkMs ?? 0) : checked - copied,
          sinceMs: Math.max(startedAt === undefined ? 0 : begin - startedAt, copied - from),
          treeBytes: passes.reduce((sum, pass) => sum + (pass.totalBytes ?? 0), 0),
        },
        begin,
      );
    },
  };
  return rounds;
}

/** What a process that knows nothing else can go on from. */
function modelOf(recorded: PrecopyStatus | undefined): PrecopyModel {
  if (recorded === undefined) return untaught;
  const { rounds, bytesPerSecond, dirtyBytesPerSecond, scanMs, checkMs, predictedDowntimeSeconds } = recorded;
  return {
    rounds,
    bytesPerSecond,
    dirtyBytesPerSecond,
    scanMs,
    checkMs,
    costMs: costOf(recorded),
    // That rounds do not help was found out already; one that makes it shorter changes that.
    fruitless: recorded.converged === false ? FRUITLESS_ROUNDS : 0,
    shortestMs: predictedDowntimeSeconds === undefined ? undefined : predictedDowntimeSeconds * 1000,
  };
}

function costOf({ scanMs, checkMs = 0, predictedDowntimeSeconds }: PrecopyStatus): number | undefined {
  if (scanMs !== undefined) return scanMs + checkMs;
  // Only the first copy was made: the prediction was made from what it cost.
  return predictedDowntimeSeconds === undefined ? undefined : predictedDowntimeSeconds * 1000 - STOP_AND_START_MS;
}

function describeRounds(
  context: TransferContext,
  model: PrecopyModel,
  verdict: Verdict,
  startedAt: number | undefined,
): PrecopyStatus {
  const { rounds, bytesPerSecond, dirtyBytesPerSecond, scanMs, checkMs } = model;
  const { predictedMs } = verdict;
  return {
    rounds,
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond: Math.round(bytesPerSecond) }),
    ...(dirtyBytesPerSecond === undefined ? {} : { dirtyBytesPerSecond: Math.round(dirtyBytesPerSecond) }),
    ...(scanMs === undefined ? {} : { scanMs: Math.round(scanMs) }),
    ...(checkMs === undefined ? {} : { checkMs: Math.round(checkMs) }),
    ...(predictedMs === undefined ? {} : { predictedDowntimeSeconds: roundSeconds(predictedMs) }),
    ...(verdict.kind === 'AnotherRound' ? {} : { converged: verdict.kind === 'Ready' }),
    message: sentence(context, model, verdict),
    ...(startedAt === undefined ? {} : { lastSyncTime: timestamp(context.clock, startedAt - context.clock.now()) }),
  };
}

function sentence({ transfer }: TransferContext, model: PrecopyModel, verdict: Verdict): string {
  const { maxDowntime } = transfer.spec;
  if (verdict.predictedMs === undefined) return 'nothing was measured yet';
  const prediction = `predicted downtime ${showSeconds(verdict.predictedMs)}`;
  switch (verdict.kind) {
    case 'Ready':
      return `${prediction}, within maxDowntime (${maxDowntime})`;
    case 'AnotherRound':
      return `${prediction}, above maxDowntime (${maxDowntime}): another round is made`;
    case 'NotConverging':
      return `${prediction}, above maxDowntime (${maxDowntime}), and further rounds do not help: ${obstacle(model, verdict.why)}`;
  }
}

function obstacle(model: PrecopyModel, why: Obstacle): string {
  const { dirtyBytesPerSecond = 0, bytesPerSecond = 0, scanMs = 0, checkMs = 0 } = model;
  switch (why) {
    case 'WritesTooFast':
      return `the service changes ${formatBytes(dirtyBytesPerSecond)}/s, and ${formatBytes(bytesPerSecond)}/s can be copied`;
    case 'FixedCost':
      return `stopping, starting, finding what changed (${showSeconds(scanMs)}) and comparing it (${showSeconds(checkMs)}) take that long`;
    case 'StoppedShrinking':
      return `the service changes ${formatBytes(dirtyBytesPerSecond)}/s, and rounds no longer get shorter`;
  }
}

function roundSeconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}

function showSeconds(ms: number): string {
  return `${roundSeconds(ms).toFixed(1)} s`;
}

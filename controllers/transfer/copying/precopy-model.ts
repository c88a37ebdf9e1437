/**
 * How long the service would be down if it were stopped now, from the rounds of copying made while it runs, and whether
 * another round would help. Pure: times are milliseconds, sizes bytes.
 *
 * While it is down: it is stopped, what changed is found (scan) and copied (delta ÷ bandwidth), both sides are compared
 * (check), and it is started. What changes by then is the rate of change times the age of the copy, counted from when its
 * last round began.
 */

/** Stopping and starting containers that do so promptly. What a service itself needs for it is not known beforehand. */
export const STOP_AND_START_MS = 1_000;

/** A pass that moved less than this says nothing about the bandwidth. */
const SAMPLE_BYTES = 1 << 20;

/** A round that does not make the prediction at least this much shorter was fruitless. */
const SHRINK = 0.9;

/** So many fruitless rounds in a row mean that rounds do not shrink any more: a single one may have met a burst. */
export const FRUITLESS_ROUNDS = 2;

/** A first copy this short is as good as a round. */
const SHORT_COPY_MS = 1_000;

/** One pass over all data, made while the service ran. */
export interface Round {
  readonly durationMs: number;
  /** What crossed the wire. */
  readonly bytesSent: number;
  /** Of the data, what was new at the target. */
  readonly changedBytes: number;
  /** How long comparing what changed took. */
  readonly checkMs: number;
  /** Between the begin of the round before and of this one; absent: the first copy, which says nothing about changes. */
  readonly sinceMs?: number;
  /** All there is to copy. A first copy that found most of it at the target already says nothing about the bandwidth. */
  readonly treeBytes: number;
}

/** What the rounds so far have taught. */
export interface PrecopyModel {
  readonly rounds: number;
  readonly bytesPerSecond?: number | undefined;
  readonly dirtyBytesPerSecond?: number | undefined;
  readonly scanMs?: number | undefined;
  readonly checkMs?: number | undefined;
  /** How long the last round took, with its check. */
  readonly costMs?: number | undefined;
  /** The shortest prediction so far, and how many rounds in a row have not made it shorter. */
  readonly shortestMs?: number | undefined;
  readonly fruitless: number;
}

export const untaught: PrecopyModel = { rounds: 0, fruitless: 0 };

export type Verdict =
  /** The prediction fits. */
  | { readonly kind: 'Ready'; readonly predictedMs: number }
  /** It does not fit yet, and another round may help. */
  | { readonly kind: 'AnotherRound'; readonly predictedMs: number | undefined }
  /** It does not fit, and further rounds do not make it shorter. */
  | { readonly kind: 'NotConverging'; readonly predictedMs: number; readonly why: Obstacle };

export type Obstacle =
  /** The service changes its data faster than they can be copied. */
  | 'WritesTooFast'
  /** Even with nothing changed it would take longer. */
  | 'FixedCost'
  /** Rounds no longer get shorter. */
  | 'StoppedShrinking';

/** What a further round teaches. The newest one counts: the service may behave differently by now. */
export function learn(model: PrecopyModel, round: Round): PrecopyModel {
  const { durationMs, checkMs, sinceMs } = round;
  const rounds = model.rounds + 1;
  const known = { ...model, rounds, checkMs, costMs: durationMs + checkMs };
  if (sinceMs === undefined) {
    const moved = Math.max(round.bytesSent, round.changedBytes);
    const tells = moved >= SAMPLE_BYTES && moved >= round.treeBytes / 2;
    return tells ? { ...known, bytesPerSecond: rate(moved, durationMs) } : known;
  }
  const { changedBytes } = round;
  // It cannot be slower than what was just seen. What the bandwidth does not explain, finding the changes took: a link
  // that has become slower shows there, and the prediction stays right for changes of the same size.
  const seen = changedBytes >= SAMPLE_BYTES ? rate(changedBytes, durationMs) : 0;
  const bytesPerSecond = Math.max(model.bytesPerSecond ?? 0, seen) || undefined;
  const taught = {
    ...known,
    bytesPerSecond,
    dirtyBytesPerSecond: rate(changedBytes, sinceMs),
    scanMs: Math.max(0, durationMs - sendMs(changedBytes, bytesPerSecond)),
  };
  const predictedMs = predict(taught, durationMs + checkMs) ?? Infinity;
  const shorter = predictedMs < (model.shortestMs ?? Infinity) * SHRINK;
  return {
    ...taught,
    shortestMs: Math.min(predictedMs, model.shortestMs ?? Infinity),
    fruitless: shorter ? 0 : model.fruitless + 1,
  };
}

/**
 * The downtime if the service were stopped now; `undefined` before there was a round.
 *
 * @param ageMs since the last round began
 */
export function predict(model: PrecopyModel, ageMs: number): number | undefined {
  const { scanMs, dirtyBytesPerSecond = 0, bytesPerSecond, checkMs = 0, costMs } = model;
  if (costMs === undefined) return undefined;
  // After the first copy only: it is not known what changes, but another copy would not take longer than the first.
  if (scanMs === undefined) return STOP_AND_START_MS + costMs;
  return fixedMs(model) + checkMs + sendMs((dirtyBytesPerSecond * ageMs) / 1000, bytesPerSecond);
}

/** Whether to stop the service now, to make another round, or to give up waiting for shorter ones. */
export function decide(model: PrecopyModel, ageMs: number, maxDowntimeMs: number): Verdict {
  const predictedMs = predict(model, ageMs);
  if (predictedMs === undefined) return { kind: 'AnotherRound', predictedMs };
  const measured = model.scanMs !== undefined || (model.costMs ?? Infinity) <= SHORT_COPY_MS;
  if (predictedMs <= maxDowntimeMs && measured) return { kind: 'Ready', predictedMs };
  const { dirtyBytesPerSecond = 0, bytesPerSecond = Infinity, fruitless } = model;
  // Each round is to the one before as what changes is to what can be copied meanwhile.
  if (dirtyBytesPerSecond >= bytesPerSecond * SHRINK)
    return { kind: 'NotConverging', predictedMs, why: 'WritesTooFast' };
  if (fruitless >= FRUITLESS_ROUNDS) {
    const why = fixedMs(model) + (model.checkMs ?? 0) > maxDowntimeMs ? 'FixedCost' : 'StoppedShrinking';
    return { kind: 'NotConverging', predictedMs, why };
  }
  return { kind: 'AnotherRound', predictedMs };
}

const SHORTEST_REFRESH_MS = 5_000;
const LONGEST_REFRESH_MS = 300_000;

/** How long to leave the service alone between two rounds that only keep the copy fresh: a tenth of the time is copying. */
export function refreshIntervalMs({ costMs = 0 }: PrecopyModel): number {
  return Math.min(Math.max(9 * costMs, SHORTEST_REFRESH_MS), LONGEST_REFRESH_MS);
}

function fixedMs({ scanMs = 0 }: PrecopyModel): number {
  return STOP_AND_START_MS + scanMs;
}

function sendMs(bytes: number, bytesPerSecond: number | undefined): number {
  return bytesPerSecond === undefined ? 0 : (bytes / bytesPerSecond) * 1000;
}

function rate(bytes: number, ms: number): number {
  return (bytes * 1000) / Math.max(ms, 1);
}

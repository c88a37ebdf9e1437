/** One line of the result: what was measured against what, both in one run. */
export interface Row {
  readonly what: string;
  readonly ours: string;
  readonly against: string;
  readonly baseline: string;
  readonly ratio: number;
  /** Such as `≤ 1.5`. */
  readonly goal: string;
  readonly met: boolean;
}

/** A ratio of medians that has to be small. `ours` and `baseline` in the same unit, one figure per round. */
export function atMost(
  limit: number,
  row: {
    readonly what: string;
    readonly against: string;
    readonly ours: readonly number[];
    readonly baseline: readonly number[];
    readonly show: (value: number) => string;
  },
): Row {
  const ours = median(row.ours);
  const baseline = median(row.baseline);
  const ratio = ours / baseline;
  return {
    what: row.what,
    ours: row.show(ours),
    against: row.against,
    baseline: row.show(baseline),
    ratio,
    goal: `≤ ${String(limit)}`,
    met: ratio <= limit,
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

/** Milliseconds, as `0.41 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

export function printRows(rows: readonly Row[]): void {
  console.log('\n| what | ours | against | it | ratio | goal | |');
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const { what, ours, against, baseline, ratio, goal, met } of rows) {
    console.log(
      `| ${what} | ${ours} | ${against} | ${baseline} | ${ratio.toFixed(2)} | ${goal} | ${met ? 'met' : 'missed'} |`,
    );
  }
}

import { downtimeRows } from './transfer/downtime.ts';
import { printRows } from './transfer/report.ts';
import type { Row } from './transfer/report.ts';
import { statelessRows } from './transfer/stateless.ts';
import { totalRows } from './transfer/total.ts';

/**
 * The transfer engine against what one would use instead, both sides in one run on sandbox servers:
 * `sudo node bench/transfer.ts [part …]`, all parts by default. Read the ratios; the seconds are this machine's.
 * `BENCH_STEPS=1` shows where the time of each move went, `BENCH_ROUNDS` how often each figure is taken.
 */
const parts: Readonly<Record<string, () => Promise<Row[]>>> = {
  downtime: downtimeRows,
  total: totalRows,
  stateless: statelessRows,
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((part) => !(part in parts));
if (unknown !== undefined) throw new Error(`there is no part ${unknown}; there are ${Object.keys(parts).join(', ')}`);

const rows: Row[] = [];
for (const [name, measure] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`\n${name}`);
  rows.push(...(await measure()));
}
printRows(rows);
if (rows.some(({ met }) => !met)) process.exitCode = 1;

import { dockerRestart } from './docker-restart.ts';
import { moveByGridferry, moveByScript } from './move.ts';
import { atMost, seconds } from './report.ts';
import type { Row } from './report.ts';
import { makeImages, removeService, startService } from './service.ts';
import { openWorkshop } from './workshop.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const MIB = Number(process.env['BENCH_MIB'] ?? 500);
const SMALL_MIB = 256;
const LARGE_MIB = 4096;

/**
 * How long clients wait during a move: between two acknowledged writes. Against a restart of the same container, against
 * the plain script, and with sixteen times the data.
 */
export async function downtimeRows(): Promise<Row[]> {
  const workshop = await openWorkshop({ name: 'bench-downtime', subnet: '10.99.70.0/24' });
  try {
    console.log(await makeImages(workshop, { withApplication: ['alpha'] }));
    const gridferry = async (): Promise<number> => {
      const { downtimeMs, status } = await moveByGridferry(workshop);
      console.log(JSON.stringify({ downtimeMs: Math.round(downtimeMs), downtime: status.downtime }));
      return downtimeMs;
    };
    await startService(workshop, 'alpha', MIB);
    const restart = await dockerRestart(workshop, ROUNDS);
    const script = (await moveByScript(workshop)).downtimeMs;
    const ours = await repeat(ROUNDS, gridferry);
    // Before and after, so that a machine that warms up or slows down counts for neither.
    restart.push(...(await dockerRestart(workshop, ROUNDS)));
    const rows = [
      atMost(1.5, {
        what: `downtime, ${String(MIB)} MiB`,
        against: 'docker restart',
        ours,
        baseline: restart,
        show: seconds,
      }),
      atMost(0.08, {
        what: `downtime, ${String(MIB)} MiB`,
        against: 'stop; save\\|load; tar\\|tar; run',
        ours,
        baseline: [script],
        show: seconds,
      }),
    ];
    if (process.env['BENCH_SKIP_LARGE'] !== undefined) return rows;
    const bySize: number[][] = [];
    for (const mib of [SMALL_MIB, LARGE_MIB]) {
      await removeService(workshop, 'alpha');
      await startService(workshop, 'alpha', mib);
      bySize.push(await repeat(ROUNDS, gridferry));
    }
    const [small = [], large = []] = bySize;
    rows.push(
      atMost(1.3, {
        what: `downtime, ${String(LARGE_MIB)} MiB`,
        against: `${String(SMALL_MIB)} MiB`,
        ours: large,
        baseline: small,
        show: seconds,
      }),
    );
    return rows;
  } finally {
    await workshop.close();
  }
}

async function repeat(rounds: number, measure: () => Promise<number>): Promise<number[]> {
  const figures: number[] = [];
  for (let round = 0; round < rounds; round++) figures.push(await measure());
  return figures;
}

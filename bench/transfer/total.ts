import { moveByGridferry, moveByScript } from './move.ts';
import { atMost, seconds } from './report.ts';
import type { Row } from './report.ts';
import { BASE_IMAGE, makeImages, startService } from './service.ts';
import { openWorkshop } from './workshop.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const MIB = Number(process.env['BENCH_MIB'] ?? 500);

/**
 * How long a move takes altogether, against the plain script: from calling the script to its end, and from saving the
 * Transfer's YAML, while `gridferry run` runs, to `Completed`. Once with nothing at the target, once with the image's base.
 */
export async function totalRows(): Promise<Row[]> {
  const workshop = await openWorkshop({ name: 'bench-total', subnet: '10.99.71.0/24' });
  try {
    console.log(await makeImages(workshop, { withApplication: ['alpha'] }));
    await startService(workshop, 'alpha', MIB);
    const nothing = await compare(workshop, 'total, nothing at the target', 0.7);
    await makeImages(workshop, { withApplication: [], baseOnly: ['beta'] });
    const base = await compare(workshop, `total, ${BASE_IMAGE} at the target`, 0.5);
    return [nothing, base];
  } finally {
    await workshop.close();
  }
}

async function compare(workshop: Awaited<ReturnType<typeof openWorkshop>>, what: string, limit: number): Promise<Row> {
  const ours: number[] = [];
  const script: number[] = [];
  // In turn, so that whatever else the machine does falls on both alike.
  for (let round = 0; round < ROUNDS; round++) {
    script.push((await moveByScript(workshop)).totalMs);
    const { totalMs, status } = await moveByGridferry(workshop);
    ours.push(totalMs);
    console.log(JSON.stringify({ what, totalMs, script: script.at(-1), images: status.images }));
  }
  return atMost(limit, { what, against: 'stop; save\\|load; tar\\|tar; run', ours, baseline: script, show: seconds });
}

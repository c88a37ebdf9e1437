import { formatBytes } from '../controllers/format-bytes.ts';
import { runGridferry } from './transfer/gridferry.ts';
import { CONTAINER, makeImages, IMAGE, VOLUME } from './transfer/service.ts';
import { openWorkshop, until } from './transfer/workshop.ts';

/**
 * A database in one file: `sudo node bench/transfer-big-file.ts [MiB]`. A hundredth of its 8 KiB pages, anywhere in it, is
 * rewritten once after the first copy, while the transfer waits for its time. Goal: the pass that brings them sends no
 * more than 6 % of the file.
 */

const GOAL = 0.06;
const WAIT_MS = 60_000;
const mib = Number(process.argv[2] ?? 1024);
const file = `/var/lib/docker/volumes/${VOLUME}/_data/database`;
const pages = Math.floor((mib * 128) / 100);

/** Rewrites pages here and there, each as a whole. */
const REWRITE = `
import os, random, sys
path, pages = sys.argv[1], int(sys.argv[2])
with open(path, 'r+b') as file:
    for page in random.sample(range(os.path.getsize(path) // 8192), pages):
        file.seek(page * 8192)
        file.write(os.urandom(8192))
`;

const workshop = await openWorkshop({ name: 'bench-big-file', subnet: '10.99.93.0/24' });
try {
  await makeImages(workshop, { withApplication: ['alpha'] });
  await workshop.exec('alpha', ['docker', 'run', '-d', '--name', CONTAINER, '-v', `${VOLUME}:/data`, IMAGE]);
  await workshop.exec('alpha', ['sh', '-c', `head -c ${String(mib)}M /dev/urandom >${file}; sync`]);
  const gridferry = await runGridferry(workshop);
  try {
    const cutover = new Date(Date.now() + WAIT_MS).toISOString();
    const moved = gridferry.transfer('big-file', { cutover, healthCheck: undefined });
    const sum = (server: string): Promise<string> => workshop.exec(server, ['sh', '-c', `sha256sum <${file}`]);
    const before = await sum('alpha');
    await until(async () => (await sum('beta')) === before || undefined);
    await workshop.exec('alpha', ['python3', '-c', REWRITE, file, String(pages)]);
    const { status } = await moved;
    const passes = status.volumes?.find(({ name }) => name === VOLUME)?.passes ?? [];
    const later = passes.slice(1);
    const most = Math.max(...later.map(({ bytesSent }) => bytesSent));
    const share = most / (mib << 20);
    console.log(
      `${String(mib)} MiB in one file, ${String(pages)} of its pages of 8 KiB rewritten after the first copy`,
    );
    for (const { kind, tool, bytesSent, durationMs } of passes) {
      console.log(
        `  ${kind.padEnd(8)} ${tool} ${formatBytes(bytesSent).padStart(10)} ${String(durationMs).padStart(6)} ms`,
      );
    }
    console.log(
      `the pass that brought them sent ${formatBytes(most)}, ${(share * 100).toFixed(1)} % of the file (goal: 6 %)`,
    );
    if ((await sum('alpha')) !== (await sum('beta'))) throw new Error('the file is not the same on both servers');
    if (later.length === 0 || share > GOAL) process.exitCode = 1;
  } finally {
    await gridferry.stop();
  }
} finally {
  await workshop.close();
}

import type { TransferStatus } from '../../src/api/resources.ts';
import { runGridferry } from './gridferry.ts';
import { plainScript } from './plain-script.ts';
import { CONTAINER, reset } from './service.ts';
import { startWriting } from './steady-writer.ts';
import type { Workshop } from './workshop.ts';

/** One move from alpha to beta, as its clients saw it. */
export interface Move {
  readonly totalMs: number;
  /** The longest time between two acknowledged writes. */
  readonly downtimeMs: number;
}

/** Moves the service by the script, and puts everything back. */
export function moveByScript(workshop: Workshop): Promise<Move> {
  return underWrites(workshop, () => plainScript(workshop));
}

/** Moves the service with `gridferry run`, and puts everything back. */
export async function moveByGridferry(
  workshop: Workshop,
  spec: Readonly<Record<string, unknown>> = {},
): Promise<Move & { readonly residentMiB: number; readonly status: TransferStatus }> {
  const gridferry = await runGridferry(workshop);
  try {
    let status: TransferStatus = {};
    let residentMiB = 0;
    const move = await underWrites(workshop, async () => {
      const done = await gridferry.transfer('move', spec);
      status = done.status;
      residentMiB = await gridferry.residentMiB();
      return done.totalMs;
    });
    return { ...move, residentMiB, status };
  } finally {
    await gridferry.stop();
  }
}

async function underWrites(workshop: Workshop, move: () => Promise<number>): Promise<Move> {
  const started = await workshop.nextStart('beta', CONTAINER);
  const writer = startWriting(workshop.address('alpha'));
  void started.seen.then(() => writer.follow(workshop.address('beta')));
  await writer.begun;
  const totalMs = await move();
  const { longestGapMs, acknowledged } = await writer.stop(performance.now());
  started.stop();
  await assertNothingLost(workshop, acknowledged);
  await reset(workshop, 'alpha', 'beta');
  return { totalMs, downtimeMs: longestGapMs };
}

async function assertNothingLost(workshop: Workshop, acknowledged: readonly number[]): Promise<void> {
  const written = await workshop.exec('beta', ['docker', 'exec', CONTAINER, 'cat', '/data/writes']);
  const there = new Set(written.split('\n'));
  const lost = acknowledged.filter((number) => !there.has(String(number)));
  if (lost.length > 0) throw new Error(`${String(lost.length)} acknowledged writes are not at the target`);
}

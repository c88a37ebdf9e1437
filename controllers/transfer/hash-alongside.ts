import { sleep } from '../../src/runtime/clock.ts';
import { buildManifest } from '../../src/volumes/manifest.ts';
import type { ManifestHandle } from '../../src/volumes/manifest.ts';
import type { Workbench } from '../../src/volumes/workbench.ts';
import type { TransferContext } from './context.ts';
import { manifestName, pathOn } from './data-set.ts';
import type { DataItem } from './data-set.ts';

/** Between two looks at a growing target, in ms; and at least twice as long as the last look took. */
const LOOK_AGAIN_MS = 1_000;

/**
 * Hashes both sides of one item while the service runs, so that during the downtime only what changed since has to be
 * hashed. Most of it happens beside the copy, which waits for the network anyway: the source at once, the target again
 * and again as it grows, and after the copy only what the last look had not seen.
 */
export async function copyWhileHashing(
  context: TransferContext,
  item: DataItem,
  index: number,
  copy: () => Promise<void>,
): Promise<void> {
  if (context.transfer.spec.verify !== 'Changed') return copy();
  const [source, target] = await Promise.all([
    context.session.sourceBench(context),
    context.session.targetBench(context),
  ]);
  const copied = new AbortController();
  const early = Promise.all([
    attempt(() => build(context, source, item, index, undefined)),
    follow(context, target, item, index, copied.signal),
  ]);
  try {
    await copy();
  } finally {
    copied.abort();
    await early;
  }
  const [seenAtSource, seenAtTarget] = await early;
  // Only the copy wrote at the target, and not through mapped memory; what it wrote is flushed before the start.
  const [onSource, onTarget] = await Promise.all([
    build(context, source, item, index, seenAtSource),
    build(context, target, item, index, seenAtTarget, false),
  ]);
  context.session.manifests.set(item.name, { source: onSource, target: onTarget });
}

/** Hashes a tree again and again while it grows; answers the last manifest. */
async function follow(
  context: TransferContext,
  bench: Workbench,
  item: DataItem,
  index: number,
  copied: AbortSignal,
): Promise<ManifestHandle | undefined> {
  let latest: ManifestHandle | undefined;
  let wait = LOOK_AGAIN_MS;
  for (;;) {
    await sleep(context.clock, wait, copied).catch(() => undefined);
    if (copied.aborted) return latest;
    const seen = await attempt(() => build(context, bench, item, index, latest));
    latest = seen ?? latest;
    wait = Math.max(LOOK_AGAIN_MS, 2 * (seen?.durationMs ?? 0));
  }
}

function build(
  context: TransferContext,
  bench: Workbench,
  item: DataItem,
  index: number,
  previous: ManifestHandle | undefined,
  settle = true,
): Promise<ManifestHandle> {
  return buildManifest(bench, pathOn(bench, item), {
    mode: 'full',
    name: manifestName(index),
    // Also with an earlier manifest: else a later store into a page that is still dirty would not move the file's times.
    settle,
    signal: context.signal,
    ...(previous === undefined ? {} : { previous }),
  });
}

/** Early looks only save time: one that fails (a tree in motion, a file that vanished) is made up for after the copy. */
async function attempt(look: () => Promise<ManifestHandle>): Promise<ManifestHandle | undefined> {
  try {
    return await look();
  } catch {
    return undefined;
  }
}

import { sleep } from '../../../src/runtime/clock.ts';
import type { ManifestHandle } from '../../../src/volumes/manifest.ts';
import type { Workbench } from '../../../src/volumes/workbench.ts';
import type { TransferContext } from '../context.ts';
import { manifestName, pathOn } from './data-set.ts';
import type { DataItem } from './data-set.ts';

/** Between two looks at a growing target, in ms; and at least twice as long as the last look took. */
const LOOK_AGAIN_MS = 1_000;

/** An item and its place in the data set, which names its manifests. */
export type PlacedItem = readonly [index: number, item: DataItem];

/**
 * Hashes both sides of one item while the service runs, so that during the downtime only what changed since has to be
 * hashed. Most of it happens beside the copy, which waits for the network anyway: the source at once, the target again
 * and again as it grows, and after the copy only what the last look had not seen.
 *
 * Answers how long the comparison would take that `spec.verify` wants after the stop, in ms.
 */
export async function copyWhileHashing(
  context: TransferContext,
  [index, item]: PlacedItem,
  copy: () => Promise<void>,
): Promise<number> {
  const { verify } = context.transfer.spec;
  const [source, target] = await benches(context);
  if (verify !== 'Changed') {
    const begin = context.clock.monotonic();
    // Nothing is kept of it: it only shows how long reading everything takes here.
    const reading = attempt(() => build(context, source, item, `rehearsal-${manifestName(index)}`, verify));
    const done = reading.then(() => context.clock.monotonic() - begin);
    await copy().finally(() => done);
    return done;
  }
  const known = await knownOf(context, [index, item]);
  const copied = new AbortController();
  const early = Promise.all([
    attempt(() => build(context, source, item, manifestName(index), verify, known.source)),
    follow(context, target, [index, item], known.target, copied.signal),
  ]);
  try {
    await copy();
  } finally {
    copied.abort();
    await early;
  }
  const [onSource, onTarget] = await early;
  return hashBoth(context, [index, item], { source: onSource ?? known.source, target: onTarget });
}

/**
 * Hashes again what a round of copying found changed. Answers how long it took, in ms: `undefined` where nothing is
 * hashed before the stop.
 */
export async function hashAgain(context: TransferContext, placed: PlacedItem): Promise<number | undefined> {
  if (context.transfer.spec.verify !== 'Changed') return undefined;
  return hashBoth(context, placed, await knownOf(context, placed));
}

export interface KnownManifests {
  readonly source: ManifestHandle | undefined;
  readonly target: ManifestHandle | undefined;
}

/** What was hashed before, by this process or by one that died. */
export async function knownOf(context: TransferContext, [index, item]: PlacedItem): Promise<KnownManifests> {
  const known = context.session.manifests.get(item.name);
  if (known !== undefined) return known;
  const [source, target] = await benches(context);
  const find = (bench: Workbench): Promise<ManifestHandle | undefined> =>
    context.dataPlane.findManifest(bench, manifestName(index), 'full');
  const [onSource, onTarget] = await Promise.all([find(source), find(target)]);
  return { source: onSource, target: onTarget };
}

async function hashBoth(context: TransferContext, [index, item]: PlacedItem, known: KnownManifests): Promise<number> {
  const [source, target] = await benches(context);
  const begin = context.clock.monotonic();
  // Only the copy wrote at the target, and not through mapped memory; what it wrote is flushed before the start.
  const [onSource, onTarget] = await Promise.all([
    build(context, source, item, manifestName(index), 'Changed', known.source),
    build(context, target, item, manifestName(index), 'Changed', known.target, false),
  ]);
  context.session.manifests.set(item.name, { source: onSource, target: onTarget });
  return context.clock.monotonic() - begin;
}

/** Hashes a tree again and again while it grows; answers the last manifest. */
async function follow(
  context: TransferContext,
  bench: Workbench,
  [index, item]: PlacedItem,
  known: ManifestHandle | undefined,
  copied: AbortSignal,
): Promise<ManifestHandle | undefined> {
  let latest = known;
  let wait = LOOK_AGAIN_MS;
  for (;;) {
    await sleep(context.clock, wait, copied).catch(() => undefined);
    if (copied.aborted) return latest;
    const seen = await attempt(() => build(context, bench, item, manifestName(index), 'Changed', latest));
    latest = seen ?? latest;
    wait = Math.max(LOOK_AGAIN_MS, 2 * (seen?.durationMs ?? 0));
  }
}

function benches(context: TransferContext): Promise<[Workbench, Workbench]> {
  return Promise.all([context.session.sourceBench(context), context.session.targetBench(context)]);
}

function build(
  context: TransferContext,
  bench: Workbench,
  item: DataItem,
  name: string,
  verify: TransferContext['transfer']['spec']['verify'],
  previous?: ManifestHandle,
  settle = verify === 'Changed',
): Promise<ManifestHandle> {
  return context.dataPlane.buildManifest(bench, pathOn(bench, item), {
    mode: verify === 'Metadata' ? 'metadata' : 'full',
    name,
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

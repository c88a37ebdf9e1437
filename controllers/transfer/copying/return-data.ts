import { GridferryError } from '../../../src/errors.ts';
import type { CopyPass } from '../../../src/volumes/copy.ts';
import type { ManifestHandle } from '../../../src/volumes/manifest.ts';
import type { VerifyMode } from '../../../src/volumes/verify.ts';
import type { Workbench } from '../../../src/volumes/workbench.ts';
import type { TransferContext } from '../context.ts';
import { copyEnds, reversed } from './copy-ends.ts';
import type { CopyEnds } from './copy-ends.ts';
import { manifestName, pathOn } from './data-set.ts';
import type { DataItem } from './data-set.ts';
import { flush } from './final-pass.ts';

/** The data on their way back: from the target, where the service wrote since, over the source's stopped copy. */

/** One pass over one item. Deletes at the source what is no longer at the target. */
export async function copyBack(
  context: TransferContext,
  item: DataItem,
  options: { readonly running: boolean; readonly onProgress?: (onWire: number, done?: number) => void },
): Promise<CopyPass> {
  return context.dataPlane.copyTree({ ...reversed(await copyEnds(context, item)), ...options });
}

/**
 * Hashes both sides while the service runs at the target, so that only what changes from now on is hashed while it is
 * stopped. Answers how long it took, in ms.
 */
export async function hashBothSides(context: TransferContext, item: DataItem, index: number): Promise<number> {
  const { manifests } = context.session;
  const earlier = manifests.get(item.name);
  const [source, target] = await Promise.all([
    context.session.sourceBench(context),
    context.session.targetBench(context),
  ]);
  const build = (bench: Workbench, previous: ManifestHandle | undefined, settle: boolean): Promise<ManifestHandle> =>
    context.dataPlane.buildManifest(bench, pathOn(bench, item), {
      mode: 'full',
      name: manifestName(index),
      // Pages that are still dirty where the service runs would let a later store go unnoticed.
      settle,
      signal: context.signal,
      ...(previous === undefined ? {} : { previous }),
    });
  const began = context.clock.monotonic();
  const [atSource, atTarget] = await Promise.all([
    build(source, earlier?.source, false),
    build(target, earlier?.target, true),
  ]);
  manifests.set(item.name, { source: atSource, target: atTarget });
  return context.clock.monotonic() - began;
}

/**
 * Proves that the source has what the target has, and copies once more by contents where it has not.
 *
 * @throws GridferryError `GF_TRANSFER_RETURN_DIFFERS` (retryable)
 */
export async function proveReturned(
  context: TransferContext,
  item: DataItem,
  index: number,
  mode: VerifyMode,
): Promise<number> {
  const ends = reversed(await copyEnds(context, item));
  return prove(context, item, index, mode, ends, true);
}

/**
 * The whole way back at once, for an undo: nothing runs on either side, and nothing was hashed before.
 *
 * @throws GridferryError `GF_TRANSFER_RETURN_DIFFERS` (retryable)
 */
export async function carryBack(context: TransferContext): Promise<void> {
  for (const [index, item] of (await context.session.data(context)).entries()) {
    await copyBack(context, item, { running: false });
    await proveReturned(context, item, index, 'Full');
  }
  await flushSource(context);
}

/** What came back is to survive a power cut before the target's copy goes. */
export async function flushSource(context: TransferContext): Promise<void> {
  await flush(context, await context.session.sourceBench(context), await context.session.data(context));
}

/** The other way: the source may have served during a rollback that is taken back. Nothing runs on either side. */
export async function carryForward(context: TransferContext): Promise<void> {
  for (const [index, item] of (await context.session.data(context)).entries()) {
    const ends = await copyEnds(context, item);
    await context.dataPlane.copyTree({ ...ends, running: false });
    await prove(context, item, index, 'Full', ends, false);
  }
}

async function prove(
  context: TransferContext,
  item: DataItem,
  index: number,
  mode: VerifyMode,
  ends: CopyEnds,
  backwards: boolean,
): Promise<number> {
  const earlier = context.session.manifests.get(item.name);
  const [previousSource, previousTarget] = backwards
    ? [earlier?.target, earlier?.source]
    : [earlier?.source, earlier?.target];
  const verify = (): ReturnType<typeof context.dataPlane.verifyTrees> =>
    context.dataPlane.verifyTrees({
      ...ends,
      ...{ mode, previousSource, previousTarget, holes: false, name: manifestName(index) },
    });
  const first = await verify();
  if (first.result.equal) return first.source.entries;
  // A copy that goes by times misses what was rewritten with the same size and time; reading contents does not.
  await context.dataPlane.copyTree({ ...ends, running: false, compare: 'content' });
  const second = await verify();
  if (second.result.equal) return second.source.entries;
  throw new GridferryError(
    'GF_TRANSFER_RETURN_DIFFERS',
    `${item.name} could not be brought back unchanged: ${second.result.differences.map(({ path }) => path).join(', ')} differ; both copies are kept`,
    { class: 'retryable' },
  );
}

import { GridferryError } from '../../../src/errors.ts';
import { copyTree } from '../../../src/volumes/copy.ts';
import { verifyTrees } from '../../../src/volumes/verify.ts';
import type { Difference, Verification } from '../../../src/volumes/verify.ts';
import type { TransferContext } from '../context.ts';
import { copyEnds } from '../copy-ends.ts';
import { manifestName, pathOn } from '../data-set.ts';
import type { DataItem } from '../data-set.ts';
import { assertSourceStopped } from '../source-containers.ts';
import type { Step } from '../step.ts';

/** Proves that the target's data are the source's, before anything at the target may start. */
export const verifyData: Step = {
  name: 'verify-data',
  phase: 'Restoring',
  async apply(context) {
    await assertSourceStopped(context);
    const items = await context.session.data(context);
    // What is proved equal in the page cache should survive a power cut as well.
    const [results] = await Promise.all([
      Promise.all(items.map((item, index) => proveEqual(context, item, index))),
      flushTarget(context, items),
    ]);
    const entries = results.reduce((sum, { source }) => sum + source.entries, 0);
    const mounts = results.reduce((sum, { source }) => sum + source.skippedMounts, 0);
    const how = context.transfer.spec.verify;
    const limited =
      mounts === 0 ? '' : `; ${String(mounts)} folder(s) on which something else is mounted were not entered`;
    const message = `${String(entries)} entries equal (${how})${limited}`;
    return {
      record(status, condition) {
        for (const volume of status.volumes ?? []) {
          const proved = results[items.findIndex((item) => item.name === volume.name)];
          volume.verified = how;
          // The service may have written more or less since it was measured first.
          if (proved !== undefined) volume.bytesTotal = proved.source.bytes;
          volume.bytesDone = volume.bytesTotal ?? 0;
        }
        status.bytesTotal = status.volumes?.reduce((sum, volume) => sum + (volume.bytesTotal ?? 0), 0) ?? 0;
        status.bytesDone = status.bytesTotal;
        condition('DataCopied', 'True', 'Verified', message);
      },
      message,
    };
  },
};

async function proveEqual(context: TransferContext, item: DataItem, index: number): Promise<Verification> {
  const first = await verify(context, item, index);
  if (first.result.equal) return first;
  // A copy that goes by times misses what was rewritten with the same size and time; reading contents does not.
  await copyTree({ ...(await copyEnds(context, item)), running: false, compare: 'content' });
  const second = await verify(context, item, index);
  if (second.result.equal) return second;
  throw differs(item, second.result.differences);
}

async function flushTarget(context: TransferContext, items: readonly DataItem[]): Promise<void> {
  const target = await context.session.targetBench(context);
  for (const item of items) {
    await target.exec(['sh', '-c', 'sync -f "$0" 2>/dev/null || sync', pathOn(target, item)], {
      signal: context.signal,
      timeoutMs: 600_000,
    });
  }
}

async function verify(context: TransferContext, item: DataItem, index: number): Promise<Verification> {
  const earlier = context.session.manifests.get(item.name);
  return verifyTrees({
    ...(await copyEnds(context, item)),
    mode: context.transfer.spec.verify,
    // Without earlier manifests everything is hashed: slower, never less.
    previousSource: earlier?.source,
    previousTarget: earlier?.target,
    name: manifestName(index),
  });
}

function differs(item: DataItem, differences: readonly Difference[]): GridferryError {
  const first = differences.map(({ path, what }) => `${path} (${what.join(', ')})`).join('; ');
  return new GridferryError(
    'GF_TRANSFER_DATA_DIFFERS',
    `${item.name} is not the same on both servers: ${first}. The target was not started.`,
  );
}

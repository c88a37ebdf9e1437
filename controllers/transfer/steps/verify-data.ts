import { GridferryError } from '../../../src/errors.ts';
import type { Difference, Verification } from '../../../src/volumes/verify.ts';
import type { TransferContext } from '../context.ts';
import { copyEnds } from '../copying/copy-ends.ts';
import { manifestName } from '../copying/data-set.ts';
import type { DataItem } from '../copying/data-set.ts';
import { measure } from '../source/downtime.ts';
import { beginFlush } from '../copying/final-pass.ts';
import { knownOf } from '../copying/hash-alongside.ts';
import { assertSourceQuiet } from '../source/source-containers.ts';
import { take } from '../source/stopped-phase.ts';
import type { Step } from '../step.ts';

/** Proves that the target's data are the source's, before anything at the target may start. */
export const verifyData: Step = {
  name: 'verify-data',
  phase: 'Restoring',
  async apply(context) {
    await assertSourceQuiet(context);
    const measured = measure(context, 'verifyMs');
    const items = await context.session.data(context);
    const results = await Promise.all(items.map((item, index) => proveEqual(context, item, index)));
    // After a repair's last write. The service need not wait for the disk; the commit point does.
    beginFlush(context, items);
    const verifyMs = measured();
    context.session.stopped.standDown();
    const entries = results.reduce((sum, { source }) => sum + source.entries, 0);
    const mounts = results.reduce((sum, { source }) => sum + source.skippedMounts, 0);
    const how = context.transfer.spec.verify;
    const limited =
      mounts === 0 ? '' : `; ${String(mounts)} folder(s) on which something else is mounted were not entered`;
    const message = `${String(entries)} entries equal (${how})${limited}`;
    return {
      record(status, condition) {
        verifyMs(status, condition);
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

/**
 * Proves one item equal on both sides, and copies once more by contents where it is not.
 *
 * @throws GridferryError `GF_TRANSFER_DATA_DIFFERS`
 */
export async function proveEqual(context: TransferContext, item: DataItem, index: number): Promise<Verification> {
  const first = await verify(context, item, index);
  if (first.result.equal) return first;
  // A copy that goes by times misses what was rewritten with the same size and time; reading contents does not.
  await context.dataPlane.copyTree({ ...(await copyEnds(context, item)), running: false, compare: 'content' });
  const second = await verify(context, item, index);
  if (second.result.equal) return second;
  throw differs(item, second.result.differences);
}

async function verify(context: TransferContext, item: DataItem, index: number): Promise<Verification> {
  // Without earlier manifests everything is hashed: slower, never less.
  const earlier = await knownOf(context, [index, item]);
  return context.dataPlane.verifyTrees({
    ...(await copyEnds(context, item)),
    mode: context.transfer.spec.verify,
    previousSource: earlier.source,
    previousTarget: earlier.target,
    // Once: a second look after a repair is made anew.
    standby: take(context.session.stopped.manifests, item.name),
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

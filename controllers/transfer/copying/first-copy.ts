import { channelsFor } from '../../../src/volumes/channels.ts';
import type { CopyPass } from '../../../src/volumes/copy.ts';
import type { TransferContext } from '../context.ts';
import { copyEnds } from './copy-ends.ts';
import { copyWhileHashing } from './hash-alongside.ts';
import type { PlacedItem } from './hash-alongside.ts';
import type { Rounds } from './rounds.ts';
import { sideBySide } from './side-by-side.ts';
import { copyTuned } from './tuned-copy.ts';

/** Up to this size several items are copied at a time, since each is mostly waiting; in bytes. */
const SMALL_BYTES = 64 << 20;

/** Copies everything for the first time, or what is missing of it. */
export async function copyFirst(context: TransferContext, items: readonly PlacedItem[], rounds: Rounds): Promise<void> {
  const begin = context.clock.now();
  const { progress } = rounds;
  const channels = channelsFor(context.status.transport?.roundTripMs);
  if (channels > 1) rounds.tune({ channels });
  let checkMs = 0;

  const sizeOf = ([, { name }]: PlacedItem): number =>
    context.status.volumes?.find((volume) => volume.name === name)?.bytesTotal ?? Infinity;
  async function copy(placed: PlacedItem): Promise<CopyPass | undefined> {
    const [, item] = placed;
    let pass: CopyPass | undefined;
    checkMs += await copyWhileHashing(context, placed, async () => {
      const options = {
        ...(await copyEnds(context, item)),
        ...rounds.tuning(),
        ...(channels > 1 ? { channels } : {}),
        running: true,
        onProgress: progress.bytes(item.name),
      };
      pass = await (sizeOf(placed) > SMALL_BYTES
        ? copyTuned(context, options, (compression) => rounds.tune({ compression }))
        : context.dataPlane.copyTree(options));
      progress.add(item.name, 'PreCopy', pass);
    });
    return pass;
  }
  const passes = await sideBySide(
    context,
    items.filter((placed) => sizeOf(placed) <= SMALL_BYTES),
    copy,
  );
  for (const placed of items.filter((large) => sizeOf(large) > SMALL_BYTES)) passes.push(await copy(placed));

  const sum = (of: (pass: CopyPass) => number): number =>
    passes.reduce((all, pass) => all + (pass === undefined ? 0 : of(pass)), 0);
  rounds.begun(
    {
      durationMs: sum(({ durationMs }) => durationMs),
      bytesSent: sum(({ bytesOnWire }) => bytesOnWire),
      changedBytes: sum((pass) => pass.changedBytes ?? pass.bytesOnWire),
      checkMs,
      treeBytes: sum(({ totalBytes = 0 }) => totalBytes),
    },
    begin,
  );
}

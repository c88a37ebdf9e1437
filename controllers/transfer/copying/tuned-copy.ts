import { GridferryError } from '../../../src/errors.ts';
import type { CopyOptions, CopyPass } from '../../../src/volumes/copy.ts';
import { chooseCompression } from '../../../src/volumes/link-probe.ts';
import { commonAbilities } from '../../../src/volumes/rsync-command.ts';
import type { Compression } from '../../../src/volumes/rsync-command.ts';
import type { TransferContext } from '../context.ts';

/** What is read at first fills buffers on the way, which says nothing about the link; in ms. */
const WARM_UP_MS = 1_000;
/** How long the link is watched then, in ms. */
const WATCH_MS = 2_000;

/**
 * A copy that is compressed where the link is slower than the data could be compressed. Where that is not known yet, the
 * copy's first seconds are the measurement, and it may be begun again with compression: what already crossed stays.
 *
 * @param onCompression called before the copy goes on compressed
 */
export async function copyTuned(
  context: TransferContext,
  options: CopyOptions,
  onCompression: (compression: Compression) => void,
): Promise<CopyPass> {
  const available = bothCompress(options);
  if (options.compression !== undefined || available.length === 0) return context.dataPlane.copyTree(options);
  const { source, sourcePath } = options;
  // Where it cannot be sampled, it is not compressed.
  const sample = context.dataPlane.sampleCompression(source, sourcePath, context.signal).catch(() => undefined);
  const measured = context.status.transport?.bytesPerSecond;
  if (measured !== undefined) {
    const rate = Math.min(measured, options.bandwidthLimit ?? Infinity);
    const compression = chooseCompression(rate, await sample, available);
    if (compression !== undefined) {
      onCompression(compression);
      return context.dataPlane.copyTree({ ...options, compression });
    }
  }
  const stop = new AbortController();
  let wire = 0;
  let choice: Compression | undefined;

  async function watch(bytesPerSecond: number): Promise<void> {
    choice = chooseCompression(bytesPerSecond, await sample, available);
    if (choice !== undefined) stop.abort(new GridferryError('GF_TRANSFER_CANCELLED', 'the copy goes on compressed'));
  }
  const measure = firstRate(context, (rate) => void watch(rate));
  try {
    return await context.dataPlane.copyTree({
      ...options,
      signal: AbortSignal.any([context.signal, stop.signal]),
      onProgress(bytes, done) {
        wire = bytes;
        measure(bytes);
        options.onProgress?.(bytes, ...(done === undefined ? [] : [done]));
      },
    });
  } catch (error) {
    if (choice === undefined || context.signal.aborted) throw error;
    onCompression(choice);
    const rest = await context.dataPlane.copyTree({ ...options, compression: choice });
    return { ...rest, bytesOnWire: rest.bytesOnWire + wire };
  } finally {
    await sample;
  }
}

/** Calls back once, with the bytes per second between the warm-up and the end of the watch. */
function firstRate({ clock }: TransferContext, onRate: (bytesPerSecond: number) => void): (bytes: number) => void {
  let from: { readonly bytes: number; readonly at: number } | undefined;
  let warmAt: number | undefined;
  let told = false;
  return (bytes) => {
    if (told) return;
    const now = clock.monotonic();
    warmAt ??= now + WARM_UP_MS;
    if (now < warmAt) return;
    from ??= { bytes, at: now };
    if (now - from.at < WATCH_MS) return;
    told = true;
    onRate(((bytes - from.bytes) * 1000) / (now - from.at));
  };
}

function bothCompress({ source, target, tool }: CopyOptions): readonly Compression[] {
  const [from, to] = [source.tools.rsync, target.tools.rsync];
  return from === undefined || to === undefined || tool === 'tar' ? [] : commonAbilities(from, to).compressions;
}

import { moveTag, sendImage } from '../../../src/docker/image-transfer.ts';
import type { TransferStatus } from '../../../src/api/resources.ts';
import { formatBytes } from '../../format-bytes.ts';
import { marksOf } from '../context.ts';
import { rateMeter } from '../progress.ts';
import type { Step } from '../step.ts';

type ImageStatus = NonNullable<TransferStatus['images']>[number];

/** Brings the images to the target by the cheapest way: there already, pulled by digest, missing layers, whole. */
export const copyImages: Step = {
  name: 'copy-images',
  phase: 'Uploading',
  async apply(context) {
    const [capture, source, target] = await Promise.all([
      context.session.capture(context),
      context.session.source(context),
      context.session.target(context),
    ]);
    const images: ImageStatus[] = [];
    const meter = rateMeter(context);
    for (const image of capture.images) {
      const sent = await sendImage({
        source: source.engine,
        target: target.engine,
        imageId: image.id,
        references: image.references,
        pull: { enabled: true, timeoutMs: 10 * 60_000 },
        signal: context.signal,
        onProgress: ({ bytesDone, bytesTotal }) => meter.report(bytesDone, bytesTotal),
        marks: marksOf(context.transfer),
        clock: context.clock,
      });
      images.push({
        id: image.id,
        targetId: sent.targetId,
        ...(image.references[0] === undefined ? {} : { reference: image.references[0] }),
        method: sent.how,
        layersTotal: sent.layersTotal,
        layersSent: sent.layersSent,
        bytesSent: sent.bytesSent,
        bytesSkipped: sent.bytesSkipped,
        ...(sent.retagged.length === 0 ? {} : { retagged: sent.retagged.map((tag) => ({ ...tag })) }),
      });
    }
    return {
      record: (status) => void (status.images = images),
      message: images.map(describe).join('; '),
    };
  },
  /** Images stay, since they harm nobody and spare the next try the way. A tag that another image had goes back to it. */
  async undo(context) {
    const { engine } = await context.session.target(context);
    for (const { targetId, retagged = [] } of context.status.images ?? []) {
      for (const { reference, previousId } of retagged) {
        await moveTag(engine, reference, { from: targetId, to: previousId }, context.signal);
      }
    }
  },
};

function describe(image: ImageStatus): string {
  const tags = (image.retagged ?? []).map(({ reference }) => `, and ${reference} named another image there before`);
  return `${image.reference ?? image.id}: ${image.method}, ${formatBytes(image.bytesSent)} sent, ${formatBytes(image.bytesSkipped)} skipped${tags.join('')}`;
}

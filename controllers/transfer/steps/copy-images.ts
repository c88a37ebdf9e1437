import { sendImage } from '../../../src/docker/image-transfer.ts';
import type { TransferStatus } from '../../../src/api/resources.ts';
import { formatBytes } from '../../format-bytes.ts';
import { marksOf } from '../context.ts';
import { rateMeter } from '../progress.ts';
import type { Step } from '../step.ts';

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
    const images: NonNullable<TransferStatus['images']> = [];
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
      });
    }
    return {
      record: (status) => void (status.images = images),
      message: images
        .map(
          ({ reference, id, method, bytesSent, bytesSkipped }) =>
            `${reference ?? id}: ${method}, ${formatBytes(bytesSent)} sent, ${formatBytes(bytesSkipped)} skipped`,
        )
        .join('; '),
    };
  },
};

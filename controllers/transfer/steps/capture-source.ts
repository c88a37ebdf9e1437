import { formatBytes } from '../../format-bytes.ts';
import { sweep } from '../copying/benches.ts';
import { pathOn } from '../copying/data-set.ts';
import type { TransferStatus } from '../../../src/api/resources.ts';
import type { Step } from '../step.ts';

/** Reads what is to be moved, and writes down how the source was, before anything is touched. */
export const captureSource: Step = {
  name: 'capture-source',
  phase: 'Preparing',
  async apply(context) {
    const capture = await context.session.capture(context);
    const data = await context.session.data(context);
    const bench = await context.session.sourceBench(context);
    const volumes: NonNullable<TransferStatus['volumes']> = [];
    for (const item of data) {
      const size = await context.dataPlane.measureTree(bench, pathOn(bench, item), context.signal);
      volumes.push({ name: item.name, bytesTotal: size.bytes, bytesDone: 0, files: size.files });
    }
    const restore: NonNullable<TransferStatus['restore']> = {
      containers: capture.containers.map((container) => ({
        id: container.id,
        name: container.name,
        running: container.running,
        restartPolicy: container.restartPolicy.name,
        restartMaximumRetryCount: container.restartPolicy.maximumRetryCount,
      })),
    };
    const bytes = volumes.reduce((sum, volume) => sum + (volume.bytesTotal ?? 0), 0);
    return {
      record(status) {
        // A second run of this step finds a source that the first one may have led to be touched: the first one counts.
        status.restore ??= restore;
        status.volumes = volumes;
        status.bytesTotal = bytes;
        status.bytesDone = 0;
      },
      message: `${capture.containers.map((container) => container.name).join(', ')}: ${String(capture.images.length)} image(s), ${String(data.length)} volume(s) and path(s), ${formatBytes(bytes)}`,
    };
  },
  async undo(context) {
    await sweep(context, 'source');
    return undefined;
  },
};

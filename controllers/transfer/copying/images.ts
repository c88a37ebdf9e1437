import type { TransferStatus } from '../../../src/api/resources.ts';
import type { ImageCapture } from '../../../src/docker/image-capture.ts';
import type { ImageLink } from '../../../src/docker/image-over-link.ts';
import type { ImageProgress } from '../../../src/docker/image-transfer.ts';
import { formatBytes } from '../../format-bytes.ts';
import { bandwidthLimitOf } from './bandwidth-limit.ts';
import { marksOf } from '../context.ts';
import type { TransferContext } from '../context.ts';
import { rateMeter } from './progress.ts';
import { sideBySide } from './side-by-side.ts';
import type { StatusChange, StepResult } from '../step.ts';

type ImageStatus = NonNullable<TransferStatus['images']>[number];

/**
 * Brings the images to the target by the cheapest way: there already, pulled by digest, missing layers, whole. Several at
 * a time.
 *
 * @param report where to show progress, for a step that does something else at the same time
 */
export async function bringImages(
  context: TransferContext,
  report: (change: StatusChange) => void,
): Promise<StepResult> {
  const { images } = await context.session.capture(context);
  const done: ImageStatus[] = [];
  const record: StatusChange = (status) => void (status.images = inOrder(images, done));
  const meter = rateMeter({ ...context, report }, record);
  const progress = new Map<string, ImageProgress>();
  const sum = (key: 'bytesDone' | 'bytesTotal'): number =>
    [...progress.values()].reduce((all, one) => all + one[key], 0);
  await sideBySide(context, images, async (image) => {
    const onProgress = (now: ImageProgress): void => {
      progress.set(image.id, now);
      meter.report(sum('bytesDone'), sum('bytesTotal'));
    };
    done.push(await bring(context, image, onProgress));
    // Known at once: what it takes to undo it must not wait for the others.
    report(record);
  });
  return { record, message: inOrder(images, done).map(describe).join('; ') };
}

async function bring(
  context: TransferContext,
  image: ImageCapture,
  onProgress: (progress: ImageProgress) => void,
): Promise<ImageStatus> {
  const [source, target] = await Promise.all([context.session.source(context), context.session.target(context)]);
  const limit = bandwidthLimitOf(context.transfer);
  // What goes through this process is held back here.
  const over = limit === undefined ? await linkOf(context) : undefined;
  const sent = await context.dataPlane.sendImage({
    source: source.engine,
    target: target.engine,
    imageId: image.id,
    references: image.references,
    pull: { enabled: true, timeoutMs: 10 * 60_000 },
    signal: context.signal,
    onProgress,
    marks: marksOf(context.transfer),
    clock: context.clock,
    ...(limit === undefined ? {} : { limit }),
    ...(over === undefined ? {} : { over }),
  });
  // An earlier run may have moved tags already: only it could see whose they were.
  const before = context.status.images?.find(({ id }) => id === image.id)?.retagged ?? [];
  const retagged = [
    ...before.map((tag) => ({ ...tag })),
    ...sent.retagged.filter(({ reference }) => before.every((tag) => tag.reference !== reference)),
  ];
  return {
    id: image.id,
    targetId: sent.targetId,
    ...(image.references[0] === undefined ? {} : { reference: image.references[0] }),
    method: sent.how,
    layersTotal: sent.layersTotal,
    layersSent: sent.layersSent,
    bytesSent: sent.bytesSent,
    bytesSkipped: sent.bytesSkipped,
    ...(retagged.length === 0 ? {} : { retagged }),
  };
}

/** The servers' own connection, where the data go over one. */
async function linkOf(context: TransferContext): Promise<ImageLink | undefined> {
  const route = await context.session.route.open(context);
  if (route.mode !== 'Direct') return undefined;
  return {
    link: route.link,
    dialsFromSource: route.direction === 'SourceToTarget',
    sourceSocket: context.sourceServer.spec.docker.socketPath,
    targetSocket: context.targetServer.spec.docker.socketPath,
    bytesPerSecond: context.status.transport?.bytesPerSecond,
  };
}

/** Images stay, since they harm nobody and spare the next try the way. A tag that another image had goes back to it. */
export async function giveTagsBack(context: TransferContext): Promise<void> {
  const { engine } = await context.session.target(context);
  for (const { targetId, retagged = [] } of context.status.images ?? []) {
    for (const { reference, previousId } of retagged) {
      await context.dataPlane.moveTag(engine, reference, { from: targetId, to: previousId }, context.signal);
    }
  }
}

function inOrder(images: readonly ImageCapture[], done: readonly ImageStatus[]): ImageStatus[] {
  return images.flatMap(({ id }) => done.filter((status) => status.id === id));
}

function describe(image: ImageStatus): string {
  const tags = (image.retagged ?? []).map(({ reference }) => `, and ${reference} named another image there before`);
  return `${image.reference ?? image.id}: ${image.method}, ${formatBytes(image.bytesSent)} sent, ${formatBytes(image.bytesSkipped)} skipped${tags.join('')}`;
}

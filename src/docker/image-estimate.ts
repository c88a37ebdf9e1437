import type { Engine } from './engine.ts';
import type { ImageCapture } from './image-capture.ts';
import { expectedBytes, takeStock } from './image-transfer.ts';

/** What bringing an image to a server would take, as things stand there now. */
export interface ImageEstimate {
  readonly layersTotal: number;
  readonly layersMissing: number;
  readonly bytes: number;
  readonly bytesPresent: number;
}

/** Looks which of an image's layers the target lacks. It may still be pulled there; that is not tried. */
export async function estimateImage(
  source: Engine,
  target: Engine,
  image: ImageCapture,
  signal?: AbortSignal,
): Promise<ImageEstimate> {
  const { present, prefix } = await takeStock(target, image, signal);
  const layersTotal = image.layers.length;
  if (present !== undefined) return { layersTotal, layersMissing: 0, bytes: 0, bytesPresent: image.size };
  const bytes = await expectedBytes(source, image, prefix, signal);
  return { layersTotal, layersMissing: layersTotal - prefix, bytes, bytesPresent: Math.max(0, image.size - bytes) };
}

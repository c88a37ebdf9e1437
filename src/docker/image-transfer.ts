import { GridferryError, messageOf } from '../errors.ts';
import { dockerCall, dockerStream } from './api.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Engine } from './engine.ts';
import { orUndefined } from './engine-error.ts';
import { commonPrefix, layerDropper } from './image-archive.ts';
import type { LayerDropper } from './image-archive.ts';
import { captureImage } from './image-capture.ts';
import type { ImageCapture } from './image-capture.ts';
import { sendOverLink } from './image-over-link.ts';
import type { ImageLink } from './image-over-link.ts';
import { pullByDigest } from './image-pull.ts';
import { tagAll } from './image-tags.ts';
import type { Retagged } from './image-tags.ts';
import { upload } from './load-archive.ts';
import type { Marks } from './marks.ts';
import { readProgress } from './progress-stream.ts';
import { filterTar } from './tar-filter.ts';

export interface SendImageOptions {
  readonly source: Engine;
  readonly target: Engine;
  /** As the source's engine knows it. */
  readonly imageId: string;
  /** Tags that lead to it on the target afterwards; default those it has at the source. */
  readonly references?: readonly string[];
  readonly pull: { readonly enabled: boolean; readonly timeoutMs: number };
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ImageProgress) => void;
  /** Bytes per second, for what passes through this process. */
  readonly limit?: number;
  /** Where all of the image is to be sent, it goes over this connection. Default: through this process. */
  readonly over?: ImageLink;
  /** For the container that is created, and removed at once, to prove that the image is whole. */
  readonly marks?: Marks;
  readonly clock?: Clock;
}

export interface ImageProgress {
  readonly phase: 'Pulling' | 'Sending' | 'Verifying';
  readonly bytesDone: number;
  /** An estimate from the layers' sizes: an archive's own size is known only at its end. Never below `bytesDone`. */
  readonly bytesTotal: number;
}

export interface SendImageResult {
  readonly how: 'Present' | 'Pulled' | 'Layers' | 'Whole';
  /** The image's id at the target: another one than at the source when the image stores differ. */
  readonly targetId: string;
  readonly layersTotal: number;
  readonly layersSent: number;
  /** What went to the target. */
  readonly bytesSent: number;
  /** What the target had already and was left out. */
  readonly bytesSkipped: number;
  /** Tags that meant another image at the target before, as `docker load` would have moved them too. */
  readonly retagged: readonly Retagged[];
  /** Rungs of the ladder that did not hold, with the reason. */
  readonly fellThrough: readonly string[];
}

/**
 * Gets an image onto the target by the cheapest way that works: it is there already, the registry has it, only the
 * layers that are missing, or all of it. Each is proved by comparing config and layers and by creating a container.
 *
 * Throws `GF_IMAGE_ARCHITECTURE`, `GF_IMAGE_NOT_VERIFIED`, `GF_DOCKER_*`.
 */
export async function sendImage(options: SendImageOptions): Promise<SendImageResult> {
  const { source, target, signal } = options;
  const image = await captureImage(source, options.imageId, signal);
  requireArchitecture(image, target);
  const fellThrough: string[] = [];
  const layersTotal = image.layers.length;
  const finish = async (targetId: string, how: SendImageResult['how'], sent: Sent): Promise<SendImageResult> => ({
    how,
    targetId,
    layersTotal,
    ...sent,
    retagged: await tagAll(target, targetId, options.references ?? image.references, signal),
    fellThrough,
  });
  const nothing: Sent = { layersSent: 0, bytesSent: 0, bytesSkipped: image.size };

  const stock = await takeStock(target, image, signal);
  if (stock.present !== undefined) {
    const broken = await whyUnusable(target, stock.present, image, options);
    if (broken === undefined) return finish(stock.present, 'Present', nothing);
    fellThrough.push(`the image at the target is damaged: ${broken}`);
  }

  if (options.pull.enabled && image.repoDigests.length > 0) {
    options.onProgress?.({ phase: 'Pulling', bytesDone: 0, bytesTotal: image.size });
    const pulled = await pullByDigest(target, image, options.pull.timeoutMs, signal);
    if ('id' in pulled) {
      const broken = await whyUnusable(target, pulled.id, image, options);
      if (broken === undefined) return finish(pulled.id, 'Pulled', { ...nothing, bytesSkipped: 0 });
      fellThrough.push(`pulled, but unusable: ${broken}`);
    } else {
      fellThrough.push(`not pulled: ${pulled.failed}`);
    }
  }

  // A load into a damaged image would find its layers "present" too: then everything is sent.
  if (stock.prefix > 0 && stock.present === undefined) {
    const partial = await tryLoad(options, image, stock.prefix);
    if ('id' in partial) return finish(partial.id, 'Layers', partial.sent);
    fellThrough.push(`missing layers alone did not do: ${partial.failed}`);
  }
  if (options.over !== undefined) {
    const direct = await tryLoad(options, image, 0, options.over);
    if ('id' in direct) return finish(direct.id, 'Whole', direct.sent);
    fellThrough.push(`not from server to server: ${direct.failed}`);
  }
  const whole = await tryLoad(options, image, 0);
  if ('id' in whole) return finish(whole.id, 'Whole', whole.sent);
  throw whole.error;
}

interface Sent {
  readonly layersSent: number;
  readonly bytesSent: number;
  readonly bytesSkipped: number;
}

function requireArchitecture(image: ImageCapture, target: Engine): void {
  const arch = image.architecture;
  // An imported image may not say what it is for.
  if (arch === '' || target.info.arch === '' || (arch === target.info.arch && image.os === target.info.os)) return;
  throw new GridferryError(
    'GF_IMAGE_ARCHITECTURE',
    `The image is built for ${image.os}/${image.architecture}, and ${target.host.name} is ${target.info.os}/${target.info.arch}; build it for that platform, or choose another target.`,
  );
}

/** What the target has of the image: all of it, or how many of its lowest layers. */
export async function takeStock(
  target: Engine,
  image: ImageCapture,
  signal: AbortSignal | undefined,
): Promise<{ readonly present: string | undefined; readonly prefix: number }> {
  const byId = await orUndefined(captureImage(target, image.id, signal));
  if (byId !== undefined && byId.fingerprint === image.fingerprint)
    return { present: byId.id, prefix: image.layers.length };
  let prefix = 0;
  let present: string | undefined;
  for (const id of await imageIds(target, signal)) {
    // It may be deleted between the list and this.
    const other = await orUndefined(captureImage(target, id, signal));
    if (other === undefined) continue;
    // Equal to the letter under another id: the target's image store counts differently.
    if (other.fingerprint === image.fingerprint) present ??= other.id;
    prefix = Math.max(prefix, commonPrefix(image.layers, other.layers));
  }
  return { present, prefix };
}

async function imageIds(engine: Engine, signal: AbortSignal | undefined): Promise<string[]> {
  const images = await dockerCall<readonly { readonly Id: string }[]>(engine, {
    method: 'GET',
    path: ['images', 'json'],
    query: { all: true },
    doing: 'list its images',
    ...(signal === undefined ? {} : { signal }),
  });
  return [...new Set(images.map(({ Id }) => Id))];
}

type LoadAttempt = { readonly id: string; readonly sent: Sent } | { readonly failed: string; readonly error: unknown };

/** One load, without the lowest `prefix` layers. What failed is an answer here, since there is another way. */
async function tryLoad(
  options: SendImageOptions,
  image: ImageCapture,
  prefix: number,
  over?: ImageLink,
): Promise<LoadAttempt> {
  try {
    return await load(options, image, prefix, over);
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    return { failed: messageOf(error), error };
  }
}

async function load(
  options: SendImageOptions,
  image: ImageCapture,
  prefix: number,
  over: ImageLink | undefined,
): Promise<LoadAttempt> {
  const { source, target, signal } = options;
  const dropper = layerDropper(image.layers, prefix);
  const expected = await expectedBytes(source, image, prefix, signal);
  let bytesSent = 0;
  const report = (phase: ImageProgress['phase']): void =>
    options.onProgress?.({ phase, bytesDone: bytesSent, bytesTotal: Math.max(expected, bytesSent) });
  report('Sending');
  const onBytes = (sum: number): void => {
    bytesSent = sum;
    report('Sending');
  };
  if (over === undefined) await relayArchive(options, image, dropper, onBytes);
  else await sendOverLink({ ...over, imageId: image.id, onBytes, signal });
  report('Verifying');
  const id = await findLoaded(target, image, signal);
  const broken =
    id === undefined ? 'no such image there after the load' : await whyUnusable(target, id, image, options);
  if (id === undefined || broken !== undefined) {
    throw new GridferryError(
      'GF_IMAGE_NOT_VERIFIED',
      `The image did not arrive whole on ${target.host.name}: ${broken ?? ''}; see that engine's log.`,
      { class: 'retryable' },
    );
  }
  const layersSent = image.layers.filter((layer) => !dropper.dropped.has(layer)).length;
  return { id, sent: { layersSent, bytesSent, bytesSkipped: dropper.skippedBytes } };
}

/** Saves the image at the source and loads it at the target, through this process. */
async function relayArchive(
  options: SendImageOptions,
  image: ImageCapture,
  dropper: LayerDropper,
  onBytes: (sum: number) => void,
): Promise<void> {
  const { source, target, signal } = options;
  let sum = 0;
  const archive = await dockerStream(source, {
    method: 'GET',
    path: ['images', image.id, 'get'],
    doing: 'save the image',
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    await upload(
      target,
      { method: 'POST', path: ['images', 'load'], query: { quiet: true }, doing: 'load the image' },
      filterTar(archive as AsyncIterable<Buffer>, dropper),
      (answer) => readProgress(answer, target.host.name, 'load the image'),
      {
        ...(signal === undefined ? {} : { signal }),
        ...(options.clock === undefined ? {} : { clock: options.clock }),
        limit: options.limit,
        onBytes: (bytes) => onBytes((sum += bytes)),
      },
    );
  } finally {
    archive.destroy();
  }
}

async function findLoaded(
  target: Engine,
  image: ImageCapture,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  return (await takeStock(target, image, signal)).present;
}

/** Sum of the sizes that the image's history gives for the layers above the prefix. */
export async function expectedBytes(
  source: Engine,
  image: ImageCapture,
  prefix: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const history = await dockerCall<readonly { readonly Size: number; readonly CreatedBy?: string }[]>(source, {
    method: 'GET',
    path: ['images', image.id, 'history'],
    doing: 'tell the history of the image',
    ...(signal === undefined ? {} : { signal }),
  });
  if (prefix === 0) return image.size;
  // Steps without a layer have no size, and a layer may be empty too: matched from the top, where they are the same.
  const sizes = history.map(({ Size }) => Size).filter((size) => size > 0);
  return sizes.slice(0, Math.max(0, image.layers.length - prefix)).reduce((sum, size) => sum + size, 0);
}

/** Why a container could not be made from it; `undefined` when it can. An image whose layers are missing is listed all the same. */
async function whyUnusable(
  target: Engine,
  id: string,
  image: ImageCapture,
  options: Pick<SendImageOptions, 'signal' | 'marks'>,
): Promise<string | undefined> {
  const found = await orUndefined(captureImage(target, id, options.signal));
  if (found?.fingerprint !== image.fingerprint) return 'its config or its layers differ';
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  try {
    const { Id } = await dockerCall<{ Id: string }>(target, {
      method: 'POST',
      path: ['containers', 'create'],
      body: {
        Image: id,
        Entrypoint: [''],
        Cmd: ['true'],
        Labels: { 'gridferry.io/probe': 'image', ...options.marks },
        NetworkDisabled: true,
        HostConfig: { NetworkMode: 'none' },
      },
      doing: 'create a container from the image',
      ...signal,
    });
    // With its anonymous volumes: the image's VOLUME lines made some.
    await dockerCall(target, {
      method: 'DELETE',
      path: ['containers', Id],
      query: { force: true, v: true },
      doing: 'remove the container that proved the image',
      ...signal,
    });
    return undefined;
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    return messageOf(error);
  }
}

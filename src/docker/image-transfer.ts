import { GridferryError, messageOf } from '../errors.ts';
import { dockerCall, dockerStream } from './api.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Engine } from './engine.ts';
import { orUndefined } from './engine-error.ts';
import { commonPrefix, layerDropper } from './image-archive.ts';
import { captureImage } from './image-capture.ts';
import type { ImageCapture } from './image-capture.ts';
import { pullByDigest } from './image-pull.ts';
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
  /** What went to the target through this process. */
  readonly bytesSent: number;
  /** What the target had already and was left out. */
  readonly bytesSkipped: number;
  /** Tags that meant another image at the target before, as `docker load` would have moved them too. */
  readonly retagged: readonly { readonly reference: string; readonly previousId: string }[];
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
async function takeStock(
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
async function tryLoad(options: SendImageOptions, image: ImageCapture, prefix: number): Promise<LoadAttempt> {
  try {
    return await load(options, image, prefix);
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    return { failed: messageOf(error), error };
  }
}

async function load(options: SendImageOptions, image: ImageCapture, prefix: number): Promise<LoadAttempt> {
  const { source, target, signal } = options;
  const dropper = layerDropper(image.layers, prefix);
  const expected = await expectedBytes(source, image, prefix, signal);
  let bytesSent = 0;
  const report = (phase: ImageProgress['phase']): void =>
    options.onProgress?.({ phase, bytesDone: bytesSent, bytesTotal: Math.max(expected, bytesSent) });
  report('Sending');

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
        onBytes(bytes) {
          bytesSent += bytes;
          report('Sending');
        },
      },
    );
  } finally {
    archive.destroy();
  }
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

async function findLoaded(
  target: Engine,
  image: ImageCapture,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  return (await takeStock(target, image, signal)).present;
}

/** Sum of the sizes that the image's history gives for the layers above the prefix. */
async function expectedBytes(
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

async function tagAll(
  target: Engine,
  id: string,
  references: readonly string[],
  signal: AbortSignal | undefined,
): Promise<SendImageResult['retagged']> {
  const retagged: { reference: string; previousId: string }[] = [];
  for (const reference of references) {
    const { repository, tag } = splitReference(reference);
    // A reference by digest or id is not a tag: it holds, or there is nothing to set.
    if (tag === undefined) continue;
    const before = await orUndefined(captureImage(target, reference, signal));
    if (before?.id === id) continue;
    await dockerCall(target, {
      method: 'POST',
      path: ['images', id, 'tag'],
      query: { repo: repository, tag },
      doing: `tag the image as ${reference}`,
      ...(signal === undefined ? {} : { signal }),
    });
    if (before !== undefined) retagged.push({ reference, previousId: before.id });
  }
  return retagged;
}

/** Gives a tag to another image, if it still names the expected one and the other one is still there. */
export async function moveTag(
  engine: Engine,
  reference: string,
  images: { readonly from: string; readonly to: string },
  signal?: AbortSignal,
): Promise<void> {
  const present = await orUndefined(captureImage(engine, reference, signal));
  const wanted = await orUndefined(captureImage(engine, images.to, signal));
  if (present?.id !== images.from || wanted === undefined) return;
  await tagAll(engine, wanted.id, [reference], signal);
}

/** `host:5000/team/app:1` → the repository and the tag; no tag for `app@sha256:…` and bare ids. */
export function splitReference(reference: string): { readonly repository: string; readonly tag: string | undefined } {
  if (reference.includes('@') || /^(?:sha256:)?[0-9a-f]{64}$/.test(reference))
    return { repository: reference, tag: undefined };
  const colon = reference.lastIndexOf(':');
  if (colon <= reference.lastIndexOf('/')) return { repository: reference, tag: 'latest' };
  return { repository: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}

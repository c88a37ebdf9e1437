import { messageOf } from '../errors.ts';
import { dockerStream } from './api.ts';
import type { Engine } from './engine.ts';
import { orUndefined } from './engine-error.ts';
import { captureImage } from './image-capture.ts';
import type { ImageCapture } from './image-capture.ts';
import { readProgress } from './progress-stream.ts';

/**
 * Lets the target fetch the image from its registry, by digest: a tag may mean another image by now. No credentials are
 * handed over, so it works for what is public or what the target's own configuration reaches. Never throws but on abort.
 */
export async function pullByDigest(
  target: Engine,
  image: ImageCapture,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly id: string } | { readonly failed: string }> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  const variant = image.variant === undefined ? '' : `/${image.variant}`;
  let failed = 'the image has no repository digest';
  for (const digest of image.repoDigests) {
    try {
      const stream = await dockerStream(target, {
        method: 'POST',
        path: ['images', 'create'],
        query: { fromImage: digest, platform: `${image.os}/${image.architecture}${variant}` },
        doing: `pull ${digest}`,
        signal: either,
      });
      await readProgress(stream, target.host.name, `pull ${digest}`);
      const pulled = await orUndefined(captureImage(target, digest, either));
      if (pulled !== undefined && pulled.fingerprint === image.fingerprint) return { id: pulled.id };
      failed = `${digest} is another image there`;
    } catch (error) {
      if (signal?.aborted === true) throw error;
      failed = deadline.aborted ? `no answer within ${timeoutMs} ms` : messageOf(error);
      if (deadline.aborted) break;
    }
  }
  return { failed };
}

import { dockerCall } from './api.ts';
import type { Engine } from './engine.ts';
import { orUndefined } from './engine-error.ts';
import { captureImage } from './image-capture.ts';

/** A tag that meant another image before. */
export interface Retagged {
  readonly reference: string;
  readonly previousId: string;
}

/** Makes these references lead to an image; answers those that meant another one before. */
export async function tagAll(
  target: Engine,
  id: string,
  references: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly Retagged[]> {
  const retagged: Retagged[] = [];
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

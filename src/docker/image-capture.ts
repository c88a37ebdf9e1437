import { dockerCall } from './api.ts';
import { canonical, compact, without } from './compact.ts';
import type { Engine } from './engine.ts';

/** An image, as far as it has to be found or rebuilt elsewhere. */
export interface ImageCapture {
  /** The engine's id: the digest of the config, or with the containerd store that of the manifest. */
  readonly id: string;
  readonly references: readonly string[];
  readonly repoDigests: readonly string[];
  /** Digests of the uncompressed layers (diff ids), lowest first: the same in every store. */
  readonly layers: readonly string[];
  readonly size: number;
  readonly architecture: string;
  /** Such as `v8`. */
  readonly variant?: string;
  readonly os: string;
  /**
   * What the image is, whatever the store calls it: equal in two engines exactly when config and layers are.
   */
  readonly fingerprint: string;
}

export interface RawImage {
  readonly Id: string;
  readonly RepoTags?: readonly string[] | null;
  readonly RepoDigests?: readonly string[] | null;
  readonly Created?: string;
  readonly Author?: string;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly Os: string;
  readonly Size: number;
  readonly Config?: Readonly<Record<string, unknown>> | null;
  readonly RootFS?: { readonly Layers?: readonly string[] | null };
}

/** Reads an image by id or reference. Throws `GF_DOCKER_NOT_FOUND`. */
export async function captureImage(engine: Engine, idOrReference: string, signal?: AbortSignal): Promise<ImageCapture> {
  const raw = await dockerCall<RawImage>(engine, {
    method: 'GET',
    path: ['images', idOrReference, 'json'],
    doing: `describe image ${idOrReference}`,
    ...(signal === undefined ? {} : { signal }),
  });
  return toImageCapture(raw);
}

export function toImageCapture(raw: RawImage): ImageCapture {
  const layers = raw.RootFS?.Layers ?? [];
  return {
    id: raw.Id,
    references: (raw.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>'),
    repoDigests: raw.RepoDigests ?? [],
    layers,
    size: raw.Size,
    architecture: raw.Architecture,
    ...(raw.Variant === undefined || raw.Variant === '' ? {} : { variant: raw.Variant }),
    os: raw.Os,
    fingerprint: canonical({
      layers,
      architecture: raw.Architecture,
      os: raw.Os,
      created: raw.Created ?? '',
      config: runConfig(raw.Config ?? {}),
    }),
  };
}

/** What a container gets from the image; the builder's leftovers (its own hostname, its parent) are not of the image. */
function runConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return compact(without(config, ['Image', 'Hostname', 'Domainname']));
}

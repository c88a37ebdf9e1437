import { createHash } from 'node:crypto';
import { without } from './compact.ts';
import type { TarEntry, TarFilter } from './tar-filter.ts';

/** Which layers of an image need not be sent, and what was found of them in the archive. */
export interface LayerDropper extends TarFilter {
  /** Content bytes that were left out. */
  readonly skippedBytes: number;
  /** Diff ids of the layers that were left out. */
  readonly dropped: ReadonlySet<string>;
}

/** How many of an image's layers, from the lowest on, are also the lowest of another one. */
export function commonPrefix(a: readonly string[], b: readonly string[]): number {
  let count = 0;
  while (count < a.length && count < b.length && a[count] === b[count]) count += 1;
  return count;
}

/**
 * Layers of the prefix that may be left out of a saved image. One whose content comes again above the prefix stays: the
 * archive holds it once, and the upper one would miss it.
 */
export function droppableLayers(layers: readonly string[], prefix: number): string[] {
  const above = new Set(layers.slice(prefix));
  return [...new Set(layers.slice(0, prefix))].filter((layer) => !above.has(layer));
}

/** Chain ids of an image's layers: what Docker's layer store knows a stack of layers by. */
export function chainIds(layers: readonly string[]): string[] {
  let parent = '';
  return layers.map((layer) => {
    parent = parent === '' ? layer : digest(`${parent} ${layer}`);
    return parent;
  });
}

/**
 * Drops the content of layers that the target has from a saved image, in both layouts there are.
 *
 * OCI layout (Docker 25 and newer): `blobs/sha256/<hex>`, where an uncompressed layer is named by its diff id.
 *
 * Legacy layout (20.10 to 24): `<v1 id>/layer.tar`, with `<v1 id>/json` before it. A v1 id is the digest of that JSON with
 * the chain id in it, and without `id` and `os`, so a candidate is proved by computing it. The manifest, which says it
 * in so many words, comes last in the archive.
 */
export function layerDropper(layers: readonly string[], prefix: number): LayerDropper {
  const droppable = new Set(droppableLayers(layers, prefix));
  const chains = chainIds(layers).slice(0, prefix);
  const legacy = new Map<string, string>();
  const dropped = new Set<string>();
  let skippedBytes = 0;

  const layerOf = (entry: TarEntry): string | undefined => {
    if (entry.type !== 'file' && entry.type !== 'symlink') return undefined;
    const blob = /^(?:\.\/)?blobs\/sha256\/(?<hex>[0-9a-f]{64})$/.exec(entry.name)?.groups?.['hex'];
    if (blob !== undefined) return `sha256:${blob}`;
    const directory = /^(?:\.\/)?(?<id>[0-9a-f]{64})\/layer\.tar$/.exec(entry.name)?.groups?.['id'];
    return directory === undefined ? undefined : legacy.get(directory);
  };

  return {
    get skippedBytes() {
      return skippedBytes;
    },
    dropped,
    decide(entry) {
      const layer = layerOf(entry);
      if (layer === undefined || !droppable.has(layer)) return 'keep';
      dropped.add(layer);
      return 'drop';
    },
    read: {
      wants: (entry) => entry.type === 'file' && /^(?:\.\/)?[0-9a-f]{64}\/json$/.test(entry.name),
      content(_entry, content) {
        const found = legacyLayer(content.toString('utf8'), chains);
        if (found !== undefined) legacy.set(found.id, layers[found.index] ?? '');
      },
    },
    passed(bytes, kept) {
      if (!kept) skippedBytes += bytes;
    },
  };
}

/** Which layer of the stack a v1 JSON describes, if any of `chains`. */
function legacyLayer(json: string, chains: readonly string[]): { id: string; index: number } | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    // Not what this layout has there: then nothing is known about the layer, and it is sent.
    return undefined;
  }
  const { id, parent, ...more } = parsed as { id?: string; parent?: string };
  const rest = without(more, ['os']);
  if (typeof id !== 'string') return undefined;
  for (const [index, chain] of chains.entries()) {
    const fields: Record<string, unknown> = { ...rest, layer_id: chain };
    if (typeof parent === 'string') fields['parent'] = `sha256:${parent}`;
    const sorted = Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
    if (digest(goJson(sorted)) === `sha256:${id}`) return { id, index };
  }
  return undefined;
}

/** As Go writes JSON: it escapes what HTML would read. */
function goJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function digest(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

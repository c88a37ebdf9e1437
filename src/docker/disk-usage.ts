import { dockerCall } from './api.ts';
import { atLeast } from './engine.ts';
import type { Engine } from './engine.ts';

/**
 * What the engine says its volumes hold, in bytes by name: without a look of our own, which takes root. It walks all of
 * them for that.
 */
export async function volumeSizes(engine: Engine, signal?: AbortSignal): Promise<ReadonlyMap<string, number>> {
  // Before API 1.42 it measures images as well.
  const query = atLeast(engine.info.apiVersion, '1.42') ? { type: 'volume' } : {};
  const { Volumes } = await dockerCall<{
    readonly Volumes?:
      readonly { readonly Name: string; readonly UsageData?: { readonly Size: number } | null }[] | null;
  }>(engine, {
    method: 'GET',
    path: ['system', 'df'],
    query,
    doing: 'measure its volumes',
    ...(signal === undefined ? {} : { signal }),
  });
  // -1: it does not know.
  const known = (Volumes ?? []).filter(({ UsageData }) => (UsageData?.Size ?? -1) >= 0);
  return new Map(known.map(({ Name, UsageData }) => [Name, UsageData?.Size ?? 0]));
}

/** What a container wrote outside its mounts, in bytes; of a changed file all of it counts. */
export async function writableLayerSize(engine: Engine, id: string, signal?: AbortSignal): Promise<number> {
  const { SizeRw } = await dockerCall<{ readonly SizeRw?: number }>(engine, {
    method: 'GET',
    path: ['containers', id, 'json'],
    query: { size: true },
    doing: 'measure what a container wrote',
    ...(signal === undefined ? {} : { signal }),
  });
  return SizeRw ?? 0;
}

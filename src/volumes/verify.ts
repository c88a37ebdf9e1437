import { buildManifest, standbyManifest, type ManifestHandle, type ManifestOptions } from './manifest.ts';
import { differingFields, lostHoles, mergeRecords, readRecords, type ManifestRecord } from './manifest-record.ts';
import { goOr, type Standby } from './standby.ts';
import type { Workbench } from './workbench.ts';

export interface Difference {
  /** Escaped as in the manifest: safe to show, exact for any bytes. */
  readonly path: string;
  /** `missing`, `extra`, or the names of the fields that differ. */
  readonly what: readonly string[];
}

export type Comparison =
  | { readonly equal: true }
  | {
      readonly equal: false;
      /** The first of them, at most `limit`. */
      readonly differences: readonly Difference[];
      readonly total: number;
    };

/**
 * Compares two manifests of the same mode. Equal digests end it at once; otherwise both are streamed here and compared
 * line by line, in bounded memory.
 */
export async function compareManifests(
  source: ManifestHandle,
  target: ManifestHandle,
  {
    limit = 10,
    signal,
    holes = true,
  }: { readonly limit?: number; readonly signal?: AbortSignal; readonly holes?: boolean } = {},
): Promise<Comparison> {
  if (source.mode !== target.mode)
    throw new Error(`a ${source.mode} manifest cannot be compared with a ${target.mode} one`);
  const readable = source.unreadable === 0 && target.unreadable === 0;
  const sameHoles = !holes || source.holesDigest === target.holesDigest || keptHoles(source, target);
  if (readable && source.digest === target.digest && sameHoles) return { equal: true };
  const differences: Difference[] = [];
  let total = 0;
  for await (const { left, right } of mergeRecords(streamRecords(source, signal), streamRecords(target, signal))) {
    const what = left && right ? differingFields(left, right, holes) : [left ? 'missing' : 'extra'];
    if (what.length === 0) continue;
    total++;
    const path = (left ?? right)?.path ?? '';
    if (differences.length < limit) differences.push({ path, what });
  }
  return total === 0 ? { equal: true } : { equal: false, differences, total };
}

/** Whether the summaries alone tell it: a copy makes holes of zeros, which is no difference. */
function keptHoles(source: ManifestHandle, target: ManifestHandle): boolean {
  if (source.holes === undefined || target.holes === undefined) return false;
  const there = new Map(Object.entries(target.holes));
  return Object.entries(source.holes).every(([path, bytes]) => !lostHoles(bytes, there.get(path) ?? 0));
}

/** The records of a manifest, read from its server. */
export async function* streamRecords(handle: ManifestHandle, signal?: AbortSignal): AsyncGenerator<ManifestRecord> {
  const process = await handle.bench.spawn(['cat', handle.file], signal ? { signal } : {});
  process.stdin.on('error', () => undefined).end();
  process.stderr.resume();
  let finished = false;
  let records = 0;
  try {
    for await (const record of readRecords(process.stdout)) {
      records++;
      yield record;
    }
    const { code } = await process.exit;
    // Half a manifest would make the rest of the other one look extra, or, cut on both sides, equal.
    if (code !== 0 || records !== handle.entries)
      throw new Error(`the manifest ${handle.file} on ${handle.bench.name} broke off`);
    finished = true;
  } finally {
    if (!finished) process.kill();
  }
}

export type VerifyMode = 'Full' | 'Changed' | 'Metadata';

export interface VerifyOptions {
  readonly source: Workbench;
  readonly sourcePath: string;
  readonly target: Workbench;
  readonly targetPath: string;
  /**
   * `Full` reads every file of both sides now. `Changed` reads what changed since the earlier manifests (all, without
   * them). `Metadata` reads no contents.
   */
  readonly mode: VerifyMode;
  readonly previousSource?: ManifestHandle | undefined;
  readonly previousTarget?: ManifestHandle | undefined;
  /** Manifests that stand by, as `standbyManifests` made them, or are being made already. */
  readonly standby?: Partial<StandbyManifests> | undefined;
  /** Start of the manifests' names. Default `verify`. */
  readonly name?: string;
  readonly limit?: number;
  /**
   * Whether a file of the source with holes must have them at the target. Default true. On the way back over an older
   * copy it need not: rsync makes holes of zeros on its way there, and leaves zeros that are there already as they are.
   */
  readonly holes?: boolean;
  readonly signal?: AbortSignal;
}

export interface Verification {
  readonly result: Comparison;
  readonly source: ManifestHandle;
  readonly target: ManifestHandle;
  readonly durationMs: number;
}

export interface StandbyManifests {
  readonly source: Standby<ManifestHandle>;
  readonly target: Standby<ManifestHandle>;
}

/** Gets both sides of a verification ready, to be given to `verifyTrees` with the same options. */
export async function standbyManifests(
  options: Omit<VerifyOptions, 'standby' | 'limit' | 'signal'>,
): Promise<StandbyManifests> {
  const { source, target } = sidesOf(options);
  const [atSource, atTarget] = await Promise.allSettled([
    standbyManifest(source.bench, source.path, source.options),
    standbyManifest(target.bench, target.path, target.options),
  ]);
  if (atSource.status === 'fulfilled' && atTarget.status === 'fulfilled') {
    return { source: atSource.value, target: atTarget.value };
  }
  for (const side of [atSource, atTarget]) if (side.status === 'fulfilled') side.value.cancel();
  throw (atSource.status === 'rejected' ? atSource : (atTarget as PromiseRejectedResult)).reason;
}

/** Whether both trees are equal; both sides are read at the same time. Rejects as `buildManifest`. */
export async function verifyTrees(options: VerifyOptions): Promise<Verification> {
  const { standby, signal, limit } = options;
  const begin = performance.now();
  const sides = sidesOf(options);
  const look = (side: 'source' | 'target'): Promise<ManifestHandle> => {
    const { bench, path, options: manifest } = sides[side];
    const ordinary = (): Promise<ManifestHandle> =>
      buildManifest(bench, path, { ...manifest, settle: false, ...(signal ? { signal } : {}) });
    return goOr(standby?.[side], ordinary, signal);
  };
  const [source, target] = await Promise.all([look('source'), look('target')]);
  const result = await compareManifests(source, target, {
    ...(limit === undefined ? {} : { limit }),
    ...(options.holes === undefined ? {} : { holes: options.holes }),
    ...(signal ? { signal } : {}),
  });
  return { result, source, target, durationMs: Math.round(performance.now() - begin) };
}

interface Side {
  readonly bench: Workbench;
  readonly path: string;
  readonly options: Pick<ManifestOptions, 'mode' | 'name' | 'previous'>;
}

function sidesOf(options: VerifyOptions): { readonly source: Side; readonly target: Side } {
  const { mode, name = 'verify' } = options;
  // Both trees may be on one bench.
  const side = (which: string, previous: ManifestHandle | undefined): Side['options'] => ({
    mode: mode === 'Metadata' ? 'metadata' : 'full',
    name: `${name}-${which}`,
    ...(mode === 'Changed' && previous ? { previous } : {}),
  });
  return {
    source: { bench: options.source, path: options.sourcePath, options: side('source', options.previousSource) },
    target: { bench: options.target, path: options.targetPath, options: side('target', options.previousTarget) },
  };
}

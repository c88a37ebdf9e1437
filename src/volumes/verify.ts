import { buildManifest, type ManifestHandle } from './manifest.ts';
import { differingFields, mergeRecords, readRecords, type ManifestRecord } from './manifest-record.ts';
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
  { limit = 10, signal }: { readonly limit?: number; readonly signal?: AbortSignal } = {},
): Promise<Comparison> {
  if (source.mode !== target.mode)
    throw new Error(`a ${source.mode} manifest cannot be compared with a ${target.mode} one`);
  const readable = source.unreadable === 0 && target.unreadable === 0;
  if (readable && source.digest === target.digest && source.holesDigest === target.holesDigest) return { equal: true };
  const differences: Difference[] = [];
  let total = 0;
  for await (const { left, right } of mergeRecords(streamRecords(source, signal), streamRecords(target, signal))) {
    const what = left && right ? differingFields(left, right) : [left ? 'missing' : 'extra'];
    if (what.length === 0) continue;
    total++;
    const path = (left ?? right)?.path ?? '';
    if (differences.length < limit) differences.push({ path, what });
  }
  return total === 0 ? { equal: true } : { equal: false, differences, total };
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
  /** Start of the manifests' names. Default `verify`. */
  readonly name?: string;
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export interface Verification {
  readonly result: Comparison;
  readonly source: ManifestHandle;
  readonly target: ManifestHandle;
  readonly durationMs: number;
}

/** Whether both trees are equal; both sides are read at the same time. Rejects as `buildManifest`. */
export async function verifyTrees(options: VerifyOptions): Promise<Verification> {
  const { mode, name = 'verify', signal, limit } = options;
  const begin = performance.now();
  const side = (
    which: string,
    bench: Workbench,
    path: string,
    previous: ManifestHandle | undefined,
  ): Promise<ManifestHandle> =>
    buildManifest(bench, path, {
      mode: mode === 'Metadata' ? 'metadata' : 'full',
      // Both trees may be on one bench.
      name: `${name}-${which}`,
      settle: false,
      ...(mode === 'Changed' && previous ? { previous } : {}),
      ...(signal ? { signal } : {}),
    });
  const [source, target] = await Promise.all([
    side('source', options.source, options.sourcePath, options.previousSource),
    side('target', options.target, options.targetPath, options.previousTarget),
  ]);
  const result = await compareManifests(source, target, {
    ...(limit === undefined ? {} : { limit }),
    ...(signal ? { signal } : {}),
  });
  return { result, source, target, durationMs: Math.round(performance.now() - begin) };
}

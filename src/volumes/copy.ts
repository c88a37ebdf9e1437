import { systemClock, type Clock } from '../runtime/clock.ts';
import { toolMissing } from './bench-tools.ts';
import { rsyncPass } from './rsync-pass.ts';
import { tarPass } from './tar-pass.ts';
import type { Workbench } from './workbench.ts';

export interface CopyOptions {
  readonly source: Workbench;
  readonly sourcePath: string;
  readonly target: Workbench;
  readonly targetPath: string;
  /** The paths are those of one file (a single-file bind mount). */
  readonly isFile?: boolean;
  /** Whether something may still write to the source: files that vanish are then fine, and fatal otherwise. */
  readonly running: boolean;
  /** Compare contents instead of sizes and times: for a repair, reads everything on both ends. Default `times`. */
  readonly compare?: 'times' | 'content';
  /** Only these paths below the roots, as raw bytes; nothing is deleted. For a repair of what a verification named. */
  readonly only?: readonly Buffer[];
  /** Default: rsync where both ends have it, else tar. */
  readonly tool?: 'rsync' | 'tar';
  readonly signal?: AbortSignal;
  /** `bytesOnWire` counts both directions; `bytesDone` of the tree's bytes, transferred or found equal, where known. */
  readonly onProgress?: (bytesOnWire: number, bytesDone?: number) => void;
  /** Bytes per second. */
  readonly bandwidthLimit?: number;
  readonly clock?: Clock;
}

export interface CopyPass {
  readonly tool: 'rsync' | 'tar';
  readonly bytesOnWire: number;
  readonly filesTransferred: number;
  readonly totalFiles?: number;
  /** Sum of the sizes of the tree's files, in bytes. */
  readonly totalBytes?: number;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** Files that were there when the pass began and gone when their turn came. */
  readonly vanished: number;
  /** What this pass could not carry over, in words; empty as a rule. */
  readonly limitations: readonly string[];
}

/**
 * One pass from source to target: afterwards the target is what the source was, as far as nothing changed meanwhile.
 * Bytes go through this process with bounded memory, so that the two servers need not reach each other and no key
 * travels. Repeating a pass, also after a broken one, only moves what differs.
 *
 * Rejects with `GF_VOLUME_COPY_FAILED`, `GF_VOLUME_NO_SPACE`, `GF_VOLUME_VANISHED` (when not `running`),
 * `GF_VOLUME_PEER_REFUSED` and `GF_VOLUME_TOOL_MISSING`.
 */
export async function copyTree(options: CopyOptions): Promise<CopyPass> {
  const clock = options.clock ?? systemClock;
  const startedAt = clock.now();
  const begin = clock.monotonic();
  let bytesOnWire = 0;
  let bytesDone: number | undefined;
  const onProgress = (more: number, done?: number): void => {
    bytesOnWire += more;
    bytesDone = done ?? bytesDone;
    if (bytesDone === undefined) options.onProgress?.(bytesOnWire);
    else options.onProgress?.(bytesOnWire, bytesDone);
  };
  const pass = chooseTool(options) === 'rsync' ? rsyncPass : tarPass;
  const result = await pass({ ...options, onProgress }, (bytes) => onProgress(bytes));
  return { ...result, bytesOnWire, startedAt, durationMs: Math.round(clock.monotonic() - begin) };
}

function chooseTool({ source, target, tool }: CopyOptions): 'rsync' | 'tar' {
  const lacksRsync = [source, target].find((bench) => bench.tools.rsync === undefined);
  if (tool !== 'tar' && lacksRsync === undefined) return 'rsync';
  if (tool === 'rsync' && lacksRsync) throw toolMissing(lacksRsync.name, 'rsync', "'rsync'");
  const lacksTar = [source, target].find((bench) => !bench.tools.gnuTar);
  if (lacksTar) throw toolMissing(lacksTar.name, 'rsync and no GNU tar', "'rsync' (or 'tar')");
  return 'tar';
}

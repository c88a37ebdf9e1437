import { systemClock, type Clock } from '../runtime/clock.ts';
import { toolMissing } from './bench-tools.ts';
import { copyInChannels } from './channels.ts';
import type { Route } from './route.ts';
import type { Compression } from './rsync-command.ts';
import { overRoute, withoutLink } from './over-route.ts';
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
  /** Through how many channels to send an empty target's files before the pass over everything; relayed copies only. */
  readonly channels?: number;
  /** Used where both ends' rsync can. Default: none. */
  readonly compression?: Compression;
  /** How the bytes travel. Default: through this process. */
  readonly route?: Route;
  readonly clock?: Clock;
}

export interface CopyPass {
  readonly tool: 'rsync' | 'tar';
  readonly bytesOnWire: number;
  readonly filesTransferred: number;
  readonly totalFiles?: number;
  /** Sum of the sizes of the tree's files, in bytes. */
  readonly totalBytes?: number;
  /** Of the contents, what the target did not have, in bytes; where the tool says so. */
  readonly changedBytes?: number;
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
 * Bytes go by the given route: through this process with bounded memory, so that the two servers need not reach each other
 * and no key travels, or straight from one to the other. Repeating a pass, also after a broken one, only moves what differs.
 *
 * Rejects with `GF_VOLUME_COPY_FAILED`, `GF_VOLUME_NO_SPACE`, `GF_VOLUME_VANISHED` (when not `running`),
 * `GF_VOLUME_PEER_REFUSED`, `GF_VOLUME_TOOL_MISSING`, and `GF_LINK_FAILED` where the route may not be left.
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
  const meterBytes = (bytes: number): void => onProgress(bytes);
  const tool = chooseTool(options);
  const isRelayed = options.route === undefined || options.route.mode === 'Relay';
  if (tool === 'rsync' && isRelayed && (options.channels ?? 1) > 1 && options.only === undefined) {
    await copyInChannels(options, meterBytes);
  }
  const inChannels = bytesOnWire;
  const followed = { ...options, onProgress };
  const result =
    tool === 'rsync'
      ? await overRoute(followed, (whole) => rsyncPass(whole, meterBytes))
      : await tarPass(await withoutLink(followed, 'tar goes through the controller only'), meterBytes);
  return {
    ...result,
    ...(result.changedBytes === undefined ? {} : { changedBytes: result.changedBytes + inChannels }),
    bytesOnWire,
    startedAt,
    durationMs: Math.round(clock.monotonic() - begin),
  };
}

function chooseTool({ source, target, tool }: CopyOptions): 'rsync' | 'tar' {
  const lacksRsync = [source, target].find((bench) => bench.tools.rsync === undefined);
  if (tool !== 'tar' && lacksRsync === undefined) return 'rsync';
  if (tool === 'rsync' && lacksRsync) throw toolMissing(lacksRsync.name, 'rsync', "'rsync'");
  const lacksTar = [source, target].find((bench) => !bench.tools.gnuTar);
  if (lacksTar) throw toolMissing(lacksTar.name, 'rsync and no GNU tar', "'rsync' (or 'tar')");
  return 'tar';
}

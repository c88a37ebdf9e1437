import { compressions } from '../../../src/volumes/rsync-command.ts';
import type { Compression } from '../../../src/volumes/rsync-command.ts';
import { reverseRoute } from '../../../src/volumes/route.ts';
import type { Route } from '../../../src/volumes/route.ts';
import type { Workbench } from '../../../src/volumes/workbench.ts';
import { bandwidthLimitOf } from './bandwidth-limit.ts';
import type { TransferContext } from '../context.ts';
import { pathOn } from './data-set.ts';
import type { DataItem } from './data-set.ts';

/** Where one item is on both servers, as copies and verifications take it. */
export interface CopyEnds {
  readonly source: Workbench;
  readonly sourcePath: string;
  readonly target: Workbench;
  readonly targetPath: string;
  readonly isFile: boolean;
  /** Bytes per second. */
  readonly bandwidthLimit?: number;
  readonly compression?: Compression;
  readonly route: Route;
  readonly signal: AbortSignal;
}

export async function copyEnds(context: TransferContext, item: DataItem): Promise<CopyEnds> {
  const [source, target, route] = await Promise.all([
    context.session.sourceBench(context),
    context.session.targetBench(context),
    context.session.route.open(context),
  ]);
  const bandwidthLimit = bandwidthLimitOf(context.transfer);
  const compression = compressions.find((name) => name === context.status.transport?.compression);
  return {
    source,
    sourcePath: pathOn(source, item),
    target,
    targetPath: pathOn(target, item),
    isFile: item.file !== undefined,
    ...(bandwidthLimit === undefined ? {} : { bandwidthLimit }),
    ...(compression === undefined ? {} : { compression }),
    route,
    signal: context.signal,
  };
}

/** The same, for the way back. */
export function reversed({ source, sourcePath, target, targetPath, route, ...rest }: CopyEnds): CopyEnds {
  return {
    source: target,
    sourcePath: targetPath,
    target: source,
    targetPath: sourcePath,
    route: reverseRoute(route),
    ...rest,
  };
}

import type { Workbench } from '../../src/volumes/workbench.ts';
import type { TransferContext } from './context.ts';
import { pathOn } from './data-set.ts';
import type { DataItem } from './data-set.ts';

/** Where one item is on both servers, as copies and verifications take it. */
export interface CopyEnds {
  readonly source: Workbench;
  readonly sourcePath: string;
  readonly target: Workbench;
  readonly targetPath: string;
  readonly isFile: boolean;
  readonly signal: AbortSignal;
}

export async function copyEnds(context: TransferContext, item: DataItem): Promise<CopyEnds> {
  const [source, target] = await Promise.all([
    context.session.sourceBench(context),
    context.session.targetBench(context),
  ]);
  return {
    source,
    sourcePath: pathOn(source, item),
    target,
    targetPath: pathOn(target, item),
    isFile: item.file !== undefined,
    signal: context.signal,
  };
}

/** The same, for the way back. */
export function reversed({ source, sourcePath, target, targetPath, ...rest }: CopyEnds): CopyEnds {
  return { source: target, sourcePath: targetPath, target: source, targetPath: sourcePath, ...rest };
}

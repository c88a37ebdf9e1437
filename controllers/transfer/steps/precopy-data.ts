import { copyTree } from '../../../src/volumes/copy.ts';
import { copyEnds } from '../copy-ends.ts';
import { copyWhileHashing } from '../hash-alongside.ts';
import { emptyCreatedPaths, prepareTargetPaths } from '../target-paths.ts';
import { formatBytes } from '../../format-bytes.ts';
import { dataProgress } from '../progress.ts';
import type { Step } from '../step.ts';

/** A second pass is made while the service runs when the first took this long: much may have changed meanwhile. */
const LONG_PASS_MS = 10_000;

/** Copies all data while the service still runs, so that what is left for the downtime is what changed since. */
export const precopyData: Step = {
  name: 'precopy-data',
  phase: 'Uploading',
  async apply(context) {
    const items = await context.session.data(context);
    await prepareTargetPaths(context);
    const progress = dataProgress(context);
    for (const [index, item] of items.entries()) {
      progress.begin(item.name);
      await copyWhileHashing(context, item, index, async () => {
        for (let round = 1; round <= 2; round++) {
          const pass = await copyTree({
            ...(await copyEnds(context, item)),
            running: true,
            onProgress: progress.bytes,
          });
          progress.end('PreCopy', pass);
          if (pass.durationMs < LONG_PASS_MS || !item.writable) break;
        }
      });
    }
    return { record: progress.change, message: `${formatBytes(progress.sent())} sent while the service ran` };
  },
  undo: emptyCreatedPaths,
};

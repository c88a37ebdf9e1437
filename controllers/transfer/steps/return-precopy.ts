import { parseDuration } from '../../../src/runtime/duration.ts';
import { formatBytes } from '../../format-bytes.ts';
import { decide, learn, untaught } from '../copying/precopy-model.ts';
import { dataProgress } from '../copying/progress.ts';
import { copyBack, hashBothSides } from '../copying/return-data.ts';
import type { Step } from '../step.ts';

/** Copies what was written at the target back while the service runs there, until a last short pass will do. */
export const returnPrecopy: Step = {
  name: 'return-precopy',
  phase: 'Uploading',
  async apply(context) {
    if (context.status.rollback?.data === 'Discard') return { skipped: true, message: 'spec.rollback.data is Discard' };
    const items = [...(await context.session.data(context)).entries()];
    const progress = dataProgress(context);
    const hashes = context.transfer.spec.verify === 'Changed';
    const maxDowntimeMs = parseDuration(context.transfer.spec.maxDowntime);
    let model = untaught;
    let lastBegin: number | undefined;
    for (;;) {
      const begin = context.clock.monotonic();
      let bytesSent = 0;
      let changedBytes = 0;
      let treeBytes = 0;
      let checkMs = 0;
      for (const [index, item] of items) {
        if (model.rounds > 0 && !item.writable) continue;
        const onProgress = progress.bytes(item.name);
        const pass = await copyBack(context, item, { running: true, onProgress });
        progress.add(item.name, 'Return', pass);
        bytesSent += pass.bytesOnWire;
        changedBytes += pass.changedBytes ?? pass.bytesOnWire;
        treeBytes += pass.totalBytes ?? 0;
        if (hashes) checkMs += await hashBothSides(context, item, index);
      }
      const durationMs = context.clock.monotonic() - begin - checkMs;
      const sinceMs = lastBegin === undefined ? {} : { sinceMs: begin - lastBegin };
      model = learn(model, { durationMs, bytesSent, changedBytes, checkMs, treeBytes, ...sinceMs });
      lastBegin = begin;
      if (decide(model, context.clock.monotonic() - begin, maxDowntimeMs).kind !== 'AnotherRound') break;
    }
    return {
      record: progress.change,
      message: `${formatBytes(progress.sent())} sent back in ${String(model.rounds)} round(s) while the service ran`,
    };
  },
};

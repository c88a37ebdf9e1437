import { proveReturned } from '../copying/return-data.ts';
import { assertTargetStopped } from '../source/source-containers.ts';
import type { Step } from '../step.ts';

/** Proves that the source's data are the target's, before the source may start. */
export const returnVerify: Step = {
  name: 'return-verify',
  phase: 'Restoring',
  async apply(context) {
    if (context.status.rollback?.data === 'Discard') {
      return { skipped: true, message: 'the source starts with its data as they were when it stopped' };
    }
    await assertTargetStopped(context);
    const items = await context.session.data(context);
    const how = context.transfer.spec.verify;
    const entries = await Promise.all(items.map((item, index) => proveReturned(context, item, index, how)));
    return { message: `${String(entries.reduce((sum, count) => sum + count, 0))} entries equal (${how})` };
  },
};

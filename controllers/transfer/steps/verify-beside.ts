import { canWrite } from '../cutover/strategy.ts';
import type { Step } from '../step.ts';
import { proveEqual } from './verify-data.ts';

/** Proves what the service only reads equal on both sides. What it can write to may be changing while it runs. */
export const verifyBeside: Step = {
  name: 'verify-beside',
  phase: 'Restoring',
  async apply(context) {
    const [capture, items] = await Promise.all([context.session.capture(context), context.session.data(context)]);
    const still = [...items.entries()].filter(([, item]) => !canWrite(capture, item.name));
    const rest = items.filter((item) => canWrite(capture, item.name)).map(({ name }) => name);
    if (items.length === 0) return { skipped: true, message: 'no data were copied' };
    let entries = 0;
    for (const [index, item] of still) entries += (await proveEqual(context, item, index)).source.entries;
    const how = context.transfer.spec.verify;
    const unproved = rest.length === 0 ? '' : `; not compared, since the service may be writing: ${rest.join(', ')}`;
    const message = `${String(entries)} entries equal (${how})${unproved}`;
    return {
      message,
      record(status, condition) {
        for (const volume of status.volumes ?? []) if (!rest.includes(volume.name)) volume.verified = how;
        if (rest.length === 0) condition('DataCopied', 'True', 'Verified', message);
        else condition('DataCopied', 'True', 'Copied', message);
      },
    };
  },
};

import type { Step } from '../step.ts';
import { assign } from './reassign-service.ts';

/** Says in the Service that it runs at the source again. */
export const returnReassign: Step = {
  name: 'return-reassign',
  phase: 'Completed',
  async apply(context) {
    const ref = context.transfer.spec.serviceRef;
    if (ref === undefined) return { skipped: true, message: 'no Service stands for it' };
    const source = context.sourceServer.metadata.name;
    await assign(context, source, `brought back to server ${source}`);
    return { message: `Service ${ref.name} is on server ${source}` };
  },
};

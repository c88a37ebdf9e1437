import { Services } from '../../../src/api/resources.ts';
import type { Service, ServiceStatus } from '../../../src/api/resources.ts';
import { isReason } from '../../../src/home/api-error.ts';
import { timestamp } from '../../timestamps.ts';
import type { TransferContext } from '../context.ts';
import type { Step } from '../step.ts';

const EVENTS = 20;

/** Says in the Service where it runs now. */
export const reassignService: Step = {
  name: 'reassign-service',
  phase: 'Completed',
  async apply(context) {
    const ref = context.transfer.spec.serviceRef;
    if (ref === undefined) return { skipped: true, message: 'no Service stands for it' };
    const target = context.targetServer.metadata.name;
    await assign(context, target, `moved from server ${context.sourceServer.metadata.name} to server ${target}`);
    return { message: `Service ${ref.name} is on server ${target}` };
  },
  async undo(context) {
    if (context.transfer.spec.serviceRef === undefined) return;
    const source = context.sourceServer.metadata.name;
    await assign(context, source, `brought back to server ${source}`);
  },
};

export async function assign(context: TransferContext, server: string, message: string): Promise<void> {
  const { client } = context.dependencies;
  const key = {
    namespace: context.transfer.metadata.namespace ?? 'default',
    name: context.transfer.spec.serviceRef?.name ?? '',
  };
  for (;;) {
    let service: Service;
    try {
      service = await client.get(Services, key);
    } catch (error) {
      // Deleted meanwhile: there is nothing to say any more.
      if (isReason(error, 'NotFound')) return;
      throw error;
    }
    if (service.status?.server === server) return;
    const event = {
      time: timestamp(context.clock),
      reason: 'Moved',
      message,
      migrated: true,
      transfer: context.transfer.metadata.name,
    };
    const status: ServiceStatus = {
      ...service.status,
      server,
      moves: (service.status?.moves ?? 0) + 1,
      events: [...(service.status?.events ?? []), event].slice(-EVENTS),
    };
    try {
      await client.updateStatus(Services, { ...service, status });
      return;
    } catch (error) {
      if (!isReason(error, 'Conflict')) throw error;
    }
  }
}

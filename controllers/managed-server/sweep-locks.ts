import { Transfers } from '../../src/api/resources.ts';
import type { ManagedServer } from '../../src/api/resources.ts';
import { sweepEngineLocks } from '../../src/docker/lock.ts';
import type { ControllerDependencies } from '../dependencies.ts';
import { hasEnded } from '../transfer/status.ts';

/**
 * Removes the marks that transfers of this home have left on a server although they are over, and whatever marks have run
 * out there: a process may have died between the end of a transfer and the removal of its mark.
 */
export async function sweepLocks(
  { client, servers, log }: Pick<ControllerDependencies, 'client' | 'servers' | 'log'>,
  server: Readonly<ManagedServer>,
  signal: AbortSignal,
): Promise<void> {
  const { engine } = await servers.connect(server, signal);
  const { items } = await client.list(Transfers, { namespace: server.metadata.namespace ?? 'default' });
  const over = new Set(items.filter(hasEnded).map(({ metadata }) => metadata.uid));
  const removed = await sweepEngineLocks(engine, ({ id }) => over.has(id));
  if (removed > 0) log.info({ server: server.metadata.name, removed }, 'removed marks of transfers that are over');
}

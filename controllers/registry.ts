import type { ControllerDefinition } from '../src/runtime/reconciler.ts';
import type { ControllerDependencies, ControllerInputs } from './dependencies.ts';
import { createDnsProviders } from './dns-providers.ts';
import { managedServerController } from './managed-server/controller.ts';
import { platformConfigController } from './platform-config/controller.ts';
import { serviceController } from './service/controller.ts';
import { createServerConnections } from './servers/connections.ts';
import { transferController } from './transfer/controller.ts';

/** Every controller, with what they share. */
export function createControllers(inputs: ControllerInputs): {
  readonly definitions: readonly ControllerDefinition[];
  close(): Promise<void>;
} {
  const dependencies: ControllerDependencies = {
    ...inputs,
    servers: createServerConnections(inputs),
    dns: createDnsProviders(inputs),
  };
  const transfers = transferController(dependencies);
  return {
    definitions: [
      managedServerController(dependencies),
      transfers.definition,
      serviceController(dependencies),
      platformConfigController(dependencies),
    ] as readonly unknown[] as readonly ControllerDefinition[],
    async close() {
      await transfers.close();
      await Promise.all([dependencies.servers.close(), dependencies.dns.close()]);
    },
  };
}

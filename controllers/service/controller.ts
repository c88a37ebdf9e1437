import { keyString } from '../../src/api/meta.ts';
import type { KubeObject, ObjectKey } from '../../src/api/meta.ts';
import { ManagedServers, Services } from '../../src/api/resources.ts';
import type { Service } from '../../src/api/resources.ts';
import { isReason } from '../../src/home/api-error.ts';
import { setReadiness } from '../../src/runtime/readiness.ts';
import type { Standing } from '../../src/runtime/readiness.ts';
import type { ControllerDefinition } from '../../src/runtime/reconciler.ts';
import { done } from '../../src/runtime/result.ts';
import type { ControllerDependencies } from '../dependencies.ts';

/** The Service controller: says where a service is. Transfers move it and change `status.server`. */
export function serviceController({ clock }: ControllerDependencies): ControllerDefinition<Service> {
  // Where each service was seen, so that it is looked at again when that server comes or goes.
  const servers = new Map<string, { readonly server: string; readonly key: ObjectKey }>();
  return {
    reconciler: {
      name: 'service',
      type: Services,
      async reconcile(service, context) {
        const server = service.status?.server ?? service.spec.serverRef.name;
        servers.set(keyString(context.key), { server: `${context.key.namespace}/${server}`, key: context.key });
        const exists = await context.client
          .get(ManagedServers, { namespace: context.key.namespace, name: server })
          .then(
            () => true,
            (error: unknown) => {
              if (isReason(error, 'NotFound')) return false;
              throw error;
            },
          );
        const generation = service.metadata.generation;
        context.setStatus({
          ...service.status,
          server,
          ...(generation === undefined ? {} : { observedGeneration: generation }),
          conditions: setReadiness(service.status?.conditions, readinessOn(server, exists), generation, clock.now()),
        });
        return done;
      },
      forget: (key) => void servers.delete(keyString(key)),
    },
    watches: [
      {
        type: ManagedServers,
        toKeys: ({ metadata }: KubeObject) => {
          const server = `${metadata.namespace ?? ''}/${metadata.name}`;
          return [...servers.values()].filter((one) => one.server === server).map((one) => one.key);
        },
      },
    ] as never,
  };
}

function readinessOn(server: string, exists: boolean): Standing {
  return exists
    ? { state: 'Ready', reason: 'Assigned', message: `on server ${server}` }
    : {
        state: 'Reconciling',
        reason: 'ServerNotFound',
        message: `ManagedServer ${server} does not exist: create it, or correct spec.serverRef`,
      };
}

import { ManagedServers, PlatformConfigs, Services } from '../../src/api/resources.ts';
import type { ManagedServer, PlatformConfig, Service, Transfer } from '../../src/api/resources.ts';
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import { isReason } from '../../src/home/api-error.ts';
import type { Client } from '../../src/home/client.ts';
import { findCondition } from '../../src/runtime/conditions.ts';

/** The objects a transfer refers to. */
export interface References {
  readonly source: ManagedServer;
  readonly target: ManagedServer;
  readonly service: Service | undefined;
  readonly platform: PlatformConfig | undefined;
}

/** Why a transfer cannot be accepted yet; it is looked at again when what is named changes. */
export interface NotAccepted {
  readonly reason: string;
  readonly message: string;
}

/** Finds what a transfer refers to, whatever state it is in. */
export async function findReferences(client: Client, transfer: Readonly<Transfer>): Promise<References | NotAccepted> {
  const namespace = transfer.metadata.namespace ?? 'default';
  const { spec, status } = transfer;
  const platform = await find(client, PlatformConfigs, namespace, 'default');
  let service: Service | undefined;
  if (spec.serviceRef !== undefined) {
    service = await find(client, Services, namespace, spec.serviceRef.name);
    if (service === undefined) {
      return { reason: 'ServiceNotFound', message: `Service ${spec.serviceRef.name} does not exist: create it` };
    }
  }
  // Once begun, the source stays what it was, also after the Service has been reassigned to the target.
  const sourceName =
    status?.sourceServer ?? spec.sourceServerRef?.name ?? service?.status?.server ?? service?.spec.serverRef.name ?? '';
  const targetName = spec.targetServerRef.name;
  if (sourceName === targetName) {
    return {
      reason: 'SameServer',
      message: `${spec.serviceRef?.name ?? 'it'} is on server ${targetName} already: choose another target`,
    };
  }
  const source = await find(client, ManagedServers, namespace, sourceName);
  if (source === undefined) return missingServer(sourceName);
  const target = await find(client, ManagedServers, namespace, targetName);
  if (target === undefined) return missingServer(targetName);
  return { source, target, service, platform };
}

/** Why the servers cannot take part yet, or `undefined`. */
export function refusal({ source, target }: References): NotAccepted | undefined {
  const { name } = target.metadata;
  if (!target.spec.allowUserWorkloads) {
    return {
      reason: 'TargetNotOpen',
      message: `server ${name} takes no services: set allowUserWorkloads on it, or choose another target`,
    };
  }
  if (target.spec.unschedulable) {
    return { reason: 'TargetCordoned', message: `server ${name} is cordoned: set unschedulable to false on it` };
  }
  for (const server of [source, target]) {
    if (server.status?.phase === 'Online') continue;
    const ready = findCondition(server.status?.conditions, 'Ready');
    const why = ready === undefined || ready.status === 'Unknown' ? 'it was not probed yet' : ready.message;
    return { reason: 'ServerNotOnline', message: `server ${server.metadata.name} is not online: ${why}` };
  }
  return undefined;
}

function missingServer(name: string): NotAccepted {
  return { reason: 'ServerNotFound', message: `ManagedServer ${name} does not exist: create it, or correct its name` };
}

async function find<T extends KubeObject>(
  client: Client,
  type: ResourceType<T>,
  namespace: string,
  name: string,
): Promise<T | undefined> {
  try {
    return await client.get(type, { namespace, name });
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

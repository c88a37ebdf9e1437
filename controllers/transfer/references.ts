import { ManagedServers, PlatformConfigs, Services } from '../../src/api/resources.ts';
import type { ManagedServer, PlatformConfig, Service, Transfer } from '../../src/api/resources.ts';
import type { KubeObject, ResourceType } from '../../src/api/meta.ts';
import type { ErrorCode } from '../../src/errors.ts';
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
  readonly code: ErrorCode;
  readonly message: string;
}

/** Once begun, the source stays what it was, also after the Service has been reassigned to the target. */
export function sourceNameOf({ spec, status }: Readonly<Transfer>, service: Readonly<Service> | undefined): string {
  return (
    status?.sourceServer ?? spec.sourceServerRef?.name ?? service?.status?.server ?? service?.spec.serverRef.name ?? ''
  );
}

/** Finds what a transfer refers to, whatever state it is in. */
export async function findReferences(client: Client, transfer: Readonly<Transfer>): Promise<References | NotAccepted> {
  const namespace = transfer.metadata.namespace ?? 'default';
  const { spec } = transfer;
  const platform = await find(client, PlatformConfigs, namespace, 'default');
  let service: Service | undefined;
  if (spec.serviceRef !== undefined) {
    service = await find(client, Services, namespace, spec.serviceRef.name);
    if (service === undefined) {
      return {
        reason: 'ServiceNotFound',
        code: 'GF_SERVICE_NOT_FOUND',
        message: `Service ${spec.serviceRef.name} does not exist: create it`,
      };
    }
  }
  const sourceName = sourceNameOf(transfer, service);
  const targetName = spec.targetServerRef.name;
  if (sourceName === targetName) {
    return {
      reason: 'SameServer',
      code: 'GF_TRANSFER_SAME_SERVER',
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
export function refusal(references: References): NotAccepted | undefined {
  return refusals(references)[0];
}

/** All that keeps the servers from taking part now. */
export function refusals(references: References): NotAccepted[] {
  const { spec, metadata } = references.target;
  const refused: NotAccepted[] = [];
  if (!spec.allowUserWorkloads) {
    refused.push({
      reason: 'TargetNotOpen',
      code: 'GF_SERVER_NOT_OPEN',
      message: `server ${metadata.name} takes no services: set allowUserWorkloads on it, or choose another target`,
    });
  }
  if (spec.unschedulable) {
    refused.push({
      reason: 'TargetCordoned',
      code: 'GF_SERVER_CORDONED',
      message: `server ${metadata.name} is cordoned: set unschedulable to false on it`,
    });
  }
  return [...refused, ...offlineServers(references)];
}

/** Why one of the servers cannot be worked on now, or `undefined`. */
export function notOnline(references: Pick<References, 'source' | 'target'>): NotAccepted | undefined {
  return offlineServers(references)[0];
}

function offlineServers({ source, target }: Pick<References, 'source' | 'target'>): NotAccepted[] {
  return [source, target]
    .filter((server) => server.status?.phase !== 'Online')
    .map((server) => {
      const ready = findCondition(server.status?.conditions, 'Ready');
      const why = isUnprobed(server) ? 'it was not probed yet' : (ready?.message ?? '');
      return {
        reason: 'ServerNotOnline',
        code: 'GF_SERVER_NOT_ONLINE',
        message: `server ${server.metadata.name} is not online: ${why}`,
      };
    });
}

/** Whether nobody has looked at a server yet. */
export function isUnprobed({ status }: Readonly<ManagedServer>): boolean {
  const ready = findCondition(status?.conditions, 'Ready');
  return ready === undefined || ready.status === 'Unknown';
}

function missingServer(name: string): NotAccepted {
  return {
    reason: 'ServerNotFound',
    code: 'GF_SERVER_NOT_FOUND',
    message: `ManagedServer ${name} does not exist: create it, or correct its name`,
  };
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

import type { ManagedServer } from '../../../src/api/resources.ts';
import { GridferryError } from '../../../src/errors.ts';
import type { ServerConnection } from '../../servers/connections.ts';
import type { TransferContext } from '../context.ts';
import { recordedContainers, targetContainer } from './source-containers.ts';

/** One of the two servers, and how the service's containers are known there. */
export interface Place {
  readonly server: Readonly<ManagedServer>;
  connect(): Promise<ServerConnection>;
  /** @throws GridferryError `GF_TRANSFER_TARGET_GONE`, `GF_ROLLBACK_SOURCE_GONE` */
  containerId(name: string): Promise<string>;
}

export function atTarget(context: TransferContext): Place {
  return {
    server: context.targetServer,
    connect: () => context.session.target(context),
    containerId: async (name) => (await targetContainer(context, name)).id,
  };
}

export function atSource(context: TransferContext): Place {
  return {
    server: context.sourceServer,
    connect: () => context.session.source(context),
    containerId(name) {
      const found = recordedContainers(context).find((container) => container.name === name);
      if (found !== undefined) return Promise.resolve(found.id);
      const where = context.sourceServer.metadata.name;
      return Promise.reject(
        new GridferryError(
          'GF_ROLLBACK_SOURCE_GONE',
          `container ${name} was not part of the service on server ${where}`,
        ),
      );
    },
  };
}

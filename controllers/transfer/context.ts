import type { Logger } from 'pino';
import type { ManagedServer, PlatformConfig, Service, Transfer, TransferStatus } from '../../src/api/resources.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { ControllerDependencies } from '../dependencies.ts';
import type { DataPlane } from './copying/data-plane.ts';
import type { TransferSession } from './session.ts';
import type { StatusChange } from './step.ts';

/** What one run of one step works with. */
export interface TransferContext {
  readonly transfer: Readonly<Transfer>;
  /** As it was recorded when the step began. */
  readonly status: Readonly<TransferStatus>;
  readonly sourceServer: Readonly<ManagedServer>;
  readonly targetServer: Readonly<ManagedServer>;
  readonly service: Readonly<Service> | undefined;
  readonly platform: Readonly<PlatformConfig> | undefined;
  readonly session: TransferSession;
  readonly dependencies: ControllerDependencies;
  readonly dataPlane: DataPlane;
  readonly clock: Clock;
  readonly log: Logger;
  /** Fires on cancel, suspend, deletion and shutdown. */
  readonly signal: AbortSignal;
  /** Shows progress; the same change made again must give the same status. */
  report(change: StatusChange): void;
}

/** The labels that every object made on a server carries: a new process finds by them what an old one made. */
export function marksOf(transfer: Readonly<Transfer>): Readonly<Record<string, string>> {
  return {
    'gridferry.io/transfer': transfer.metadata.uid ?? '',
    'gridferry.io/transfer-name': `${transfer.metadata.namespace ?? 'default'}.${transfer.metadata.name}`,
  };
}

/** What is moved, as its user calls it. */
export function subjectOf(transfer: Readonly<Transfer>): string {
  const { container, composeProject, serviceRef } = transfer.spec;
  return container ?? composeProject ?? serviceRef?.name ?? '';
}

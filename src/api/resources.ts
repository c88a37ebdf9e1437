import type { z } from 'zod';
import { GROUP, VERSION } from './meta.ts';
import type { API_VERSION, KubeObject, ResourceType } from './meta.ts';
import type { managedServerSpec, managedServerStatus } from './schema/managed-server.ts';
import type { platformConfigSpec, platformConfigStatus } from './schema/platform-config.ts';
import type { serviceSpec, serviceStatus } from './schema/service.ts';
import type { sourceSpec, sourceStatus } from './schema/source.ts';
import type { transferSpec, transferStatus } from './schema/transfer.ts';
import { ConfigMaps, Events, Leases, Namespaces, Secrets } from './core.ts';

/** Types as the API hands objects out: defaults are filled in. */

export interface CustomObject<Spec, Status> extends KubeObject {
  apiVersion: typeof API_VERSION;
  spec: Spec;
  status?: Status;
}

export type ManagedServerSpec = z.output<typeof managedServerSpec>;
export type ManagedServerStatus = z.output<typeof managedServerStatus>;
export type ManagedServer = CustomObject<ManagedServerSpec, ManagedServerStatus>;

export type TransferSpec = z.output<typeof transferSpec>;
export type TransferStatus = z.output<typeof transferStatus>;
export type Transfer = CustomObject<TransferSpec, TransferStatus>;

export type ServiceSpec = z.output<typeof serviceSpec>;
export type ServiceStatus = z.output<typeof serviceStatus>;
export type Service = CustomObject<ServiceSpec, ServiceStatus>;

export type PlatformConfigSpec = z.output<typeof platformConfigSpec>;
export type PlatformConfigStatus = z.output<typeof platformConfigStatus>;
export type PlatformConfig = CustomObject<PlatformConfigSpec, PlatformConfigStatus>;

export type SourceSpec = z.output<typeof sourceSpec>;
export type SourceStatus = z.output<typeof sourceStatus>;
export type Source = CustomObject<SourceSpec, SourceStatus>;

export type HealthCheckSpec = NonNullable<TransferSpec['healthCheck']>;

const custom = {
  group: GROUP,
  version: VERSION,
  categories: ['gridferry'],
  namespaced: true,
  hasStatus: true,
} as const;

export const ManagedServers: ResourceType<ManagedServer> = {
  ...custom,
  kind: 'ManagedServer',
  plural: 'managedservers',
  singular: 'managedserver',
  shortNames: ['ms'],
};

export const Transfers: ResourceType<Transfer> = {
  ...custom,
  kind: 'Transfer',
  plural: 'transfers',
  singular: 'transfer',
  shortNames: ['xfer'],
};

export const Services: ResourceType<Service> = {
  ...custom,
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['gsvc'],
};

export const PlatformConfigs: ResourceType<PlatformConfig> = {
  ...custom,
  kind: 'PlatformConfig',
  plural: 'platformconfigs',
  singular: 'platformconfig',
  shortNames: ['gpc'],
};

/** Only in the local home: in a cluster, Flux or Argo CD do what it stands for, and have objects of their own. */
export const Sources: ResourceType<Source> = {
  ...custom,
  categories: [],
  kind: 'Source',
  plural: 'sources',
  singular: 'source',
  shortNames: ['gsrc'],
};

/** What both homes serve, and what users put into a directory. */
export const servedTypes: readonly ResourceType[] = [
  ManagedServers,
  Transfers,
  Services,
  PlatformConfigs,
  Secrets,
  ConfigMaps,
  Events,
  Leases,
  Namespaces,
] as readonly ResourceType[];

/** What the embedded API serves. */
export const localTypes: readonly ResourceType[] = [...servedTypes, Sources];

import type { z } from 'zod';
import { managedServerSpec, managedServerStatus } from './managed-server.ts';
import { platformConfigSpec, platformConfigStatus } from './platform-config.ts';
import { serviceSpec, serviceStatus } from './service.ts';
import { sourceSpec, sourceStatus } from './source.ts';
import { transferSpec, transferStatus } from './transfer.ts';
import type { CelRule } from './building-blocks.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  /** 1: only with `-o wide`. */
  readonly priority?: number;
}

export interface KindDefinition {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
  readonly rules?: readonly CelRule[];
  readonly columns: readonly PrinterColumn[];
  /** Only the local home has it: in a cluster, other programs do its work. */
  readonly localOnly?: true;
}

const age: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Since when it exists.',
};

const ready: PrinterColumn = {
  name: 'Ready',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].status',
  description: 'Whether it is as the spec says.',
};

/** Every kind of the group: the one source of the CRDs, the validators and the documentation. */
export const kinds: readonly KindDefinition[] = [
  {
    kind: 'ManagedServer',
    plural: 'managedservers',
    singular: 'managedserver',
    shortNames: ['ms'],
    description: 'A Linux host with Docker, reached over SSH. Nothing of Gridferry is installed on it.',
    spec: managedServerSpec,
    status: managedServerStatus,
    columns: [
      { name: 'Address', type: 'string', jsonPath: '.spec.address', description: 'Where sshd is reached.' },
      ready,
      { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'Whether it can be used.' },
      {
        name: 'Reason',
        type: 'string',
        jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
        description: 'Why.',
      },
      {
        name: 'Docker',
        type: 'string',
        jsonPath: '.status.facts.docker.version',
        description: 'Version of the engine.',
      },
      { name: 'OS', type: 'string', jsonPath: '.status.facts.os', description: 'Operating system.', priority: 1 },
      {
        name: 'Fingerprint',
        type: 'string',
        jsonPath: '.status.hostKey.fingerprint',
        description: 'Pinned host key.',
        priority: 1,
      },
      age,
    ],
  },
  {
    kind: 'Transfer',
    plural: 'transfers',
    singular: 'transfer',
    shortNames: ['xfer'],
    description: 'One move of a running service, with image, configuration, volumes and addons, to another server.',
    spec: transferSpec,
    status: transferStatus,
    columns: [
      { name: 'Source', type: 'string', jsonPath: '.status.sourceServer', description: 'Where from.' },
      { name: 'Target', type: 'string', jsonPath: '.spec.targetServerRef.name', description: 'Where to.' },
      ready,
      { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'How far it is.' },
      { name: 'Progress', type: 'integer', jsonPath: '.status.progressPercent', description: 'Percent done.' },
      {
        name: 'Downtime',
        type: 'number',
        jsonPath: '.status.downtimeSeconds',
        description: 'Seconds that the service did not answer.',
      },
      { name: 'Step', type: 'string', jsonPath: '.status.currentStep', description: 'The step taken.', priority: 1 },
      {
        name: 'Rollback',
        type: 'string',
        jsonPath: '.status.conditions[?(@.type=="RolledBack")].reason',
        description: 'What became of spec.rollback.',
        priority: 1,
      },
      {
        name: 'Message',
        type: 'string',
        jsonPath: '.status.message',
        description: 'What is going on.',
        priority: 1,
      },
      age,
    ],
  },
  {
    kind: 'Service',
    plural: 'services',
    singular: 'service',
    shortNames: ['gsvc'],
    description: 'A service that runs in containers on one of the servers, and what belongs to it.',
    spec: serviceSpec,
    status: serviceStatus,
    columns: [
      { name: 'Server', type: 'string', jsonPath: '.status.server', description: 'Where it is.' },
      ready,
      { name: 'Container', type: 'string', jsonPath: '.spec.container', description: 'Its container.' },
      { name: 'Public-Name', type: 'string', jsonPath: '.spec.publicName', description: 'Its DNS name.' },
      age,
    ],
  },
  {
    kind: 'PlatformConfig',
    plural: 'platformconfigs',
    singular: 'platformconfig',
    shortNames: ['gpc'],
    description: 'What the transfers of one namespace share. Its name is "default".',
    spec: platformConfigSpec,
    status: platformConfigStatus,
    rules: [
      { rule: "self.metadata.name == 'default'", message: 'a namespace has one PlatformConfig, named "default"' },
    ],
    columns: [{ name: 'Domain', type: 'string', jsonPath: '.spec.domain', description: 'Domain.' }, ready, age],
  },
  {
    kind: 'Source',
    plural: 'sources',
    singular: 'source',
    shortNames: ['gsrc'],
    description:
      'Where `gridferry run` takes the manifests from: a directory or a branch of a Git repository. Only in the local home; in a cluster, Flux or Argo CD have objects of their own for this.',
    spec: sourceSpec,
    status: sourceStatus,
    localOnly: true,
    columns: [
      { name: 'URL', type: 'string', jsonPath: '.spec.url', description: 'Where from.' },
      { name: 'Revision', type: 'string', jsonPath: '.status.revision', description: 'What is applied.' },
      ready,
      {
        name: 'Status',
        type: 'string',
        jsonPath: '.status.conditions[?(@.type=="Ready")].message',
        description: 'How it stands.',
      },
      age,
    ],
  },
];

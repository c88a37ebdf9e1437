import { z } from 'zod';
import {
  conditions,
  count,
  duration,
  healthCheck,
  listMap,
  localReference,
  number,
  observedGeneration,
  rules,
  text,
  timestamp,
} from './building-blocks.ts';

const dnsName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/);

export const transferSpec = z
  .object({
    type: z
      .enum(['Service'])
      .default('Service')
      .meta({ description: 'Service: one service with all that belongs to it.' }),
    container: z
      .string()
      .max(255)
      .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/)
      .optional()
      .meta({ description: 'Name of the container to move.' }),
    composeProject: z
      .string()
      .max(255)
      .regex(/^[a-z0-9][a-z0-9_-]*$/)
      .optional()
      .meta({ description: 'Name of the compose project to move.' }),
    serviceRef: localReference('The Service to move.').optional(),
    sourceServerRef: localReference('Where it runs. May be left out with serviceRef: where the Service is.').optional(),
    targetServerRef: localReference('Where it shall run.'),
    strategy: z
      .enum(['Auto', 'StopFirst'])
      .default('Auto')
      .meta({ description: 'StopFirst: the target starts after the source was seen stopped. Auto chooses.' }),
    transport: z
      .enum(['Auto', 'Relay'])
      .default('Auto')
      .meta({ description: 'How bytes travel. Relay: through the controller. Auto chooses.' }),
    verify: z.enum(['Full', 'Changed', 'Metadata']).default('Changed').meta({
      description:
        'What is proved before the target starts. Full: every byte is hashed while stopped. Changed: hashed while running, and again what changed since. Metadata: all but the content.',
    }),
    writableLayer: z.enum(['Copy', 'Discard']).default('Copy').meta({
      description: 'What to do with files the containers wrote outside their volumes.',
    }),
    healthCheck: healthCheck.optional(),
    dns: z
      .object({
        name: dnsName.optional().meta({
          description:
            'Public name to point at the target; without a dot it is below the domain of PlatformConfig. Default: the name of the service, if it has a record that points at the source.',
        }),
        skip: z.boolean().default(false).meta({ description: 'Leave DNS alone.' }),
        adopt: z.boolean().default(false).meta({
          description: 'Change the record even when it points at neither the source nor the target now.',
        }),
      })
      .optional()
      .meta({ description: 'How DNS is cut over.' }),
    soak: duration('How long the service is watched at its new place before the transfer is Completed.').default('5s'),
    rollbackWindow: duration('How long the stopped source is kept after completion at the least.').default('48h'),
    suspend: z.boolean().default(false).meta({ description: 'Take no further step until it is false again.' }),
    cancel: z.boolean().default(false).meta({
      description:
        'Undo what was done and leave the service running at the source. Once begun it is finished; to start again, set it to false and change retryToken.',
    }),
    retryToken: z.string().max(63).optional().meta({
      description: 'Any new value starts a Failed or Cancelled transfer again.',
    }),
  })
  .meta({
    description: 'What the user wants.',
    ...rules(
      {
        rule: '(has(self.container) ? 1 : 0) + (has(self.composeProject) ? 1 : 0) + (has(self.serviceRef) ? 1 : 0) == 1',
        message: 'set exactly one of container, composeProject and serviceRef',
      },
      {
        rule: 'has(self.serviceRef) || has(self.sourceServerRef)',
        message: 'sourceServerRef is required with container and composeProject',
      },
      {
        rule: '!has(self.sourceServerRef) || self.sourceServerRef.name != self.targetServerRef.name',
        message: 'sourceServerRef and targetServerRef name the same server: choose another target',
      },
      {
        rule: 'has(self.container) == has(oldSelf.container) && (!has(self.container) || self.container == oldSelf.container) && has(self.composeProject) == has(oldSelf.composeProject) && (!has(self.composeProject) || self.composeProject == oldSelf.composeProject) && has(self.serviceRef) == has(oldSelf.serviceRef) && (!has(self.serviceRef) || self.serviceRef.name == oldSelf.serviceRef.name)',
        message: 'what is moved cannot be changed: make a new Transfer',
      },
      {
        rule: 'self.targetServerRef.name == oldSelf.targetServerRef.name && has(self.sourceServerRef) == has(oldSelf.sourceServerRef) && (!has(self.sourceServerRef) || self.sourceServerRef.name == oldSelf.sourceServerRef.name)',
        message: 'the servers cannot be changed: make a new Transfer',
      },
    ),
  });

export const stepStates = ['Pending', 'Running', 'Done', 'Skipped', 'Failed', 'Undoing', 'Undone'] as const;

const step = z.object({
  name: text('Name of the step.'),
  phase: text('Phase it belongs to.'),
  state: z.enum(stepStates).meta({ description: 'How far it is.' }),
  attempts: count('How often it was begun.'),
  startTime: timestamp('When it was first begun.').optional(),
  endTime: timestamp('When it ended.').optional(),
  reason: text('Why it is in this state.').optional(),
  message: text('More about it, for people.').optional(),
});

const volume = z.object({
  name: text('Volume name, or path of a bind mount.'),
  bytesTotal: count('Bytes of data in it.').optional(),
  bytesDone: count('Bytes known to be at the target.').optional(),
  files: count('Files in it.').optional(),
  passes: z
    .array(
      z.object({
        kind: z.enum(['PreCopy', 'Final']).meta({ description: 'While the service ran, or after it stopped.' }),
        tool: text('rsync or tar.'),
        bytesSent: count('Bytes that crossed the wire.'),
        durationMs: count('How long it took, in milliseconds.'),
      }),
    )
    .max(20)
    .optional()
    .meta({ description: 'The copies made, oldest first.', 'x-kubernetes-list-type': 'atomic' }),
  verified: z.string().optional().meta({ description: 'How equality was proved.' }),
});

const restoreContainer = z.object({
  id: text('Container ID at the source.'),
  name: text('Container name.'),
  running: z.boolean().meta({ description: 'Whether it ran.' }),
  restartPolicy: text('Its restart policy.'),
  restartMaximumRetryCount: count('Retries of the restart policy.').optional(),
});

const newDnsRecord = {
  name: text('Name.'),
  type: text('Type.'),
  content: text('Content.'),
  ttl: count('Time to live, in seconds; 1 is automatic.'),
  proxied: z.boolean().meta({ description: 'Whether the provider proxies it.' }),
  comment: text('Comment.'),
  tags: z.array(text('Tag.')).max(100).meta({ description: 'Tags.' }),
};

const dnsRestorePoint = z
  .object({
    name: text('The name that is cut over.'),
    prior: z
      .array(z.object({ id: text('Record ID.'), ...newDnsRecord }))
      .max(100)
      .meta({ description: 'Records as they were.' }),
    created: z.array(z.object(newDnsRecord)).max(100).meta({ description: 'Records that did not exist before.' }),
    wrote: z.array(text('Content.')).max(100).meta({ description: 'Contents that the transfer wrote.' }),
  })
  .meta({ description: 'DNS as it was.' });

export const transferStatus = z
  .object({
    phase: z
      .enum([
        'Pending',
        'Preparing',
        'Uploading',
        'Restoring',
        'DNSCutover',
        'Verifying',
        'Completed',
        'Failed',
        'Cancelled',
        'RolledBack',
      ])
      .optional()
      .meta({ description: 'Derived from the steps and conditions: what to watch.' }),
    observedGeneration: observedGeneration.optional(),
    conditions: conditions.optional(),
    progressPercent: z.int32().min(0).max(100).optional().meta({ description: 'How much of the work is done.' }),
    currentStep: text('The step being taken.').optional(),
    message: text('What is going on, in one line.').optional(),
    queuePosition: count('Place in the queue for the lock: 1 is next.').optional(),
    sourceServer: text('The server it is moved from.').optional(),
    retryToken: text('The retryToken of the present attempt.').optional(),
    outcome: z
      .enum(['Cancelled', 'Failed'])
      .optional()
      .meta({ description: 'Set when the transfer is being undone: what it will be when that is done.' }),
    failure: z
      .object({
        step: text('The step that failed.'),
        code: text('Error code; see docs/errors.md.'),
        message: text('What happened and what to do.'),
      })
      .optional()
      .meta({ description: 'Why the present attempt failed.' }),
    startTime: timestamp('When the present attempt was accepted.').optional(),
    completionTime: timestamp('When it reached a terminal phase.').optional(),
    steps: z
      .array(step)
      .max(64)
      .optional()
      .meta({ description: 'The plan.', ...listMap('name') }),
    bytesTotal: count('Bytes of image and data known to be moved.').optional(),
    bytesDone: count('Bytes of these that are done.').optional(),
    bytesPerSecond: count('Rate of the copy under way.').optional(),
    etaSeconds: count('Estimate until the copy under way is done, in seconds.').optional(),
    volumes: z
      .array(volume)
      .max(200)
      .optional()
      .meta({ description: 'Data, volume by volume.', ...listMap('name') }),
    images: z
      .array(
        z.object({
          id: text('Image ID at the source.'),
          targetId: text('Image ID at the target; another one when the image stores differ.'),
          reference: text('The tag it is known by.').optional(),
          method: z.enum(['Present', 'Pulled', 'Layers', 'Whole']).meta({ description: 'How it came to the target.' }),
          layersTotal: count('Layers it has.'),
          layersSent: count('Layers that were sent.'),
          bytesSent: count('Bytes that were sent.'),
          bytesSkipped: count('Bytes that were already there.'),
          retagged: z
            .array(
              z.object({
                reference: text('The tag.'),
                previousId: text('ID of the image that had the tag at the target; undo gives it back.'),
              }),
            )
            .max(20)
            .optional()
            .meta({ description: 'Tags that named another image there.', 'x-kubernetes-list-type': 'atomic' }),
        }),
      )
      .max(100)
      .optional()
      .meta({ description: 'Images, one by one.', ...listMap('id') }),
    downtimeSeconds: number('From the last moment the source could answer to the target being healthy.').optional(),
    downtimeStart: timestamp('When the source was told to stop.').optional(),
    downtimeEnd: timestamp('When the target was found healthy.').optional(),
    restore: z
      .object({
        containers: z
          .array(restoreContainer)
          .max(100)
          .meta({ description: 'The source as it was, in start order.', 'x-kubernetes-list-type': 'atomic' }),
        dns: dnsRestorePoint.optional(),
      })
      .optional()
      .meta({ description: 'What is needed to put the source back; written before it is touched.' }),
    committedAt: timestamp(
      'When the commit point was passed: from then on only the user, not a failure, brings the service back.',
    ).optional(),
    createdPaths: z.array(text('Path at the target.')).max(200).optional().meta({
      description:
        'Paths of bind mounts and files that were absent or empty at the target before; undo empties them. With a slash at the end: folders that did not exist; undo removes them.',
      'x-kubernetes-list-type': 'atomic',
    }),
    attempts: z
      .array(
        z.object({
          startTime: timestamp('When it was accepted.').optional(),
          endTime: timestamp('When it ended.').optional(),
          phase: text('How it ended.'),
          message: text('Why.'),
        }),
      )
      .max(5)
      .optional()
      .meta({ description: 'Earlier attempts, oldest first.', 'x-kubernetes-list-type': 'atomic' }),
    rollbackDeadline: timestamp('Until when the stopped source is kept at the least.').optional(),
    logs: z
      .array(text('One line.'))
      .max(100)
      .optional()
      .meta({ description: 'The last lines of the log, secrets removed.', 'x-kubernetes-list-type': 'atomic' }),
  })
  .meta({ description: 'What the controller observed and did.' });

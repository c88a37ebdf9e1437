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
    mode: z.enum(['Apply', 'Plan']).default('Apply').meta({
      description:
        'Plan: touch nothing, and say in status.plan what would be done, how long it would take, and what stands in the way. Change it to Apply to move.',
    }),
    strategy: z.enum(['Auto', 'StopFirst', 'StartFirst']).default('Auto').meta({
      description:
        'StopFirst: the target starts after the source was seen stopped. StartFirst: the source stops after the target serves, for services that write nothing of value. Auto: StartFirst where nothing is writable, else StopFirst.',
    }),
    transport: z.enum(['Auto', 'Direct', 'Relay']).default('Auto').meta({
      description:
        'How bytes travel. Direct: from server to server. Relay: through the controller. Auto: Direct where one server can reach the other, else Relay.',
    }),
    bandwidthLimit: z
      .string()
      .max(16)
      .regex(/^[1-9][0-9]*(k|M|G|Ki|Mi|Gi)?$/)
      .optional()
      .meta({ description: 'Bytes per second that copies may use at the most, as in "50Mi".' }),
    maxDowntime: duration(
      'Rounds of copying are made while the service runs until the predicted downtime is no longer than this, or until they no longer get shorter.',
    ).default('5s'),
    onNoConvergence: z.enum(['Proceed', 'Wait', 'Fail']).default('Proceed').meta({
      description:
        'What to do when the predicted downtime stays above maxDowntime. Proceed: stop the service all the same. Wait: go on copying until it fits, or cutoverNow is set. Fail: undo.',
    }),
    cutover: z
      .string()
      .max(40)
      .regex(
        /^(Auto|Manual|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2}))$/,
      )
      .default('Auto')
      .meta({
        description:
          'When the service is stopped. Auto: as soon as the copy is fresh. Manual: when cutoverNow is set. A time, as in "2027-01-31T03:00:00Z": then. Until then the copy is kept fresh.',
      }),
    cutoverNow: z.boolean().default(false).meta({ description: 'Cut over now, whatever cutover says.' }),
    connectionDrain: duration(
      'With StartFirst: how long connections that are open at the source may go on before it is stopped.',
    ).default('30s'),
    forwardFor: duration(
      'How long the source passes on what still arrives at its published TCP ports; 0s: not at all. Default: the TTL of the DNS record before the move, at least 5m.',
    ).optional(),
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
    soak: z
      .object({
        duration: duration(
          'How long the service is watched at its new place before the transfer is Completed.',
        ).default('5s'),
        failureThreshold: z
          .int32()
          .min(1)
          .max(1000)
          .default(3)
          .meta({ description: 'Failed probes in a row that count as a failure; one is made each second.' }),
      })
      .default({ duration: '5s', failureThreshold: 3 })
      .meta({ description: 'Watching the service after the cutover.' }),
    onSoakFailure: z.enum(['Rollback', 'Keep']).default('Keep').meta({
      description:
        'What to do when the service fails after the cutover. Rollback: bring it back to the source, with what was written. Keep: leave it at the target and say so.',
    }),
    rollbackWindow: duration('How long after completion the service can be brought back.').default('48h'),
    rollback: z
      .object({
        data: z.enum(['Sync', 'Discard']).meta({
          description:
            'Sync: what was written since the move goes back, too. Discard: it is dropped, and the source is as it was when it stopped.',
        }),
      })
      .optional()
      .meta({ description: 'Set it to bring a Completed transfer back within its rollbackWindow.' }),
    retention: z
      .object({
        source: z.enum(['Keep', 'DeleteAfterWindow']).default('Keep').meta({
          description:
            'What becomes of the stopped source. DeleteAfterWindow: its containers, and the volumes and networks that nothing else uses, are deleted once rollbackWindow is over.',
        }),
      })
      .default({ source: 'Keep' })
      .meta({ description: 'What is kept.' }),
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
        kind: z
          .enum(['PreCopy', 'Final', 'Return'])
          .meta({ description: 'While the service ran, after it stopped, or back to the source.' }),
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
  startedAt: text(
    'When Docker last started it, read when it was left stopped: another value means that somebody started it since.',
  ).optional(),
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

const milliseconds = (description: string) => count(`${description}, in milliseconds.`);

const transport = z
  .object({
    mode: z.enum(['Direct', 'Relay']).meta({ description: 'From server to server, or through the controller.' }),
    direction: z
      .enum(['SourceToTarget', 'TargetToSource'])
      .optional()
      .meta({ description: 'Which server logs in at which, when direct.' }),
    credential: z
      .enum(['Agent', 'Key'])
      .optional()
      .meta({ description: "How it logs in: with the controller's own agent, or with a key made for this transfer." }),
    reason: text('Why so, and why not otherwise.'),
    roundTripMs: number('Round-trip time between the ends, in milliseconds.').optional(),
    bytesPerSecond: count('Bandwidth measured.').optional(),
    channels: count('Connections used side by side.').optional(),
    compression: text('Compression used; absent: none.').optional(),
  })
  .meta({ description: 'How bytes travel.' });

const precopy = z
  .object({
    rounds: count('Rounds of copying made while the service ran.'),
    bytesPerSecond: count('Bandwidth measured in the last round.').optional(),
    dirtyBytesPerSecond: count('How fast the service changes its data.').optional(),
    scanMs: milliseconds('How long it takes to find out what changed').optional(),
    checkMs: milliseconds('How long it takes to compare what changed').optional(),
    predictedDowntimeSeconds: number('Predicted from the above.').optional(),
    converged: z.boolean().optional().meta({ description: 'Whether the prediction fits maxDowntime.' }),
    message: text('What was decided, and why.').optional(),
    lastSyncTime: timestamp('When the last round began: what was written before is at the target.').optional(),
  })
  .meta({ description: 'The rounds of copying while the service ran.' });

const job = z.object({
  name: text('Name of the job.'),
  server: text('The server it runs on.'),
  state: z.enum(['Running', 'Succeeded', 'Failed']).meta({ description: 'How it is doing.' }),
  startTime: timestamp('When it was started.').optional(),
  endTime: timestamp('When it ended.').optional(),
  exitCode: z.int32().optional().meta({ description: 'Its exit status.' }),
});

const credential = z.object({
  name: text('Name, unique in this transfer.'),
  kind: z.enum(['AuthorizedKey', 'KeyFile']).meta({ description: 'A line in authorized_keys, or a private key.' }),
  server: text('The server it is on.'),
  fingerprint: text('Fingerprint of the public key.').optional(),
});

const downtime = z
  .object({
    stopMs: milliseconds('From the stop signal until the last process was gone').optional(),
    deltaMs: milliseconds('Copying what had changed').optional(),
    verifyMs: milliseconds('Proving that both sides are equal').optional(),
    startMs: milliseconds('Starting the containers at the target').optional(),
    healthyMs: milliseconds('From the start until the service was found healthy').optional(),
    otherMs: milliseconds('Everything else, such as writing this status').optional(),
  })
  .meta({ description: 'Where the downtime went.' });

const forward = z
  .object({
    state: z
      .enum(['Active', 'Ended', 'Unavailable'])
      .meta({ description: 'Whether the source passes on what still arrives there.' }),
    to: text('Address it is passed on to.').optional(),
    ports: z
      .array(text('A published TCP port.'))
      .max(100)
      .optional()
      .meta({ description: 'Ports, as "8080" or "127.0.0.1:8080".', 'x-kubernetes-list-type': 'atomic' }),
    until: timestamp('When it ends by itself.').optional(),
    reason: text('Why, when it is unavailable.').optional(),
  })
  .meta({ description: 'What becomes of clients that still use the old address.' });

const rollback = z
  .object({
    data: z.enum(['Sync', 'Discard']).meta({ description: 'What becomes of what was written since the move.' }),
    cause: z.enum(['User', 'SoakFailure']).meta({ description: 'Who asked for it.' }),
    startTime: timestamp('When it was begun.'),
    committedAt: timestamp('When the service ran at the source again for good.').optional(),
    completionTime: timestamp('When it was over.').optional(),
    outcome: z
      .enum(['RolledBack', 'Failed'])
      .optional()
      .meta({ description: 'Failed: it was undone, and the service runs at the target.' }),
    failure: z
      .object({
        step: text('The step that failed.'),
        code: text('Error code; see docs/errors.md.'),
        message: text('What happened and what to do.'),
      })
      .optional()
      .meta({ description: 'Why it failed.' }),
    downtimeStart: timestamp('When the target was told to stop.').optional(),
    downtimeSeconds: number('From the stop of the target to the source being healthy.').optional(),
    containers: z.array(restoreContainer).max(100).optional().meta({
      description: 'The containers at the target as they were; what a failed rollback puts back.',
      'x-kubernetes-list-type': 'atomic',
    }),
    dns: dnsRestorePoint.optional(),
  })
  .meta({ description: 'The way back after completion.' });

const blocker = z.object({
  code: text('Error code; see docs/errors.md.'),
  message: text('What stands in the way and what to do.'),
});

const plannedMove = z
  .object({
    time: timestamp('When it was planned.'),
    strategy: text('StopFirst or StartFirst, and why.'),
    transport: text('How bytes would travel, and why.'),
    steps: z
      .array(
        z.object({
          name: text('Name of the step.'),
          phase: text('Phase it belongs to.'),
          message: text('What it would do.').optional(),
        }),
      )
      .max(64)
      .meta({ description: 'The steps, in order.', ...listMap('name') }),
    parts: z
      .array(
        z.object({
          name: text('Image, volume, or path.'),
          kind: z.enum(['Image', 'Volume', 'Path', 'WritableLayer']).meta({ description: 'What it is.' }),
          bytes: count('Bytes that would be sent, before compression.'),
          bytesPresent: count('Bytes that are at the target already.').optional(),
        }),
      )
      .max(400)
      .meta({ description: 'What would be sent.', 'x-kubernetes-list-type': 'atomic' }),
    bytesTotal: count('Bytes that would be sent.'),
    bytesPerSecond: count('Bandwidth measured.').optional(),
    etaSeconds: count('How long it would take, in seconds.').optional(),
    predictedDowntimeSeconds: number('How long the service would be down.').optional(),
    blockers: z
      .array(blocker)
      .max(100)
      .meta({ description: 'Everything that stands in the way.', 'x-kubernetes-list-type': 'atomic' }),
    warnings: z
      .array(text('A warning.'))
      .max(100)
      .meta({ description: 'What to know before.', 'x-kubernetes-list-type': 'atomic' }),
  })
  .meta({ description: 'With mode Plan: what would be done.' });

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
        'Planned',
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
    strategy: z
      .enum(['StopFirst', 'StartFirst'])
      .optional()
      .meta({ description: 'The strategy chosen; it is not changed once chosen.' }),
    strategyReason: text('Why that strategy.').optional(),
    transport: transport.optional(),
    precopy: precopy.optional(),
    predictedDowntimeSeconds: number('What the downtime would be now, by the model.').optional(),
    jobs: z
      .array(job)
      .max(20)
      .optional()
      .meta({ description: 'Copies that run on a server by themselves.', ...listMap('name') }),
    credentials: z
      .array(credential)
      .max(20)
      .optional()
      .meta({
        description: 'Credentials made for this transfer that are still on a server; written before they are made.',
        ...listMap('name'),
      }),
    downtimeSeconds: number('From the last moment the source could answer to the target being healthy.').optional(),
    downtimeStart: timestamp('When the source was told to stop.').optional(),
    downtimeEnd: timestamp('When the target was found healthy.').optional(),
    downtime: downtime.optional(),
    forward: forward.optional(),
    soak: z
      .object({
        startTime: timestamp('When the watching began.'),
        probes: count('Probes made.'),
        failures: count('Failed probes in a row.'),
        message: text('What the last failed probe said.').optional(),
      })
      .optional()
      .meta({ description: 'Watching the service after the cutover.' }),
    restore: z
      .object({
        containers: z
          .array(restoreContainer)
          .max(100)
          .meta({ description: 'The source as it was, in start order.', 'x-kubernetes-list-type': 'atomic' }),
        dns: dnsRestorePoint.optional(),
        overwrittenSince: timestamp(
          "When a rollback began to copy over the source's data: from then on they are no longer as they were when it stopped.",
        ).optional(),
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
    rollbackDeadline: timestamp('Until when the service can be brought back.').optional(),
    canRollback: z.boolean().optional().meta({ description: 'Whether spec.rollback would be accepted now.' }),
    rollback: rollback.optional(),
    sourceDeletedAt: timestamp('When the stopped source was deleted, as retention says.').optional(),
    plan: plannedMove.optional(),
    logs: z
      .array(text('One line.'))
      .max(100)
      .optional()
      .meta({ description: 'The last lines of the log, secrets removed.', 'x-kubernetes-list-type': 'atomic' }),
  })
  .meta({ description: 'What the controller observed and did.' });

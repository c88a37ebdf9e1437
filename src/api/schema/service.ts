import { z } from 'zod';
import {
  conditions,
  count,
  healthCheck,
  localReference,
  observedGeneration,
  text,
  timestamp,
} from './building-blocks.ts';

const containerName = z
  .string()
  .max(255)
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/);

export const serviceSpec = z
  .object({
    container: containerName.meta({ description: 'Name of the container that runs the service.' }),
    addons: z
      .array(
        z.object({
          name: z.string().min(1).max(63).meta({ description: 'What it is to the service, such as postgres.' }),
          container: containerName.meta({ description: 'Name of its container.' }),
        }),
      )
      .max(20)
      .optional()
      .meta({
        description: 'Containers that belong to the service and always move with it; started in this order, before it.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
    publicName: z.string().max(253).optional().meta({
      description: 'Public DNS name; without a dot it is below the domain of PlatformConfig.',
    }),
    healthCheck: healthCheck.optional(),
    serverRef: localReference('The server it runs on at first; status.server is where it is now.'),
  })
  .meta({ description: 'What the service consists of.' });

export const serviceStatus = z
  .object({
    observedGeneration: observedGeneration.optional(),
    conditions: conditions.optional(),
    server: text('The server it runs on now.').optional(),
    events: z
      .array(
        z.object({
          time: timestamp('When.'),
          reason: text('What happened, in one CamelCase word.'),
          message: text('What happened.'),
          migrated: z.boolean().optional().meta({ description: 'Whether the service changed its server.' }),
          transfer: text('The Transfer that did it.').optional(),
        }),
      )
      .max(20)
      .optional()
      .meta({ description: 'The last events, oldest first.', 'x-kubernetes-list-type': 'atomic' }),
    moves: count('How often it was moved.').optional(),
  })
  .meta({ description: 'Where the service is.' });

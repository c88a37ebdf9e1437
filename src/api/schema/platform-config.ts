import { z } from 'zod';
import { conditions, observedGeneration, secretKeyReference } from './building-blocks.ts';

export const platformConfigSpec = z
  .object({
    domain: z
      .string()
      .max(253)
      .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/)
      .meta({ description: 'Domain of the platform; public names without a dot are below it.' }),
    cloudflare: z
      .object({
        apiTokenRef: secretKeyReference('An API token that may read zones and edit DNS records.'),
        apiBaseURL: z
          .string()
          .max(2048)
          .regex(/^https?:\/\//)
          .default('https://api.cloudflare.com/client/v4')
          .meta({ description: 'Where the API is; for tests and proxies.' }),
      })
      .optional()
      .meta({
        description: 'DNS at Cloudflare. Absent: DNS is left alone and a condition says what to change by hand.',
      }),
    resolvers: z.array(z.string().max(64)).max(8).optional().meta({
      description:
        "Name servers (address or address:port) asked whether the cutover arrived; default: the controller's own resolver.",
      'x-kubernetes-list-type': 'set',
    }),
  })
  .meta({ description: 'What the transfers of this namespace share.' });

export const platformConfigStatus = z
  .object({ observedGeneration: observedGeneration.optional(), conditions: conditions.optional() })
  .meta({ description: 'What the controller observed.' });

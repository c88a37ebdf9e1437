import { z } from 'zod';

/** Pieces that several kinds share. Loaded when CRDs and types are generated, never by the running program. */

export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

/** Attaches CEL rules, which the API server and the local home both enforce. */
export function rules(...list: readonly CelRule[]): { 'x-kubernetes-validations': readonly CelRule[] } {
  return { 'x-kubernetes-validations': list };
}

/** Entries are found by these fields instead of by position: what server-side apply and the API conventions need. */
export function listMap(...keys: readonly string[]): Record<string, unknown> {
  return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys };
}

export function duration(description: string) {
  return z
    .string()
    .max(32)
    .regex(/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/)
    .meta({ description: `${description} A Go duration, as in "90s" or "1h30m".` });
}

export function port(description: string) {
  return z.int32().min(1).max(65535).meta({ description });
}

export function timestamp(description: string) {
  return z.string().meta({ description, format: 'date-time' });
}

/** A count of bytes or things that may exceed 32 bits. */
export function count(description: string) {
  return z.int().min(0).meta({ description, format: 'int64' });
}

export function number(description: string) {
  return z.number().meta({ description });
}

export function text(description: string) {
  return z.string().meta({ description });
}

const objectName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/)
  .meta({ description: 'Name of the object.' });

/** A reference to an object of a known kind in the same namespace. */
export function localReference(description: string) {
  return z.object({ name: objectName }).meta({ description });
}

/** One key of a Secret in the same namespace. */
export function secretKeyReference(description: string) {
  return z
    .object({ name: objectName, key: z.string().min(1).max(253).meta({ description: 'Key within the Secret.' }) })
    .meta({ description });
}

export const conditions = z
  .array(
    z.object({
      type: z.string().max(316).meta({ description: 'What the condition is about, in CamelCase.' }),
      status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether it holds.' }),
      reason: z.string().max(1024).meta({ description: 'Why, in one CamelCase word for machines.' }),
      message: z.string().max(32768).meta({ description: 'Why, and what to do next, for people.' }),
      lastTransitionTime: timestamp('When status last changed.'),
      observedGeneration: count('The metadata.generation that the condition was computed from.').optional(),
    }),
  )
  .meta({ description: 'The latest observations of the object.', ...listMap('type') });

export const observedGeneration = z.int().min(-1).meta({
  description: 'The metadata.generation that the controller last acted on; -1 before it has seen the object.',
  format: 'int64',
});

const healthHttp = z
  .object({
    path: z
      .string()
      .max(2048)
      .regex(/^\//)
      .default('/')
      .meta({ description: 'Path to ask for; it starts with a slash.' }),
    port: port('Port inside the container; the published port is found from it.'),
    scheme: z.enum(['http', 'https']).default('http').meta({ description: 'Protocol to speak.' }),
    host: z.string().max(253).optional().meta({ description: 'Host header and SNI; default: the public name.' }),
    expectedStatus: z
      .string()
      .max(7)
      .regex(/^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$/)
      .default('200-399')
      .meta({ description: 'Status, or range of them, that counts as healthy.' }),
  })
  .meta({ description: 'Ask over HTTP.' });

export const healthCheck = z
  .object({
    http: healthHttp.optional(),
    tcp: z
      .object({ port: port('Port inside the container.') })
      .optional()
      .meta({ description: 'Open a TCP connection.' }),
    timeout: duration('How long the service may take to become healthy.').default('60s'),
  })
  .meta({
    description:
      "How to tell that the service works. Absent: the image's HEALTHCHECK, else a TCP connection to each published port.",
    ...rules({ rule: '!(has(self.http) && has(self.tcp))', message: 'set http or tcp, not both' }),
  });

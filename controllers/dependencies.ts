import type { Logger } from 'pino';
import type { Client } from '../src/home/client.ts';
import type { Clock } from '../src/runtime/clock.ts';
import type { Redactor } from '../src/security/redact.ts';
import type { SecretResolver } from '../src/security/secrets.ts';
import type { DnsProviders } from './dns-providers.ts';
import type { ServerConnections } from './servers/connections.ts';

/** What every controller is given. */
export interface ControllerDependencies extends ControllerInputs {
  readonly servers: ServerConnections;
  readonly dns: DnsProviders;
}

/** What whoever starts the controllers has to bring. */
export interface ControllerInputs {
  readonly client: Client;
  readonly clock: Clock;
  /** 0 ≤ n < 1; for jitter. */
  readonly random: () => number;
  readonly log: Logger;
  readonly secrets: SecretResolver;
  /** Learns every secret that is read, so that none gets into a log, an event or a status. */
  readonly redactor: Redactor;
}

import type { Logger } from 'pino';
import type { Client } from '../src/home/client.ts';
import type { Clock } from '../src/runtime/clock.ts';
import type { Leadership } from '../src/runtime/leadership.ts';
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
  /** Whether all Secrets may be watched. In a cluster they are read by name, and nothing more is allowed. */
  readonly watchSecrets: boolean;
  /** Present where several processes share the home, and only one of them may act. */
  readonly replica?: Replica;
}

/** One of several processes over the same home. */
export interface Replica {
  readonly leadership: Leadership;
  /** Names the home on the servers, the same for all of its replicas. */
  readonly fenceKey: string;
  /** A server follows a newer leader than this process: who leads is to be asked again. */
  onFenced(newestEpoch: number): void;
}
